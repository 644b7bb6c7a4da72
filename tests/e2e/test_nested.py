"""A container inside a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support import Cli
from .conftest import build

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def image(registry: Path, request: pytest.FixtureRequest) -> str:
    if not (registry / "debian-python" / "index.json").exists():
        build(request.getfixturevalue("mirrors"), "debian-python")
    return "debian-python"


def test_a_container_in_a_container(cli: Cli, image: str, registry: Path) -> None:
    inner = "python3 -m cmanager run --rm --runtime native busybox echo from the inside"
    options = ("--privileged", "--tmpfs", "/var/lib/cmanager:exec,mode=700", "-v", f"{registry}:/registry:ro")
    script = f"printf '[image.layers]\\nregistry = \"/registry\"\\n' > /tmp/c.toml; CMANAGER_CONFIG=/tmp/c.toml {inner}"
    done = cli("run", "--rm", *options, image, "sh", "-c", script)
    assert done.stdout.strip() == "from the inside", done.stderr
