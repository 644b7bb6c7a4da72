"""What plugins in processes of their own cost: broken ones to the commands of others, and isolation to a run."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from attrs import evolve

from cmanager.plugins import load_config

from .. import images
from ..commands import Command, seconds
from ..measuring import Contestant, Rounds
from ..results import Row
from . import Bench, Job

_BROKEN = {
    "hangs": "import time; time.sleep(1000)",
    "crashes": "import os; os.kill(os.getpid(), 11)",
    "lacks": "import no_such_module",
}
_SEAMS = ("runtime", "network", "storage", "hooks")
_COMMANDS = {
    "ps": ("ps",),
    "volume ls": ("volume", "ls"),
    "images": ("images",),
    "run, no network": ("run", "--rm", "--network", "none", images.BUSYBOX, "true"),
    "run, bridge": ("run", "--rm", images.BUSYBOX, "true"),
}


def _plugins(bench: Bench) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The same commands with the shipped configuration, beside broken plugins, and with all providers isolated."""
    base, site = bench.ours.config, bench.place.disk / "site"
    configurations = {
        "shipped": base,
        "broken ones": _broken(base, site),
        "isolated": _isolated(base, bench.place.disk),
    }
    cold = evolve(bench.ours, warm=False)  # the command server of another PYTHONPATH serves nobody here
    contestants = []
    for name, words in _COMMANDS.items():
        for which, config in configurations.items():
            command = cold.other(*words, config=config)
            command = evolve(command, variables={**command.variables, "PYTHONPATH": _path(site)})
            contestants.append(Contestant(f"{name}, {which}", partial(_milliseconds, command), f"{name}, shipped"))
    return bench.measure(contestants), ("each to the shipped configuration, all cold",)


def _milliseconds(command: Command) -> float:
    return seconds(command) * 1000


def _path(site: Path) -> str:
    return ":".join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))


def _broken(base: str, site: Path) -> str:
    lines = ["[plugins]"]
    for name, source in _BROKEN.items():
        package = site / f"broken_{name}"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text(source)
        lines += [f'{seam}.{name} = "broken_{name} [api1]"' for seam in _SEAMS]
    return _written(base, site / "broken.toml", lines)


def _isolated(base: str, directory: Path) -> str:
    keys = [key for key in load_config().plugins if "*" not in key]
    return _written(base, directory / "isolated.toml", [f'[plugins.{key}]\nisolation = "process"' for key in keys])


def _written(base: str, path: Path, lines: list[str]) -> str:
    path.write_text("\n".join((Path(base).read_text(), *lines, "")))
    path.chmod(0o600)
    return str(path)


JOBS = (Job("plugins", "commands beside plugins that fail, and with isolated ones", "ms", _plugins, Rounds(7)),)
