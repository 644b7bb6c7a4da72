"""What mine adds, refuses and writes down."""

from pathlib import Path

import cmanager_mine
import pytest

from cmanager.errors import InvalidError
from cmanager.model import Event


def test_a_container_learns_of_it() -> None:
    assert cmanager_mine.cmanager_amend({"mounts": [{"source": "/srv"}]}).env == {"KNOWN_TO": "mine"}


def test_the_hosts_root_is_refused() -> None:
    with pytest.raises(InvalidError, match="root directory"):
        cmanager_mine.cmanager_amend({"mounts": [{"source": "/"}]})


def test_what_happens_to_containers_is_written_down(tmp_path: Path) -> None:
    options = {"log": str(tmp_path / "log")}
    cmanager_mine.cmanager_event(Event("container", "start", "0" * 64, 1.5, {"name": "box"}), options)
    cmanager_mine.cmanager_event(Event("image", "pull", "busybox", 2.5), options)
    assert (tmp_path / "log").read_text() == f"1.500 start {'0' * 64} box\n"
