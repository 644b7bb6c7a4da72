"""Fifty containers, eight at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ...support import Cli, Snapshot

pytestmark = pytest.mark.root


@pytest.mark.alone
@pytest.mark.everyday("native")
def test_fifty_runs_are_right_and_nothing_is_left(cli: Cli) -> None:
    cli.ok("run", "--rm", "busybox", "true")  # layers and the limiter's parent are there
    before = Snapshot.take()

    def run(number: int) -> tuple[int, str]:
        done = cli("run", "--rm", "busybox", "sh", "-c", f"echo {number}; exit {number}")
        return done.returncode, done.stdout or done.stderr

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(run, range(50)))
    assert told == [(number, f"{number}\n") for number in range(50)]
    assert cli.names() == []
    left = Snapshot.take().beyond(before)
    assert left == {}
