"""What a server imports, so that no worker has to: the commands, the engine, and the plugins that came with cmanager.

Plugins from elsewhere have processes of their own, and are not imported here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator

from ..model import codec
from ..model.container import Container, Status
from ..plugins import load_config
from ..plugins.finder import Finder
from ..plugins.loader import Loader
from ..supervisor.keeper import Claim
from ..supervisor.launch import ExecLaunch, Launch
from ..supervisor.slots import Slot

#: Rooms of which a command may need anything.
_ROOMS = ("engine", "supervisor", "oci", "plugins", "state", "model", "linux")
#: Imported inside of functions, for those who do without.
_OTHERS = ("subprocess", "difflib", "click.shell_completion")
#: What loads a library for one command alone.
_LEFT_OUT = ("cmanager.cli.output.metrics",)


def preload(commands: Iterable[str]) -> None:
    """Import it. commands: names of the modules of the commands."""
    for name in (*commands, *_OTHERS):
        importlib.import_module(name)
    package = __package__.partition(".")[0]
    for room in (*_ROOMS, "cli.output"):
        for name in _modules(f"{package}.{room}"):
            if name not in _LEFT_OUT:
                importlib.import_module(name)
    codec.prepare(Container, Status, Launch, ExecLaunch, Claim, Slot)
    config = load_config()
    finder = Finder(config)
    loader = Loader(finder, "", "")
    for seam, provider in config.defaults.items():
        if finder.builtin(seam, provider):
            loader.check(seam, provider)
            for name in _modules(finder.module(seam, provider)[0]):
                importlib.import_module(name)


def _modules(package: str) -> Iterator[str]:
    """Names of all modules in a package, and its own."""
    yield package
    path = getattr(importlib.import_module(package), "__path__", None)
    for found in pkgutil.iter_modules(path, f"{package}.") if path else ():
        if found.ispkg:
            yield from _modules(found.name)
        else:
            yield found.name
