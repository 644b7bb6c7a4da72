"""This cmanager and what it imports, as files for an image: source only, which any Python of this version runs."""

from __future__ import annotations

import glob
import os
from importlib import metadata

from cmanager.errors import UnsupportedError

#: What cmanager imports, by the names of the distributions.
_IMPORTED = (
    "attrs",
    "click",
    "markdown-it-py",
    "mdurl",
    "pluggy",
    "pygments",
    "pyseccomp",
    "rich",
    "tomli",
)
_SOURCE = (".py", ".toml", ".json", ".typed")
#: Of a distribution's records: what says that it is installed, and what it offers.
_RECORDS = ("METADATA", "entry_points.txt")


def python_files() -> dict[str, bytes]:
    """Content by path, to be put into one directory of PYTHONPATH. Raises UnsupportedError, OSError."""
    import cmanager

    package = os.path.dirname(os.path.abspath(cmanager.__file__))
    plugins = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = _tree(package, "cmanager")
    for path in sorted(glob.glob(f"{glob.escape(plugins)}/cmanager_*/")):
        found |= _tree(path, os.path.basename(path.rstrip("/")))
    shipped = f"{package}/_shipped" if os.path.isdir(f"{package}/_shipped") else os.path.dirname(package)
    for path in (f"{shipped}/plugins.toml", *sorted(glob.glob(f"{glob.escape(shipped)}/registry/*.toml"))):
        found[f"cmanager/_shipped/{os.path.relpath(path, shipped)}"] = _read(path)
    for name in _IMPORTED:
        found |= _distribution(name)
    return found


def _tree(root: str, name: str) -> dict[str, bytes]:
    found = {}
    for directory, _, names in os.walk(root):
        for file in names:
            if file.endswith(_SOURCE):
                inside = os.path.normpath(f"{name}/{os.path.relpath(directory, root)}/{file}")
                found[inside] = _read(f"{directory}/{file}")
    return found


def _distribution(name: str) -> dict[str, bytes]:
    try:
        listed = metadata.files(name) or ()
    except metadata.PackageNotFoundError:
        listed = ()
    found = {
        str(path): _read(str(path.locate()))
        for path in listed
        if ".." not in path.parts and (path.suffix in _SOURCE or path.name in _RECORDS)
    }
    if not any(path.endswith(".py") for path in found):
        raise UnsupportedError(f"the recipe needs the files of the python package {name}, install it with pip")
    return found


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
