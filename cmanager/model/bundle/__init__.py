"""config.json of a bundle (runtime-spec config.md): read, checked, and held against what a runtime can do.

Part of the author API, for runtimes. shape.py: types and ranges; sense.py: what the specification says beyond them;
asking.py: which of `Features` a configuration asks for; parts.py: as values that `cmanager.linux` takes.
"""

from ..runtime import INIT_ANNOTATION
from .asking import refuse
from .parts import identity, mounts, nodes
from .reading import read
from .sense import check_filter, check_process

__all__ = ["INIT_ANNOTATION", "check_filter", "check_process", "identity", "mounts", "nodes", "read", "refuse"]
