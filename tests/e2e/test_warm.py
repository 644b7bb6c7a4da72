"""The command server: what it does is what the ordinary command does; whoever it cannot stand in for goes without."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cmanager.linux import cgroups
from cmanager.linux.process import children

from .. import servers
from ..console import console, on_terminal
from ..support import CHECKOUT, COLD, WARM, Cli, end, wait_until
from .test_terminal import (  # noqa: F401  these are promised of a warm command too
    stopped,
    test_a_shell_prompts_answers_and_ends_with_its_code,
    test_a_window_that_closes_leaves_the_container_running,
    test_ctrl_c_is_the_containers,
    test_exec_has_a_terminal_of_its_own,
    test_it_has_the_windows_size_when_it_looks_first_and_hears_of_changes,
    test_the_clients_job_control_is_the_kernels,
    test_the_terminal_is_restored_when_the_client_is_ended,
)

pytestmark = pytest.mark.root

ENDED = {"HUP": signal.SIGHUP, "INT": signal.SIGINT, "TERM": signal.SIGTERM, "KILL": signal.SIGKILL}


@pytest.fixture
def cli(machine: Cli) -> Iterator[Cli]:
    """The warm command line, with a server that serves."""
    made = Cli(machine.root, machine.run_root, command=tuple(WARM))
    servers.begin(made)
    yield made
    assert made.clear() == []


@pytest.fixture
def cold(machine: Cli) -> Cli:
    """The ordinary one on the same directories."""
    return Cli(machine.root, machine.run_root, command=tuple(COLD))


def worker(cli: Cli) -> int:
    """Pid of the only worker."""
    wait_until(lambda: len(servers.workers(cli)) == 1, "it is being served")
    return servers.workers(cli)[0]


@contextmanager
def waiting(cli: Cli) -> Iterator[subprocess.Popen[bytes]]:
    """A command that goes on."""
    process = cli.start("events")
    try:
        yield process
    finally:
        end(process)


# -- the same ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["ps", "-a", "--no-trunc"],
        ["inspect", "nobody"],
        ["images", "--output", "json"],
        ["run", "--rm", "--network", "none", "busybox", "sh", "-c", "echo out; echo err >&2; exit 42"],
        ["run", "--rm", "--network", "none", "busybox", "sh", "-c", "kill -9 $$; exec nothing"],
        ["run", "--rm", "--nonsense", "busybox"],
        ["nonsense"],
    ],
    ids=lambda arguments: " ".join(arguments)[:30],
)
def test_answers_are_the_same(cli: Cli, cold: Cli, arguments: list[str]) -> None:
    server = servers.pid(cli)
    one, other = cli(*arguments), cold(*arguments)
    assert (one.returncode, one.stdout, one.stderr) == (other.returncode, other.stdout, other.stderr)
    assert servers.pid(cli) == server


def test_streams_are_the_callers(cli: Cli, tmp_path: Path) -> None:
    assert cli.ok("run", "--rm", "-i", "--network", "none", "busybox", "cat", stdin="typed") == "typed"
    file = tmp_path / "variables"
    file.write_text("FROM_FILE=there\n")
    with open(file) as opened:
        os.set_inheritable(opened.fileno(), True)
        path = f"/dev/fd/{opened.fileno()}"
        run = ("run", "--rm", "--network", "none", "--env-file", path, "-e", "FROM_HERE", "busybox", "env")
        said = cli.ok(*run, env={"FROM_HERE": "caller"}, pass_fds=[opened.fileno()])
    assert {"FROM_FILE=there", "FROM_HERE=caller"} <= set(said.splitlines())


def test_a_worker_is_what_the_ordinary_process_is(cli: Cli, cold: Cli, tmp_path: Path) -> None:
    """Directory, descriptors, limits, priorities, processors, masks, groups and cgroups are the caller's."""

    def odd() -> None:
        os.umask(0o137)
        os.nice(3)
        os.setgroups([0, 7])
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        resource.setrlimit(resource.RLIMIT_NOFILE, (99, 999))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("300")

    caller = {"preexec_fn": odd, "cwd": tmp_path, "env": {**cli.environment, "ODD": "1"}}
    with open(tmp_path / "file", "w") as extra:
        found = []
        for way in (cli, cold):
            process = subprocess.Popen(
                [*way.command, "events"], stdout=subprocess.DEVNULL, pass_fds=[extra.fileno()], **caller
            )
            try:
                pid = worker(cli) if way is cli else process.pid
                wait_until(lambda pid=pid: waits(pid), "it waits")
                found.append(facts(pid))
            finally:
                end(process)
    assert found[0] == found[1]
    assert found[0]["Umask"] == "0137"


