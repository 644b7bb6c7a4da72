"""One more program in a running container (`cmanager.seams.Exec`)."""

from __future__ import annotations

import os
import signal

import pytest

from ...errors import CmanagerError, CommandError
from ...linux import capabilities, syscalls
from .base import Base
from .box import Box
from .process import status
from .supervisor import descendants, supervised, until

_KINDS = ("mount", "pid", "ipc", "uts", "cgroup", "network")


@supervised
class ExecSuite(Base):
    """What `exec` promises."""

    def test_its_exit_code_and_streams_are_its_own(self, box: Box) -> None:
        _running(box)
        ended = box.exec("sh", "-c", "cat; echo err >&2; exit 42", stdin=b"in")
        assert (ended.code, ended.out, ended.err) == (42, b"in", b"err\n")
        _end(box)

    def test_stdin_of_one_more_program_arrives_byte_for_byte(self, box: Box) -> None:
        _running(box)
        data = os.urandom(1 << 20)
        assert box.exec("cat", stdin=data).out == data
        _end(box)

    def test_a_signal_that_kills_it_is_128_and_its_number(self, box: Box) -> None:
        _running(box)
        assert box.exec("sh", "-c", "kill -TERM $$").code == 128 + signal.SIGTERM
        assert box.exec("sh", "-c", "kill -KILL $$").code == 128 + signal.SIGKILL
        _end(box)

    @pytest.mark.parametrize(
        ("name", "code"), [("no-such", 127), ("/no/such", 127), ("/etc/motd", 126), ("/etc", 126), ("text", 126)]
    )
    def test_what_cannot_be_executed_is_an_error(self, box: Box, name: str, code: int) -> None:
        _running(box)
        before = set(descendants())
        with pytest.raises(CommandError) as raised:
            box.exec(name)
        assert raised.value.exit_code == code, raised.value
        assert name in str(raised.value)
        until(lambda: set(descendants()) == before, "what tried it is gone")
        _end(box)

    def test_it_is_in_the_namespaces_of_the_container(self, box: Box) -> None:
        _running(box)
        files = [f"/proc/self/ns/{syscalls.NAMESPACES[kind][1]}" for kind in _KINDS]
        inside = box.exec("sh", "-c", f"for one in {' '.join(files)}; do readlink $one; done").text.split()
        assert inside == [os.readlink(file.replace("self", str(box.pid))) for file in files]
        _end(box)

    def test_it_sees_the_root_and_mounts_of_the_container(self, box: Box) -> None:
        _running(box)
        assert box.exec("cat", "/etc/motd").text == "welcome"
        assert box.exec("sh", "-c", "echo new >/etc/new; cat /proc/1/mounts | head -1").code == 0
        assert (box.root / "etc/new").read_text() == "new\n"
        _end(box)

    def test_arguments_environment_and_directory_are_the_given_ones(self, box: Box) -> None:
        _running(box)
        env = ["PATH=/bin", "EMPTY=", "ODD=a=b 'c' ü"]
        found = box.exec("cat", "/proc/self/environ", env=env).out.decode().rstrip("\0").split("\0")
        assert sorted(entry for entry in found if entry in env) == sorted(env)
        assert box.exec("sh", "-c", 'printf "%s|" "$@"', "sh", "", "two words", "-n").out == b"|two words|-n|"
        assert box.exec("pwd", cwd="/data").text == "/data"
        _end(box)

    def test_a_working_directory_that_is_not_there_is_an_error_of_exec(self, box: Box) -> None:
        _running(box)
        with pytest.raises(CmanagerError):
            box.exec("pwd", cwd="/no/such")
        _end(box)

    def test_one_more_program_runs_as_the_user_with_the_groups(self, box: Box) -> None:
        box.needs("user")
        _running(box)
        user = {"uid": 1000, "gid": 1001, "additionalGids": [7, 1002]}
        found = status(box.exec("cat", "/proc/self/status", user=user).text)
        assert found["Uid"].split() == ["1000"] * 4
        assert found["Gid"].split() == ["1001"] * 4
        assert found["Groups"].split() == ["7", "1002"]
        _end(box)

    def test_it_may_no_more_than_it_is_given(self, box: Box) -> None:
        box.needs("capabilities", "no_new_privileges")
        _running(box)
        sets = {"bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"]}
        found = status(box.exec("cat", "/proc/self/status", capabilities=sets, noNewPrivileges=True).text)
        assert int(found["CapBnd"], 16) == capabilities.mask(["CAP_CHOWN"])
        assert [int(found[word], 16) for word in ("CapInh", "CapAmb")] == [0, 0]
        assert found["NoNewPrivs"] == "1"
        _end(box)

    def test_the_containers_system_call_filter_holds_for_it(self, box: Box) -> None:
        box.needs("seccomp")
        rules = [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]
        _running(box, linux={"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}})
        ended = box.exec("sh", "-c", "cat /proc/self/status; mkdir /new")
        assert status(ended.out.decode())["Seccomp"] == "2"
        assert b"not supported" in ended.err.lower()
        _end(box)

    def test_one_more_program_has_three_descriptors_and_no_more(self, box: Box) -> None:
        _running(box)
        bait = os.open(".", os.O_RDONLY)
        os.set_inheritable(bait, True)
        found = [line.split() for line in box.exec("ls", "-l", "/proc/self/fd").text.splitlines() if "->" in line]
        kept = sorted(int(words[-3]) for words in found if not words[-1].startswith("/proc/"))
        os.close(bait)
        assert kept == [0, 1, 2]
        _end(box)

    def test_the_container_goes_on_without_it(self, box: Box) -> None:
        _running(box)
        for code in range(5):
            assert box.exec("sh", "-c", f"exit {code}").code == code
        assert box.finish(b"go\n").code == 9
        box.delete()

    def test_a_container_that_is_gone_is_an_error(self, box: Box) -> None:
        _running(box)
        assert box.finish(b"go\n").code == 9
        with pytest.raises(CmanagerError):
            box.exec("true")
        box.delete()


def _running(box: Box, **change: object) -> None:
    """A container that waits for a line and leaves with 9; skips where there is no exec."""
    box.needs_exec()
    box.begin("sh", "-c", "echo ready; read line; exit 9", **change)
    box.line()


def _end(box: Box) -> None:
    assert box.finish(b"go\n").code == 9
    box.delete()
