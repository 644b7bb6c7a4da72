"""The package that docs/plugins.md shows, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from .support import CHECKOUT

DOCUMENT = CHECKOUT / "docs/plugins.md"
SECTION = "A network in an hour"
_FILE = re.compile(r"^`(?P<path>[\w./-]+)`:\n\n(?P<block>(?:    .*\n|\n(?=\n*    ))+)", re.MULTILINE)


def section(title: str) -> str:
    """The text of one section of docs/plugins.md, without its heading."""
    return DOCUMENT.read_text().split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def files() -> dict[str, str]:
    """Path to content of each file that the tutorial lets its reader write."""
    found = {}
    for match in _FILE.finditer(section(SECTION)):
        lines = match["block"].rstrip("\n").split("\n")
        found[match["path"]] = "\n".join(line[4:] for line in lines) + "\n"
    return found


def write(place: Path) -> Path:
    """Write the package into a new directory, which is returned."""
    for path, content in files().items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(content)
    return place