def waits(pid: int) -> bool:
    """Whether it is where it waits for events."""
    return any("inotify" in target for target in files(pid).values())


def files(pid: int) -> dict[int, str]:
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


def facts(pid: int) -> dict[str, str]:
    """What of a process its caller decides."""
    wanted = ("Umask", "Groups", "SigIgn", "SigBlk", "Cpus_allowed", "CapEff", "CapBnd", "NoNewPrivs", "Uid", "Gid")
    with open(f"/proc/{pid}/status") as file:
        found = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    found = {key: found[key] for key in wanted}
    for name in ("limits", "oom_score_adj", "cgroup", "loginuid"):
        found[name] = Path(f"/proc/{pid}/{name}").read_text()
    found |= {name: os.readlink(f"/proc/{pid}/{name}") for name in ("cwd", "root")}
    found["nice"] = str(os.getpriority(os.PRIO_PROCESS, pid))
    # Those it was given; the rest are its own.
    return found | {f"fd {fd}": target for fd, target in files(pid).items() if fd < 3 or target.endswith("/file")}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Cli]:
    """The warm command line on state directories of its own, with a server that is idle after a second."""
    settings = ("env", "CMANAGER_WARM=1", f"PYTHONPATH={CHECKOUT}:{CHECKOUT}/plugins")
    made = Cli(tmp_path / "root", tmp_path / "run", command=(*settings, *WARM))
    yield made
    servers.end(made)


def test_a_caller_in_another_cgroup_is_followed_and_not_kept(own: Cli) -> None:
    hierarchy = next(h for h in cgroups.hierarchies() if h.version == 2 or "freezer" in h.controllers)
    place = Path(hierarchy.path(f"cmanager-test-{os.getpid()}"))
    servers.begin(own)
    place.mkdir()
    try:
        process = own.start("events", preexec_fn=lambda: cgroups.join(str(place)))
        try:
            assert Path(f"/proc/{worker(own)}/cgroup").read_text() == Path(f"/proc/{process.pid}/cgroup").read_text()
        finally:
            end(process)
        wait_until(lambda: not (place / "cgroup.procs").read_text(), "the server has left too")
    finally:
        place.rmdir()


# -- signals and ends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENDED)
def test_what_ends_a_client_ends_its_worker(cli: Cli, cold: Cli, name: str) -> None:
    codes = []
    for way in (cli, cold):
        with waiting(way) as process:
            pid = worker(cli) if way is cli else process.pid
            wait_until(lambda pid=pid: waits(pid), "it waits")
            process.send_signal(ENDED[name])
            process.wait(20)
            wait_until(lambda: not servers.workers(cli), "the worker is gone")
        codes.append(process.returncode)
    assert codes[0] == codes[1]


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV"])
def test_a_client_ends_as_its_worker(cli: Cli, name: str) -> None:
    with waiting(cli) as process:
        os.kill(worker(cli), getattr(signal, f"SIG{name}"))
        assert process.wait(20) == -getattr(signal, f"SIG{name}")


def test_signals_reach_the_container(cli: Cli) -> None:
    script = "trap 'exit 44' TERM; echo ready; while :; do sleep 0.05; done"
    process = cli.start("run", "--rm", "--network", "none", "busybox", "sh", "-c", script)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 44
    finally:
        end(process)


