"""The overlay storage: each layer unpacked once, and overlayfs to stack them under a container's own directory."""

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


def _overlay(context: Context, options: Any) -> Any:
    from cmanager.linux.layers import Bounds, Store

    from .storage import OverlayStorage

    return OverlayStorage(Store(context.state_dir), Bounds(size=options.max_layer_bytes))


@hookimpl
def cmanager_storages() -> list[Provider]:
    """One provider, `overlay`."""
    return [Provider("overlay", _overlay, options=Options)]
