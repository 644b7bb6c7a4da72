"""From create to delete: who runs when, exit codes, signals, and that nothing is left."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress

import pytest

from ...errors import CmanagerError, CommandError, ConflictError, NotFoundError
from ...linux import syscalls
from ...linux.process import Process, children
from ...model import Bundle, Features
from ...model.runtime import OPTIONS
from ...seams import Runtime
from .base import Base
from .box import Box, traces
from .supervisor import descendants, reap, supervised, until

#: Says "ready" and waits; a handler of the signal $1 says so and leaves with 7.
_TRAP = 'trap "echo caught; exit 7" "$1"; echo ready; while :; do sleep 0.02; done'
_LIFECYCLES = 20


@supervised
class LifecycleSuite(Base):
    """The verbs and their order."""

    def test_it_is_a_runtime(self, box: Box) -> None:
        assert isinstance(box.runtime, Runtime), "a method of cmanager.seams.Runtime is missing"

    def test_telling_what_it_can_do_changes_nothing(self, box: Box) -> None:
        before = traces()
        found = box.runtime.features()
        assert traces() == before, "features must have no side effect"
        assert isinstance(found, Features)
        assert set(found.namespaces) <= set(syscalls.NAMESPACES), "namespaces are named as OCI does"
        assert set(found.options) <= set(OPTIONS), "options are those of cmanager.model.runtime.OPTIONS"
        assert len(set(found.options)) == len(found.options), "an option is announced once"

    @pytest.mark.parametrize("code", [0, 1, 42, 255])
    def test_the_programs_exit_code_is_the_containers(self, box: Box, code: int) -> None:
        assert box.run("sh", "-c", f"exit {code}").code == code, "wait must return the program's own exit code"

    def test_create_runs_no_user_code(self, box: Box) -> None:
        box.create(box.config("sh", "-c", "echo ran; touch /ran"))
        with pytest.raises(AssertionError):
            until(lambda: (box.root / "ran").exists(), "the program ran before start", 0.3)
        box.start()
        assert box.finish().text == "ran"
        assert (box.root / "ran").exists()
        box.delete()

    def test_a_container_that_is_never_started_can_be_deleted(self, box: Box) -> None:
        before = traces()
        box.create(box.config("touch", "/ran"))
        box.delete()
        assert not (box.root / "ran").exists()
        assert traces()["descriptors"] == before["descriptors"], "delete must close what create opened"
        assert box.left() == {}, "no process may be left"

    def test_the_pid_is_alive_from_create_to_the_programs_end(self, box: Box) -> None:
        """Between the two `start` may name another."""
        pid = box.create(box.config("sh", "-c", "read line"))
        assert pid in descendants(), "neither a child of the supervisor nor one that it adopted"
        pidfd = os.pidfd_open(pid)
        assert not select.select([pidfd], [], [], 0.2)[0]
        os.close(pidfd)
        box.start()
        assert box.pid in descendants()
        pidfd = os.pidfd_open(box.pid)
        assert not select.select([pidfd], [], [], 0.2)[0]
        box.finish(b"go\n")
        assert select.select([pidfd], [], [], 5)[0]
        os.close(pidfd)
        box.delete()

    def test_a_container_outlives_the_process_that_started_it(self, box: Box) -> None:
        """`Adopt`: that one was forked from this one and has ended, so the container is this one's child by now."""
        runtime = box.adopts()
        box.needs("hooks")
        stopped = box.directory.parent / "stopped"
        hooks = {"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", f"echo yes >{stopped}"]}]}
        before = set(children(os.getpid()))
        forked = os.fork()
        if not forked:
            try:
                box.begin("sh", "-c", "sleep 0.2; exit 42", hooks=hooks)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(forked, 0)[1] == 0, "it starts in the other process"
        ours = set(children(os.getpid())) - before
        assert len(ours) == 1, "its first process is what has become this one's child"
        (pid,) = ours
        runtime.adopt(Bundle(box.id, str(box.directory)), pid)
        assert box.wait() == 42
        assert box.wait() == 42, "asked again it is the same"
        box.delete()
        assert stopped.read_text() == "yes\n", "its hooks are those of its bundle"
        assert box.left() == {}

    def test_killing_the_pid_ends_the_container(self, box: Box) -> None:
        box.begin("sh", "-c", "echo ready; exec sleep 60")
        box.line()
        os.kill(box.pid, signal.SIGKILL)
        assert box.finish().code == 128 + signal.SIGKILL
        box.delete()
        assert box.left() == {}, "no process may be left"

    def test_what_died_before_start_is_an_error_of_start(self, box: Box) -> None:
        pid = box.create(box.config("touch", "/ran"))
        box.kill(signal.SIGKILL)
        assert Process.of(pid).wait_gone(10)
        with pytest.raises(CmanagerError):
            box.start()
        box.delete()
        assert not (box.root / "ran").exists()

    def test_waiting_again_gives_the_same_answer(self, box: Box) -> None:
        box.begin("sh", "-c", "exit 3")
        assert [box.wait(), box.wait()] == [3, 3], "until delete, wait may be called again"
        box.delete()

    def test_starting_twice_is_a_conflict(self, box: Box) -> None:
        box.begin("sh", "-c", "read line; exit 3")
        with pytest.raises(ConflictError):
            box.start()
        assert box.finish(b"go\n").code == 3
        box.delete()

    def test_creating_twice_is_a_conflict_and_leaves_the_first_alone(self, box: Box) -> None:
        second = box.another()
        second.id, second.directory, second.root = box.id, box.directory, box.root
        config = box.config("sh", "-c", "exit 3")
        box.create(config)
        with pytest.raises(ConflictError):
            second.create(config)
        box.start()
        assert box.finish().code == 3
        box.delete()

    def test_what_was_never_created_is_not_found(self, box: Box) -> None:
        with pytest.raises(NotFoundError):
            box.start()
        with pytest.raises(NotFoundError):
            box.wait()

    @pytest.mark.parametrize(
        ("args", "code"),
        [
            (["no-such-program"], 127),
            (["/no/such/program"], 127),
            (["/etc/motd"], 126),
            (["/etc"], 126),
            (["text"], 126),
        ],
    )
    def test_what_cannot_be_executed_is_an_error_of_create_or_start(self, box: Box, args: list[str], code: int) -> None:
        before = traces()
        with pytest.raises(CommandError) as raised:
            box.begin(*args)
        assert raised.value.exit_code == code, raised.value
        assert args[0] in str(raised.value)
        box.delete()
        assert traces()["descriptors"] == before["descriptors"], "delete must close what create opened"
        assert box.left() == {}, "no process may be left"

    @pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "WINCH"])
    def test_a_signal_reaches_the_program(self, box: Box, name: str) -> None:
        box.begin("sh", "-c", _TRAP, "sh", name)
        assert box.line() == b"ready\n"
        box.kill(signal.Signals[f"SIG{name}"])
        ended = box.finish()
        assert (ended.code, ended.out) == (7, b"caught\n")
        box.delete()

    def test_sigkill_ends_it_with_137(self, box: Box) -> None:
        box.begin("sh", "-c", "echo ready; exec sleep 60")
        box.line()
        box.kill(signal.SIGKILL)
        assert box.finish().code == 137
        box.delete()

    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1])
    def test_a_signal_nobody_handles_ends_it_with_128_and_its_number(self, box: Box, number: int) -> None:
        """In a pid namespace of its own the kernel spares the first process, so this is with the supervisor's."""
        box.begin("sh", "-c", "echo ready; exec sleep 60", linux={"namespaces": box.namespaces(without=("pid",))})
        box.line()
        box.kill(number)
        assert box.finish().code == 128 + number
        box.delete()

    def test_a_signal_can_come_from_any_process(self, box: Box) -> None:
        box.begin("sh", "-c", _TRAP, "sh", "TERM")
        box.line()
        _elsewhere(lambda: box.kill(signal.SIGTERM))
        assert box.finish().code == 7
        box.delete()

    def test_a_signal_to_what_is_gone_is_success(self, box: Box) -> None:
        box.begin("true")
        box.finish()
        box.kill(signal.SIGTERM)
        box.delete()
        box.kill(signal.SIGKILL)
        _elsewhere(lambda: box.kill(signal.SIGKILL))

    def test_a_signal_never_reaches_a_process_that_inherited_the_number(self, box: Box) -> None:
        stranger = os.fork()
        if stranger == 0:
            signal.pause()
        now = Process.of(stranger)
        box.runtime.kill(box.id, Process(stranger, now.started - 1, now.boot), signal.SIGKILL)
        alive = not now.wait_gone(0.3)
        os.kill(stranger, signal.SIGKILL)
        os.waitpid(stranger, 0)
        assert alive, "another process with the container's number must be left alone"

    def test_a_signal_that_there_is_not_is_an_error(self, box: Box) -> None:
        box.begin("sh", "-c", "read line")
        with pytest.raises(CmanagerError):
            box.kill(999)
        assert box.finish().code == 1
        box.delete()

    def test_delete_kills_what_runs(self, box: Box) -> None:
        box.begin("sh", "-c", "echo ready; exec sleep 60")
        box.line()
        box.delete()
        assert box.left() == {}, "no process may be left"

    def test_delete_ends_all_of_a_pid_namespace(self, box: Box) -> None:
        box.needs_namespaces("pid")
        box.begin("sh", "-c", "sleep 60 & sleep 60 & echo ready; wait")
        box.line()
        box.delete()
        assert box.left() == {}, "no process may be left"

    def test_delete_is_idempotent(self, box: Box) -> None:
        box.delete()
        box.run("true")
        box.delete()
        box.another().delete()

    def test_delete_leaves_the_bundle(self, box: Box) -> None:
        box.run("true")
        assert (box.directory / "config.json").exists()
        assert (box.directory / "rootfs/bin/busybox").exists()

    def test_the_same_container_can_be_made_again(self, box: Box) -> None:
        assert [box.run("sh", "-c", f"exit {code}").code for code in (4, 5)] == [4, 5]

    @pytest.mark.parametrize("started", [False, True])
    def test_another_process_can_delete_when_the_supervisor_is_gone(self, box: Box, started: bool) -> None:
        """As the core does it: what runs is killed by its recorded pid, what only was created is left to delete."""
        read, write = os.pipe()
        supervisor = os.fork()
        if supervisor == 0:
            syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
            box.create(box.config("sleep", "60"))
            if started:
                box.start()
            os.write(write, b"%d" % box.pid)
            signal.pause()
        os.close(write)
        init = Process.of(int(os.read(read, 20)))
        os.close(read)
        os.kill(supervisor, signal.SIGKILL)
        os.waitpid(supervisor, 0)
        if started:
            init.send(signal.SIGKILL)
        box.runtime.delete(box.id)
        assert init.wait_gone(10)
        until(lambda: not box.left(), "all processes are gone")
        reap()
        box.runtime.delete(box.id)

    def test_many_lives_leave_nothing(self, box: Box) -> None:
        box.run("true")
        before = traces()
        for number in range(_LIFECYCLES):
            assert box.run("sh", "-c", f"echo {number}; exit {number}").code == number
        assert traces() == before, "each life must leave the supervisor as it was: descriptors, mounts, processes"

    def test_containers_live_side_by_side(self, box: Box) -> None:
        first, second = box, box.another()
        first.begin("sh", "-c", "read line; echo $line; exit 1")
        second.begin("sh", "-c", "read line; echo $line; exit 2")
        answers = second.finish(b"second\n"), first.finish(b"first\n")
        assert [(ended.code, ended.out) for ended in answers] == [(2, b"second\n"), (1, b"first\n")]
        first.delete()
        second.delete()


def _elsewhere(action: object) -> None:
    """Call `action` in another process; fails when it raises."""
    assert callable(action)
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            action()
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0, "the call from another process failed"
