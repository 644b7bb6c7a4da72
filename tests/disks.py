"""A disk for tests: a file behind a loop device."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def disk(place: Path, megabytes: int = 64, scheduler: str = "") -> Iterator[str]:
    """Its node, such as "/dev/loop0"; gone afterwards. Skips where there is no such device or I/O scheduler."""
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", "--quiet", "loop"], check=False)
    file = place / "disk"
    file.write_bytes(b"")
    with file.open("r+b") as opened:
        opened.truncate(megabytes << 20)
    made = subprocess.run(["losetup", "--find", "--show", file], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    node = made.stdout.strip()
    queue = Path("/sys/block", Path(node).name, "queue/scheduler")
    before = chosen(node)
    try:
        if scheduler:
            _choose(queue, scheduler)
        yield node
    finally:
        if before != chosen(node):
            queue.write_text(before)
        subprocess.run(["losetup", "--detach", node], check=True)
        file.unlink()


def chosen(node: str) -> str:
    """The I/O scheduler of a disk."""
    text = Path("/sys/block", Path(node).name, "queue/scheduler").read_text().strip()
    return text.partition("[")[2].partition("]")[0] or text


def _choose(queue: Path, scheduler: str) -> None:
    try:
        queue.write_text(scheduler)
    except OSError as error:
        pytest.skip(f"this kernel has no I/O scheduler {scheduler}: {error.strerror}")
