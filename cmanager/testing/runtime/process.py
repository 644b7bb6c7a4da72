"""The program itself: arguments, environment, streams, identity and what it may do."""

from __future__ import annotations

import os
import signal

import pytest

from ...errors import UnsupportedError
from ...linux import capabilities
from .base import Base
from .box import Box
from .supervisor import supervised

_ODD = ["", "two words", "'\"$x\\", "ünï", "-n", "line\nbreak"]


def status(text: str) -> dict[str, str]:
    """/proc/PID/status by its words."""
    return {line.partition(":")[0]: line.partition(":")[2].strip() for line in text.splitlines()}


@supervised
class ProcessSuite(Base):
    """What `process` of config.json asks."""

    def test_arguments_arrive_as_they_are(self, box: Box) -> None:
        ended = box.run("sh", "-c", 'for one; do printf "%s|" "$one"; done', "sh", *_ODD)
        assert ended.out.decode() == "".join(f"{one}|" for one in _ODD)

    def test_the_name_it_is_called_by_is_the_first_argument(self, box: Box) -> None:
        assert box.run("cat", "/proc/self/cmdline").out == b"cat\0/proc/self/cmdline\0"

    def test_a_name_without_slash_is_looked_up_in_the_path_of_the_environment(self, box: Box) -> None:
        assert box.run("echo", "found", process={"env": ["PATH=/no/such:/etc:/bin"]}).text == "found"

    def test_the_environment_is_the_given_one(self, box: Box) -> None:
        given = ["PATH=/bin", "EMPTY=", "ODD=a=b 'c' ü"]
        found = box.run("cat", "/proc/self/environ", process={"env": given}).out.decode().rstrip("\0").split("\0")
        assert sorted(entry for entry in found if entry in given) == sorted(given)

    def test_the_environment_is_nothing_else(self, box: Box) -> None:
        box.needs("exact_environment")
        given = ["PATH=/bin", "EMPTY="]
        found = box.run("cat", "/proc/self/environ", process={"env": given}).out
        assert sorted(found.decode().rstrip("\0").split("\0")) == sorted(given)

    def test_the_working_directory(self, box: Box) -> None:
        assert box.run("pwd", process={"cwd": "/data"}).text == "/data"

    def test_a_working_directory_that_is_not_there_is_an_error(self, box: Box) -> None:
        box.refused(box.config("pwd", process={"cwd": "/no/such"}), at_start=True)

    def test_the_umask(self, box: Box) -> None:
        assert box.sh("umask") == "0022"

    def test_an_umask_of_ones_own(self, box: Box) -> None:
        box.needs("umask")
        assert box.sh("umask", process={"user": {"umask": 0o027}}) == "0027"

    def test_stdin_arrives_byte_for_byte(self, box: Box) -> None:
        data = os.urandom(1 << 20) + bytes(range(256))
        ended = box.run("cat", stdin=data)
        assert ended.code == 0
        assert ended.out == data

    def test_stdout_and_stderr_are_apart(self, box: Box) -> None:
        ended = box.run("sh", "-c", "echo out; echo err >&2")
        assert (ended.out, ended.err) == (b"out\n", b"err\n")

    def test_it_has_three_descriptors_and_no_more(self, box: Box) -> None:
        """Not even those that the supervisor left open for its children (CVE-2024-21626)."""
        bait = os.open(".", os.O_RDONLY)
        os.set_inheritable(bait, True)
        found = [line.split() for line in box.sh("ls -l /proc/self/fd").splitlines() if "->" in line]
        # ls holds the directory that it lists.
        kept = sorted(int(words[-3]) for words in found if not words[-1].startswith("/proc/"))
        os.close(bait)
        assert kept == [0, 1, 2]

    def test_signals_are_as_in_a_new_process(self, box: Box) -> None:
        """Nothing is ignored or blocked, whatever the supervisor ignores (execve(2) would keep it)."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGUSR1})
        found = status(box.run("cat", "/proc/self/status").text)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        assert int(found["SigIgn"], 16) == 0
        assert int(found["SigBlk"], 16) == 0

    def test_it_runs_as_root_when_nothing_else_is_said(self, box: Box) -> None:
        found = status(box.run("cat", "/proc/self/status").text)
        assert found["Uid"].split() == found["Gid"].split() == ["0"] * 4
        assert found["Groups"] in ("", "0")

    def test_it_runs_as_the_user_with_the_groups(self, box: Box) -> None:
        box.needs("user")
        user = {"uid": 1000, "gid": 1001, "additionalGids": [7, 1002]}
        found = status(box.run("cat", "/proc/self/status", process={"user": user}).text)
        assert found["Uid"].split() == ["1000"] * 4
        assert found["Gid"].split() == ["1001"] * 4
        assert found["Groups"].split() == ["7", "1002"]

    def test_another_user_may_not_do_what_root_may(self, box: Box) -> None:
        box.needs("user")
        ended = box.run("touch", "/etc/new", process={"user": {"uid": 1000, "gid": 1000}})
        assert ended.code == 1
        assert not (box.root / "etc/new").exists()

    def test_resource_limits(self, box: Box) -> None:
        box.needs("rlimits")
        limits = [
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        ]
        assert box.sh("ulimit -Sn; ulimit -Hn; ulimit -c", process={"rlimits": limits}).split() == ["100", "200", "0"]

    def test_capabilities(self, box: Box) -> None:
        box.needs("capabilities")
        sets = {"bounding": ["CAP_CHOWN", "CAP_KILL"], "permitted": ["CAP_CHOWN", "CAP_KILL"], "effective": []}
        found = status(box.run("cat", "/proc/self/status", process={"capabilities": sets}).text)
        both = capabilities.mask(["CAP_CHOWN", "CAP_KILL"])
        # A program that root executes gains all that is permitted (capabilities(7)).
        assert [int(found[word], 16) for word in ("CapBnd", "CapPrm", "CapEff")] == [both] * 3
        assert [int(found[word], 16) for word in ("CapInh", "CapAmb")] == [0, 0]

    def test_a_user_keeps_ambient_capabilities_and_no_others(self, box: Box) -> None:
        box.needs("capabilities", "user")
        kept = ["CAP_KILL"]
        same = dict.fromkeys(("permitted", "effective", "inheritable", "ambient"), kept)
        sets = {"bounding": ["CAP_CHOWN", *kept], **same}
        process = {"capabilities": sets, "user": {"uid": 1000, "gid": 1000}}
        try:
            found = status(box.run("cat", "/proc/self/status", process=process).text)
        except UnsupportedError as error:
            pytest.skip(str(error))
        words = ("CapPrm", "CapEff", "CapInh", "CapAmb")
        assert [int(found[word], 16) for word in words] == [capabilities.mask(kept)] * 4
        assert int(found["CapBnd"], 16) == capabilities.mask(sets["bounding"])

    @pytest.mark.parametrize("wanted", [False, True])
    def test_no_new_privileges(self, box: Box, wanted: bool) -> None:
        box.needs("no_new_privileges")
        found = status(box.run("cat", "/proc/self/status", process={"noNewPrivileges": wanted}).text)
        assert found["NoNewPrivs"] == str(int(wanted))

    @pytest.mark.parametrize("privileges", [False, True])
    def test_the_system_call_filter_is_in_force(self, box: Box, privileges: bool) -> None:
        box.needs("seccomp", "no_new_privileges")
        rules = [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]
        ended = box.run(
            *("sh", "-c", "cat /proc/self/status; mkdir /new"),
            process={"noNewPrivileges": not privileges},
            linux={"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}},
        )
        assert status(ended.out.decode())["Seccomp"] == "2"
        assert b"not supported" in ended.err.lower()
        assert not (box.root / "new").exists()

    def test_without_a_filter_there_is_none(self, box: Box) -> None:
        assert status(box.run("cat", "/proc/self/status").text)["Seccomp"] == status(_own())["Seccomp"]

    def test_an_init_passes_the_exit_code_and_signals_on(self, box: Box) -> None:
        box.needs("init")
        init = {"dev.cmanager.init": "true"}
        assert box.run("sh", "-c", "exit 42", annotations=init).code == 42
        box.begin("sh", "-c", "echo ready; exec sleep 60", annotations=init)
        box.line()
        box.kill(signal.SIGTERM)
        assert box.finish().code == 128 + signal.SIGTERM
        box.delete()

    def test_an_init_reaps_orphans(self, box: Box) -> None:
        box.needs("init")
        box.needs_namespaces("pid")
        script = "(sleep 0.05 & echo $!) >/pid; sleep 0.3; test ! -e /proc/$(cat /pid) && echo reaped"
        assert box.sh(script, annotations={"dev.cmanager.init": "true"}) == "reaped"


def _own() -> str:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return file.read()
