"""What every test stands on: a host of its own to work in, and a look at what was left behind.

Tests marked `root` run in a network and a mount namespace made for the session, so that bridges, forwarding, nftables
rules and mounts never reach the machine, nor its own reach the tests; the state directories are temporary. `leaks`
compares before and after.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmanager.linux import syscalls, userns

from .support import Snapshot

#: The kit, which a checkout is not installed for; loaded once, also where it is.
pytest_plugins = ["cmanager.testing.plugin"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not os.environ.get("CMANAGER_FULL"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root: run it with sudo"))


@pytest.fixture(scope="session")
def outside() -> Iterator[int]:
    """The network namespace in which the tests were started, which has the package mirrors."""
    fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    yield fd
    os.close(fd)


@pytest.fixture(scope="session")
def mirrors(outside: int) -> int:
    """The network that has the package mirrors, for what is built from packages."""
    if os.environ.get("CMANAGER_TEST_OFFLINE"):
        pytest.skip("needs package mirrors, CMANAGER_TEST_OFFLINE says that there are none")
    return outside


@pytest.fixture(scope="session")
def user_namespaces() -> None:
    """For tests that need one."""
    if not userns.available():
        pytest.skip("no user namespace can be made here: the host forbids it, or the root was changed (chroot)")


@pytest.fixture(scope="session", autouse=True)
def own_network(outside: int) -> Iterator[None]:
    """The whole session, and every command it runs, in namespaces of its own."""
    if os.geteuid() != 0:
        yield
        return
    syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "none", syscalls.MS_PRIVATE | syscalls.MS_REC)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # The first `ip netns add` makes its directory a mount (ip-netns(8)), which stays: not something to be found later.
    for verb in ("add", "delete"):
        subprocess.run(["ip", "netns", verb, "cmanager-tests"], check=True)
    yield
    syscalls.setns(outside, syscalls.CLONE_NEWNET)


@pytest.fixture(scope="session", autouse=True)
def leaks(own_network: None) -> Iterator[None]:
    """Nothing the session made is left: mounts, links, cgroups, namespaces, nftables, processes."""
    if os.geteuid() != 0:
        yield
        return
    before = Snapshot.take()
    yield
    for path in Snapshot.take().cgroups - before.cgroups:
        # The limiter keeps its empty parent on purpose; here it would be a trace of the tests.
        if os.path.basename(path).startswith("cmanager"):
            os.rmdir(path)
    assert Snapshot.take().beyond(before) == {}


@pytest.fixture
def unchanged() -> Iterator[None]:
    """The same for a single test that promises it."""
    before = Snapshot.take()
    yield
    assert Snapshot.take().beyond(before) == {}


@pytest.fixture(scope="session")
def checkout() -> Path:
    return Path(__file__).parent.parent
