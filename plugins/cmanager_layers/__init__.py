"""The image store: content-addressed layer tarballs, pulled from a local registry directory of OCI image layouts.

registry.py   the registry directory, an OCI image layout per repository
store.py      the image seam, on `cmanager.model.imagestore`
extend.py     an image with one more layer; push.py a stored image in the registry directory
recipe.py     recipes and their checks; build.py makes images of them, tarball.py, packages.py and installed.py their
              layers, workshop.py the place where that is done and put into the registry directory whole
"""

from __future__ import annotations

import os
from typing import Any

from cmanager import hookimpl
from cmanager.linux.values import frozen
from cmanager.model import Context, Provider


@frozen
class Options:
    """registry: str, the local registry directory; "" for the checkout's, or for `registry` below the durable root."""

    registry: str = ""


def _layers(context: Context, options: Any) -> Any:
    from .store import LayerImages

    recipes = f"{context.shipped}/registry"
    checkout = os.path.exists(f"{context.shipped}/pyproject.toml")
    registry = options.registry or (recipes if checkout else f"{context.root}/registry")
    return LayerImages(context.state_dir, registry, recipes)


@hookimpl
def cmanager_images() -> list[Provider]:
    """One provider, `layers`."""
    return [Provider("layers", _layers, options=Options)]
