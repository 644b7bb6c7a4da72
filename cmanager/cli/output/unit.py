"""The systemd unit that starts containers after a boot (systemd.unit(5), systemd.service(5))."""

from __future__ import annotations

import os
import shutil
import sys

_DEFAULTS = ("/var/lib/cmanager", "/run/cmanager", None)
_UNIT = """\
# cmanager system unit > /etc/systemd/system/cmanager.service && systemctl enable cmanager
[Unit]
Description=Containers whose restart policy asks for a start after a boot
After=network.target

[Service]
Type=oneshot
# Supervisors are children of this service: it stays, and its end is not theirs.
RemainAfterExit=yes
KillMode=process
TasksMax=infinity
{environment}ExecStart={command}

[Install]
WantedBy=multi-user.target
"""


def unit(root: str, run_root: str, config: str | None) -> str:
    """The unit's text, for the command that is running now and its global options, all paths absolute."""
    words, environment = _command()
    for option, value, default in zip(
        ("--root", "--run-root", "--config"), (root, run_root, config), _DEFAULTS, strict=True
    ):
        if value and value != default:
            words += [option, os.path.abspath(value)]
    words += ["start", "--all-restartable"]
    return _UNIT.format(environment=environment, command=" ".join(map(_quoted, words)))


def _command() -> tuple[list[str], str]:
    """How this command was called, and the line of the unit with what it needs."""
    name = sys.argv[0]
    if os.path.basename(name) == "__main__.py":
        path = os.environ.get("PYTHONPATH", "")
        absolute = ":".join(os.path.abspath(part) for part in path.split(":") if part)
        variable = f"Environment={_quoted(f'PYTHONPATH={absolute}')}\n" if absolute else ""
        return [sys.executable, "-m", "cmanager"], variable
    return [os.path.abspath(shutil.which(name) or name)], ""


def _quoted(word: str) -> str:
    """A word as systemd reads it back (systemd.syntax(7)): % and $ would be replaced."""
    word = word.replace("%", "%%").replace("$", "$$")
    if all(c.isalnum() or c in "/-_.:=+%$" for c in word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
