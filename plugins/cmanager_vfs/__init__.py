"""The vfs storage: ordinary directories and copies. Slow and large, and it works on every file system."""

from __future__ import annotations

from typing import Any

from attrs import field
from attrs.validators import gt

from cmanager import hookimpl
from cmanager.linux.values import frozen
from cmanager.model import Context, Provider


@frozen
class Options:
    """max_layer_bytes: int, the largest layer that is unpacked, uncompressed."""

    max_layer_bytes: int = field(default=10 << 30, validator=gt(0))


def _vfs(context: Context, options: Any) -> Any:
    from cmanager.linux.layers import Bounds, Store

    from .storage import VfsStorage

    return VfsStorage(Store(context.state_dir), Bounds(size=options.max_layer_bytes))


@hookimpl
def cmanager_storages() -> list[Provider]:
    """One provider, `vfs`."""
    return [Provider("vfs", _vfs, options=Options)]
