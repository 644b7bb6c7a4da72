"""What is mounted inside: the same under every runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...support import Cli
from .matrix import Runtime, answers, sheet

#: With native its own files of tests say the same every day.
pytestmark = [pytest.mark.root, pytest.mark.everyday("runc", "lxc")]


def test_binds_volumes_and_tmpfs(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from outside\n")
    (tmp_path / "alone").write_text("one file\n")
    options = (
        *("-v", f"{tmp_path}:/rw", "-v", f"{tmp_path}:/ro:ro", "-v", f"{tmp_path}/alone:/etc/alone:ro"),
        *("-v", "matrix:/etc", "--tmpfs", "/t:size=1m,mode=700", "-v", "/anonymous"),
    )
    expected = {
        "a bind shows what is there": ("cat /rw/file", "from outside"),
        "a bind takes what is written": ("echo from inside > /rw/new && echo written", "written"),
        "a read-only bind shows it too": ("cat /ro/new", "from inside"),
        "a read-only bind takes nothing": ("touch /ro/x 2>&1 | grep -o Read-only", "Read-only"),
        "one file can be bound": ("cat /etc/alone", "one file"),
        "a volume is filled from the image": ("grep -c ^root: /etc/passwd", "1"),
        "a volume takes what is written": ("echo kept > /etc/kept && echo written", "written"),
        "a volume without a name is one": ("grep -c ' /anonymous ' /proc/self/mounts", "1"),
        "a tmpfs has its size": ("df -k /t | tail -1 | awk '{print $2}'", "1024"),
        "a tmpfs has its mode": ("stat -c %a /t", "700"),
    }
    found = cli.ok("run", "--rm", *options, "busybox", *sheet({name: script for name, (script, _) in expected.items()}))
    assert answers(found) == {name: answer for name, (_, answer) in expected.items()}
    assert (tmp_path / "new").read_text() == "from inside\n"
    assert cli.ok("run", "--rm", "-v", "matrix:/old:ro", "busybox", "cat", "/old/kept") == "kept"
    cli.ok("volume", "rm", "matrix")


def test_a_read_only_root_has_places_to_write(cli: Cli) -> None:
    scripts = {
        "the root": "touch /x 2>&1 | grep -o Read-only",
        "a tmpfs": "touch /tmp/x && echo written",
        "the shared memory": "touch /dev/shm/x && echo written",
    }
    found = answers(cli.ok("run", "--rm", "--read-only", "--tmpfs", "/tmp", "busybox", *sheet(scripts)))
    assert found == {"the root": "Read-only", "a tmpfs": "written", "the shared memory": "written"}


def test_the_mounts_of_every_container(cli: Cli) -> None:
    quiet = {"nosuid", "nodev", "noexec"}
    expected = {
        "/proc": ("proc", quiet),
        "/dev": ("tmpfs", {"nosuid"}),
        "/dev/pts": ("devpts", {"nosuid", "noexec"}),
        "/dev/shm": ("tmpfs", quiet),
        "/dev/mqueue": ("mqueue", quiet),
        "/sys": ("sysfs", {"ro", *quiet}),
    }
    found = {}
    for line in cli.ok("run", "--rm", "busybox", "cat", "/proc/self/mountinfo").splitlines():
        fields, _, rest = line.partition(" - ")
        words = fields.split()
        found[words[4]] = (rest.split()[0], set(words[5].split(",")))
    for target, (kind, options) in expected.items():
        assert found.get(target, ("", set()))[0] == kind, target
        assert options <= found[target][1], target


def test_nothing_of_it_is_seen_outside(cli: Cli, runtime: Runtime, tmp_path: Path) -> None:
    def mounted() -> list[str]:
        return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if " nsfs " not in line]

    before = mounted()
    cli.ok("run", "-d", "--name", "mounted", "--tmpfs", "/t", "-v", f"{tmp_path}:/rw", "busybox", "sleep", "1000")
    assert mounted() == before
    cli.ok("rm", "-f", "mounted")
