"""What docs/plugins.md quotes of a plugin is what the plugin says."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent


def test_the_tutorial_quotes_the_runtime_as_it_is() -> None:
    text = (CHECKOUT / "docs/plugins.md").read_text()
    section = text.split("## A runtime in one file\n", 1)[1].split("\n## ", 1)[0]
    quoted = re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, re.MULTILINE)
    blocks = ["".join(line[4:] or "\n" for line in block.splitlines(keepends=True)).strip("\n") for block in quoted]
    source = (CHECKOUT / "plugins/cmanager_chroot/__init__.py").read_text()
    assert len(blocks) > 8
    assert [block for block in blocks if f"\n{block}\n" not in source] == []
