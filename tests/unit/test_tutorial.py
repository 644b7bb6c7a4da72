"""What docs/plugins.md shows is what there is: the runtime that it quotes, and the package that it builds."""

from __future__ import annotations

import re
from pathlib import Path

from cmanager.cli.main import run

from .. import tutorial
from ..support import CHECKOUT


def test_the_tutorial_quotes_the_runtime_as_it_is() -> None:
    quoted = re.findall(r"(?:^    .*\n|^\n(?=    ))+", tutorial.section("A runtime in one file"), re.MULTILINE)
    blocks = ["".join(line[4:] or "\n" for line in block.splitlines(keepends=True)).strip("\n") for block in quoted]
    files = ("plugins/cmanager_chroot/__init__.py", "cmanager/linux/forked.py")
    source = "".join((CHECKOUT / name).read_text() for name in files)
    assert len(blocks) > 8
    assert [block for block in blocks if f"\n{block}\n" not in source] == []


def test_the_package_of_the_tutorial_is_what_plugin_new_writes(tmp_path: Path) -> None:
    """That it works, built from what the page says, is tried in tests/e2e/test_thirdparty.py."""
    assert run(["plugin", "new", "island", "--seam", "network", "--directory", str(tmp_path / "island")]) == 0
    written = {
        str(path.relative_to(tmp_path / "island")): path.read_text()
        for path in (tmp_path / "island").rglob("*")
        if path.is_file()
    }
    assert tutorial.files() == written