def test_a_client_that_is_stopped_stops_its_worker(cli: Cli) -> None:
    with on_terminal(["bash", "--norc", "--noprofile", "-i"], cli) as screen:
        cli.ok("run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "1000")
        screen.line(f"{' '.join(cli.command)} logs -f box")
        pid = worker(cli)
        screen.type("\x1a")
        screen.see("Stopped")
        assert stopped(pid)
        screen.line("fg")
        wait_until(lambda: not stopped(pid), "it goes on")
        screen.type("\x03")
        screen.line("echo code $?")
        screen.see("code 130")


def test_a_client_at_a_terminal_ends_as_its_worker(cli: Cli) -> None:
    cli.ok("create", "--name", "old", "busybox")
    with console(cli, "container", "prune") as screen:
        screen.see("[y/N]")
        os.kill(worker(cli), signal.SIGKILL)
        assert screen.wait() == -signal.SIGKILL
    with console(cli, "run", "-it", "--name", "left", "busybox", "sh", "-c", "PS1='in> ' exec sh -i") as screen:
        screen.see("in> ")
        os.kill(worker(cli), signal.SIGKILL)
        assert screen.wait() == -signal.SIGKILL
        assert not screen.is_raw()
    assert cli.inspect("left")["State"]["Running"] is True


def test_a_question_at_a_terminal_is_answered_there(cli: Cli) -> None:
    cli.ok("create", "--name", "old", "busybox")
    with console(cli, "container", "prune") as screen:
        screen.see("[y/N]")
        screen.type("\x03")
        assert screen.wait() == 130
    assert cli.names() == ["old"]
    with on_terminal(["bash", "--norc", "--noprofile", "-i"], cli) as screen:
        screen.line(f"{' '.join(cli.command)} container prune &")
        screen.see("[y/N]")

        def stopped_by_typing() -> bool:
            screen.line("")  # it is the shell's: whoever else would read it is stopped (SIGTTIN)
            return "Stopped" in screen.see("# ")

        wait_until(stopped_by_typing, "the question is stopped")
        screen.line("fg")
        screen.see("container prune\r\n")
        screen.line("y")
        screen.see("Deleted Containers:")
    assert cli.names() == []


# -- not the same --------------------------------------------------------------------------------------------------

REFUSED = {
    "another network namespace": (["unshare", "--net"], "net namespace"),
    "another mount namespace": (["unshare", "--mount"], "mnt namespace"),
    "another cgroup namespace": (["unshare", "--cgroup"], "cgroup namespace"),
    "fewer capabilities": (["setpriv", "--bounding-set", "-sys_boot"], "set of capabilities"),
    "no new privileges": (["setpriv", "--no-new-privs"], "no_new_privs"),
    "another root directory": (["chroot", "ROOT"], "root directory"),
    "other import paths": (["env", "PYTHONPATH=PATHS:/nowhere"], "PYTHONPATH"),
    "an interpreter of another mode": (["env", "PYTHONOPTIMIZE=1"], "PYTHONOPTIMIZE"),
    "another personality": (["setarch", "--addr-no-randomize"], "personality"),
    "a switch in the environment": (["env", "CMANAGER_WARM=0"], "CMANAGER_WARM=0"),
    "no stdin": (["sh", "-c", 'exec "$@" <&-', "sh"], "closed"),
}


@pytest.mark.parametrize(("wrapper", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_whoever_it_cannot_stand_in_for_goes_without(cli: Cli, tmp_path: Path, wrapper: list[str], said: str) -> None:
    server = servers.pid(cli)
    if "ROOT" in wrapper:
        subprocess.run(["mount", "--rbind", "/", str(tmp_path)], check=True)
    try:
        words = [word.replace("ROOT", str(tmp_path)) for word in wrapper]
        words = [word.replace("PATHS", cli.environment["PYTHONPATH"]) for word in words]
        done = subprocess.run(
            [*words, *cli.command, "doctor", "--format", "{{.What}}: {{.Found}}"],
            env=cli.environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        if "ROOT" in wrapper:
            subprocess.run(["umount", "--recursive", "--lazy", str(tmp_path)], check=True)
    last = done.stdout.splitlines()[-1]
    assert last.startswith("command server: not used"), done.stderr
    assert said in last
    assert servers.pid(cli) == server


def test_a_switch_is_refused_when_it_makes_no_sense(cli: Cli) -> None:
    done = cli("version", env={"CMANAGER_WARM": "yes"})
    assert (done.returncode, "CMANAGER_WARM=yes" in done.stderr) == (125, True)


def test_without_it_none_is_begun(machine: Cli, tmp_path: Path) -> None:
    apart = Cli(tmp_path / "root", tmp_path / "run", command=tuple(WARM))
    apart.ok("--no-warm", "ps")
    apart.ok("ps", env={"CMANAGER_WARM": "0"})
    assert not (tmp_path / "run/warm").exists()


# -- the server ----------------------------------------------------------------------------------------------------


def test_nobody_else_can_reach_it(cli: Cli) -> None:
    place = cli.run_root / "warm"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()} == {0o600}


def test_it_holds_nothing_of_its_callers(cli: Cli) -> None:
    server = servers.pid(cli)
    wait_until(lambda: ready(server), "a worker is ready")
    before = kinds(server)
    assert len(cli.ok("run", "-d", "--network", "none", "busybox", "sleep", "1000")) == 64  # returns: nobody has stdout
    supervisor = cli.supervisor(cli.names()[0])
    wait_until(lambda: ready(server), "another one is ready")
    assert kinds(server) == before
    assert os.getsid(server) == server
    assert os.readlink(f"/proc/{server}/cwd") == "/"
    assert len(os.listdir(f"/proc/{server}/task")) == 1
    assert not {target for target in files(supervisor).values() if "/warm/" in target}
    assert os.getsid(supervisor) == supervisor


def ready(server: int) -> bool:
    """Whether its only child waits for a command, and it has done with all it does at a fork and at an end."""
    words = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children(server)]
    return [word.startswith(b"cmanager: waits") for word in words] == [True] and kinds(server).count("anon_inode") == 1


def kinds(pid: int) -> list[str]:
    return sorted(target.partition(":")[0].partition("[")[0] for target in files(pid).values())


def test_a_supervisor_is_what_it_is_without(cli: Cli, cold: Cli) -> None:
    found = []
    for way, name in ((cli, "warm"), (cold, "cold")):
        way.ok("run", "-d", "--name", name, "--network", "none", "busybox", "sleep", "1000")
        pid = way.supervisor(name)
        kept = [kind.replace(way.inspect(name)["Id"], "ID") for kind in kinds(pid)]
        found.append((kept, {key: value for key, value in facts(pid).items() if not key.startswith("fd ")}))
    assert found[0] == found[1]


def test_it_may_be_killed_at_any_moment(cli: Cli) -> None:
    for pause in (0, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04):
        server = servers.begin(cli)
        process = cli.start("run", "--rm", "--network", "none", "busybox", "sh", "-c", "echo done; exit 3")
        time.sleep(pause)
        os.kill(server, signal.SIGKILL)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (3, b"done\n", b"")
    assert cli.names() == []


def test_one_that_hangs_is_waited_for_a_moment(cli: Cli) -> None:
    server = servers.pid(cli)
    os.kill(server, signal.SIGSTOP)
    try:
        assert cli.ok("run", "--rm", "--network", "none", "busybox", "echo", "once") == "once"
    finally:
        os.kill(server, signal.SIGCONT)
    assert servers.begin(cli) == server
    assert cli.names() == []


def test_it_leaves_when_it_is_idle(own: Cli) -> None:
    servers.begin(own)
    wait_until(lambda: not servers.pid(own), "it has left")
    assert [path for path in (own.run_root / "warm").iterdir() if path.is_socket()] == []


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Cli]:
    """A copy of the checkout, with state directories of its own and a server."""
    for part in ("cmanager", "plugins"):
        shutil.copytree(CHECKOUT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("plugins.toml", "registry"):
        (tmp_path / part).symlink_to(CHECKOUT / part)
    (tmp_path / "plugins.toml").unlink()
    shutil.copy(CHECKOUT / "plugins.toml", tmp_path)
    paths = f"{tmp_path}:{tmp_path}/plugins"
    command = ("env", f"PYTHONPATH={paths}", *WARM[:3], f"{tmp_path}/cmanager/warm/command.py", *WARM[4:])
    made = Cli(tmp_path / "root", tmp_path / "run", command=command)
    yield made
    servers.end(made)


def served(cli: Cli) -> str:
    return cli.ok("doctor", "--format", "{{.What}}: {{.Found}}").splitlines()[-1]


@pytest.mark.parametrize("what", ["code", "plugins.toml"])
def test_it_makes_room_when_what_it_has_read_changes(copy: Cli, tmp_path: Path, what: str) -> None:
    wait_until(lambda: "command server: used" in served(copy), "it serves")
    before = served(copy)
    file = tmp_path / ("cmanager/cli/version.py" if what == "code" else "plugins.toml")
    text = file.read_text()
    file.write_text(text.replace("plugin api", "plugin API") if what == "code" else f"{text}\n[nonsense]\n")
    done = copy("version") if what == "code" else copy("ps")
    assert ("plugin API" in done.stdout, done.returncode) == ((True, 0) if what == "code" else (False, 125))
    file.write_text(text)
    wait_until(lambda: "command server: used" in served(copy), "another one serves")
    assert served(copy) != before


def test_many_at_once_are_served_by_one(cli: Cli) -> None:
    server = servers.pid(cli)
    running = [cli.start("run", "--rm", "--network", "none", "busybox", "echo", str(n)) for n in range(8)]
    said = [process.communicate(timeout=60) for process in running]
    assert sorted(out for out, _ in said) == sorted(b"%d\n" % n for n in range(8))
    assert [err for _, err in said if err] == []
    assert servers.pid(cli) == server


def test_many_begin_one(own: Cli) -> None:
    for process in [own.start("ps") for _ in range(4)]:
        process.communicate(timeout=60)
    server = servers.begin(own)
    assert servers.all_of(own) == [server]
