"""OCI bundles made to order: a small root file system around one static busybox, and a config.json to change."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from ...linux import capabilities

#: Commands the tests call inside; busybox looks at the name it is called by.
APPLETS = (
    *("sh", "cat", "chmod", "echo", "env", "head", "hostname", "id", "ls", "mkdir", "mount", "printf", "pwd"),
    *("readlink", "sleep", "stat", "touch", "true", "false", "umask", "wc"),
)
#: Enough for a root that owns files and becomes others, cut down to what the tests' own process has.
_CAPABILITIES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID")
_INTERPRETER = b"/ld-"


def find_busybox() -> Path | None:
    """A statically linked busybox in $PATH or named by $CMANAGER_TEST_BUSYBOX; None when there is none."""
    for found in (os.environ.get("CMANAGER_TEST_BUSYBOX"), shutil.which("busybox")):
        if found and is_static(Path(found)):
            return Path(found)
    return None


def is_static(program: Path) -> bool:
    """Whether an ELF program names no interpreter, which stands near its beginning (elf(5), PT_INTERP)."""
    with program.open("rb") as file:
        head = file.read(4096)
    return head.startswith(b"\x7fELF") and _INTERPRETER not in head


def make_tree(directory: Path, busybox: Path) -> None:
    """A root file system in the new `directory`: busybox, a few names for it, and what the tests look at."""
    for name in ("bin", "dev", "etc", "proc", "sys", "data"):
        (directory / name).mkdir(parents=True)
    (directory / "tmp").mkdir()
    (directory / "tmp").chmod(0o1777)
    shutil.copy(busybox, directory / "bin/busybox")
    (directory / "bin/busybox").chmod(0o755)
    for name in APPLETS:
        (directory / "bin" / name).symlink_to("busybox")
    (directory / "etc/motd").write_text("welcome\n", encoding="ascii")
    (directory / "data/secret").write_text("hidden\n", encoding="ascii")
    (directory / "bin/text").write_text("neither a program nor a script\n", encoding="ascii")
    (directory / "bin/text").chmod(0o755)


def configuration(args: list[str], namespaces: tuple[str, ...], options: tuple[str, ...]) -> dict[str, Any]:
    """A config.json that asks for nothing but these namespaces, /proc, an empty /dev, and these arguments.

    options: what the runtime announces; capabilities are named only where it can give them.
    """
    process: dict[str, Any] = {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": args,
        "env": ["PATH=/bin"],
        "cwd": "/",
    }
    if "capabilities" in options:
        ours = capabilities.names(capabilities.of_process()["CapBnd"])
        kept = [name for name in _CAPABILITIES if name in ours]
        process["capabilities"] = {"bounding": kept, "permitted": kept, "effective": kept}
    return {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": "rootfs", "readonly": False},
        "mounts": [
            mount("proc", "proc", "/proc", "nosuid", "noexec", "nodev"),
            mount("tmpfs", "tmpfs", "/dev", "nosuid", "mode=755", "size=65536k"),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in namespaces]},
    }


def mount(kind: str, source: str | Path, target: str, *options: str) -> dict[str, Any]:
    """One entry of `mounts`."""
    return {"type": kind, "source": str(source), "destination": target, "options": list(options)}


def merged(config: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`config` with `change` laid over it: objects are merged, `mounts` are added, all else is replaced."""
    made = dict(config)
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(made.get(key), dict):
            made[key] = merged(made[key], value)
        elif key == "mounts":
            made[key] = [*made.get(key, []), *value]
        else:
            made[key] = value
    return made
