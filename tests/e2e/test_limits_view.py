"""What a container sees of cgroups: its own, which it cannot change, and no way to the host's."""

from __future__ import annotations

import pytest

from ..support import Cli

pytestmark = pytest.mark.root

#: The file that names a program for the kernel to run on the host lies at the top of a v1 hierarchy (cgroups(7)).
_FIND = "find /sys/fs/cgroup /tmp/made -name release_agent 2>/dev/null"
_MOUNT = "mkdir -p /tmp/made; mount -t cgroup -o {} made /tmp/made 2>/dev/null && echo mounted; umount /tmp/made"


def test_it_is_at_the_top_of_what_it_sees_and_cannot_write(cli: Cli) -> None:
    script = """
    cut -d: -f3 /proc/self/cgroup | sort -u
    find /sys/fs/cgroup -name '*[0-9a-f]*' -type d | grep -E '[0-9a-f]{64}'
    for file in $(find /sys/fs/cgroup -name cgroup.procs -o -name pids.max -o -name memory.max); do
        (echo 1 > $file) 2>/dev/null && echo written $file
    done
    mkdir /sys/fs/cgroup/mine /sys/fs/cgroup/*/mine 2>/dev/null && echo made
    true
    """
    assert cli.ok("run", "--rm", "busybox", "sh", "-c", script) == "/"


@pytest.mark.parametrize(
    "options",
    [(), ("--cap-add", "SYS_ADMIN"), ("--cap-add", "ALL", "--security-opt", "seccomp=unconfined"), ("--privileged",)],
    ids=["default", "SYS_ADMIN", "ALL", "privileged"],
)
def test_the_hosts_release_agent_cannot_be_reached(cli: Cli, options: tuple[str, ...]) -> None:
    """Neither in what is mounted, nor by mounting a hierarchy of the host or a new one, which would have its own."""
    tries = "\n".join(f"{_MOUNT.format(what)} 2>/dev/null" for what in ("none,name=made", "net_prio", "rdma", "misc"))
    seen = "\n".join(f"{_MOUNT.format(what).replace('umount', _FIND + '; umount')}" for what in ("memory", "pids"))
    script = (
        f"mount -o remount,rw /sys/fs/cgroup 2>/dev/null; {_FIND}\n{tries}\n({seen}) 2>/dev/null | grep agent; true"
    )
    assert cli.ok("run", "--rm", *options, "busybox", "sh", "-c", script) == ""
