"""What every test stands on: a host of its own to work in, and a look at what was left behind.

Tests marked `root` run in a network and a mount namespace made for the session, so that bridges, forwarding, nftables
rules and mounts never reach the machine, nor its own reach the tests; the state directories are temporary. What was
there before and after is compared: in those namespaces by `leaks`, on the machine when the last worker has ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from cmanager.linux import syscalls, userns

from . import turns
from .support import OWN_KINDS, SHARED_KINDS, Snapshot

#: The kit, which a checkout is not installed for, loaded once also where it is; and what is told of mutants at the end.
pytest_plugins = ["cmanager.testing.plugin", "tests.mutants.table"]


def pytest_configure(config: pytest.Config) -> None:
    # In the background of a script it is ignored, and by every program that a test starts too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # What a slot is made of would be found on the machine after a test.
    os.environ.setdefault("CMANAGER_POOL", "0")
    if not _is_worker(config):
        os.environ[turns.VARIABLE] = tempfile.mkdtemp(prefix="cmanager-tests-")  # its workers inherit it


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _is_worker(config):
        shutil.rmtree(os.environ.pop(turns.VARIABLE))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test runs beside those of other workers, unless it says that it must not."""
    with turns.shared(), turns.alone() if item.get_closest_marker("alone") else nullcontext():
        return (yield)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not os.environ.get("CMANAGER_FULL"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    for item in items:
        if "unchanged" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.alone)
        if os.geteuid() != 0 and item.get_closest_marker("root"):
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
    _forget_the_machines()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # A namespace is born with what the machine's first has (devconf_inherit_init_net); a machine boots without.
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0", encoding="ascii")
    # The first `ip netns add` makes its directory a mount (ip-netns(8)), which stays: not something to be found later.
    for verb in ("add", "delete"):
        subprocess.run(["ip", "netns", verb, f"cmanager-tests-{os.getpid()}"], check=True)
    yield
    syscalls.setns(outside, syscalls.CLONE_NEWNET)


def _forget_the_machines() -> None:
    """The mounts of the machine's own manager: when it removes where they are, they go from every namespace."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        places = [line.split()[4] for line in file]
    for place in reversed(places):
        if place.startswith("/run/cmanager/"):
            syscalls.umount(place, syscalls.MNT_DETACH)


@pytest.fixture(scope="session", autouse=True)
def leaks(own_network: None) -> Iterator[None]:
    """Nothing the session made in its namespaces is left: mounts, links, nftables."""
    if os.geteuid() != 0:
        yield
        return
    before = Snapshot.take()
    yield
    assert Snapshot.take().beyond(before, OWN_KINDS) == {}


_BEFORE = pytest.StashKey[Snapshot]()


def pytest_sessionstart(session: pytest.Session) -> None:
    if os.geteuid() == 0 and not _is_worker(session.config):
        session.stash[_BEFORE] = Snapshot.take()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nothing that the session, or any of its workers, made on the machine is left: cgroups, namespaces, processes."""
    if _BEFORE not in session.stash:
        return
    before = session.stash[_BEFORE]
    for path in Snapshot.take().cgroups - before.cgroups:
        # The limiter keeps its empty parent on purpose; here it would be a trace of the tests.
        if os.path.basename(path).startswith("cmanager"):
            with suppress(OSError):  # something is left in it, which is told below
                os.rmdir(path)
    left = Snapshot.take().beyond(before, SHARED_KINDS)
    if left:
        session.config.get_terminal_writer().line(f"left on the machine: {left}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")  # of pytest-xdist


@pytest.fixture
def unchanged() -> Iterator[None]:
    """The machine is as it was, for a single test that promises it; it has the machine alone."""
    before = Snapshot.take()
    yield
    assert Snapshot.take().beyond(before) == {}


@pytest.fixture(scope="session")
def checkout() -> Path:
    return Path(__file__).parent.parent
