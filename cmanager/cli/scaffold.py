"""A new plugin package, made from the templates beside this file: a working provider of one seam, renamed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator

from ..errors import ConflictError, HostError, InvalidError

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 14
_TEMPLATES = os.path.join(os.path.dirname(__file__), "templates")
#: What the templates call theirs.
_WORD = "mine"


def check_name(name: str, taken: list[str], seam: str) -> None:
    """Raise InvalidError for a name that cannot be a package's, ConflictError for one that the seam has already."""
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise InvalidError(
            f"invalid plugin name {name[:60]!r}, expected at most {_LONGEST} lower-case letters, digits and single "
            "underscores between them, the first a letter"
        )
    if name in taken:
        raise ConflictError(f"{seam} {name!r} exists already, choose another name, see: cmanager plugin ls")


def write(name: str, seam: str, directory: str) -> None:
    """Make `directory` a package with the provider `name` of `seam`, whole or not at all.

    Raises ConflictError when it exists, HostError when it cannot be written.
    """
    directory = os.path.abspath(directory)
    if os.path.lexists(directory):
        raise ConflictError(f"{directory} exists already, choose another --directory")
    beside = f"{directory}.{os.urandom(4).hex()}"
    try:
        os.mkdir(beside)
        try:
            for path, text in _files(name, seam):
                os.makedirs(os.path.dirname(f"{beside}/{path}"), exist_ok=True)
                with open(f"{beside}/{path}", "x", encoding="utf-8") as file:
                    file.write(text)
            os.rename(beside, directory)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise HostError.of("write a plugin to", directory, error) from None


def _files(name: str, seam: str) -> Iterator[tuple[str, str]]:
    """(path, content) of every file of the package."""
    places = {
        "pyproject.toml": "pyproject.toml",
        f"{seam}/README.md": "README.md",
        f"{seam}/cmanager_mine.py": f"cmanager_{name}.py",
        f"{seam}/test_mine.py": f"tests/test_{name}.py",
    }
    for template, path in places.items():
        with open(f"{_TEMPLATES}/{template}", encoding="utf-8") as file:
            text = file.read()
        yield path, _renamed(text, name).replace("SEAM", seam)


def _renamed(text: str, name: str) -> str:
    """A template with another word for "mine", in capitals where it begins the name of a class."""
    text = text.replace(_WORD.capitalize(), "".join(map(str.capitalize, name.split("_"))))
    return re.sub(rf"(\b|_){_WORD}\b", rf"\g<1>{name}", text)
