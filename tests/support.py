"""The command line as a user types it, and the machine as it was before."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from attrs import asdict, frozen

from cmanager.linux import cgroups

CHECKOUT = Path(__file__).parent.parent
#: The checkout's command, without and with a command server: what the launcher executes.
COLD = [sys.executable, "-m", "cmanager"]
WARM = [sys.executable, "-I", "-S", f"{CHECKOUT}/cmanager/warm/command.py", f"{CHECKOUT}/cmanager/__main__.py"]
#: The command under test: one that is named, the checkout's warm one, or its cold one.
COMMAND = os.environ.get("CMANAGER_TEST_COMMAND", "").split() or (
    WARM if os.environ.get("CMANAGER_TESTS_WARM") else COLD
)
#: How much longer things may take here: in the emulated machine of tests/vm everything is slow.
PATIENCE = 10 if "TCG" in Path("/proc/cpuinfo").read_text(encoding="ascii") else 1
_TIMEOUT = 120
#: Read when the tests are loaded, before the session leaves it for a namespace of its own.
_MACHINE = os.readlink("/proc/self/ns/mnt")
_OURS = re.compile(r"/cmanager|/[0-9a-f]{64}")
#: How the command lines of pytest and of its workers begin.
_SESSION = re.compile(r"\S*python[\d.]* (-P )?-m pytest |\S*python[\d.]* -u -c import sys;exec")


#: What a session has for itself in its namespaces, and what the whole machine shares.
OWN_KINDS = frozenset({"mounts", "links", "tables", "settings"})
SHARED_KINDS = frozenset({"cgroups", "namespaces", "processes"})
EVERY_KIND = OWN_KINDS | SHARED_KINDS


@frozen
class Snapshot:
    """What of this machine a container manager could leave behind, each kind as a set of lines."""

    mounts: frozenset[str]
    links: frozenset[str]
    cgroups: frozenset[str]
    namespaces: frozenset[str]
    tables: frozenset[str]
    processes: frozenset[str]
    settings: frozenset[str]

    @classmethod
    def take(cls, ours: re.Pattern[str] = _OURS) -> Snapshot:
        """The machine as it is now, seen from this process's namespaces. ours: what the path of a cgroup must have."""
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            found = (line.partition(" ")[2].strip() for line in file)
            # What the machine's own manager keeps ready comes and goes meanwhile.
            mounts = frozenset(line for line in found if " /run/cmanager/" not in line)
        return cls(
            mounts=mounts,
            links=_lines("ip", "-o", "-br", "link"),
            cgroups=_cgroups(ours),
            namespaces=_lines("ip", "netns"),
            tables=_lines("nft", "list", "tables"),
            processes=_processes(),
            settings=frozenset({_read("/proc/sys/net/ipv4/ip_forward")}),
        )

    def beyond(self, before: Snapshot, kinds: frozenset[str] = EVERY_KIND) -> dict[str, list[str]]:
        """What is here and was not before, and the reverse, by kind; settings only where one was changed for good."""
        now, then = asdict(self, recurse=False), asdict(before, recurse=False)
        found = {kind: sorted(now[kind] - then[kind]) for kind in sorted(kinds)}
        both = ("mounts", "links", "namespaces")
        found |= {f"{kind} lost": sorted(then[kind] - now[kind]) for kind in both if kind in kinds}
        return {kind: lines for kind, lines in found.items() if lines}


class Cli:
    """`cmanager` on state directories of its own.

    root, run_root: the directories; config: a plugins.toml to lay over the shipped one; command: an installed one that
    has nothing of the checkout, instead of the one under test.
    """

    def __init__(
        self, root: Path, run_root: Path, config: Path | None = None, command: tuple[str, ...] | None = None
    ) -> None:
        self.root, self.run_root, self.config, self.command = root, run_root, config, command or COMMAND

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a command to this directory, and to the code under test."""
        variables = {**os.environ, "CMANAGER_ROOT": str(self.root), "CMANAGER_RUN_ROOT": str(self.run_root)}
        if list(self.command) in (COLD, WARM, COMMAND):
            variables["PYTHONPATH"] = f"{CHECKOUT}:{CHECKOUT}/plugins:{variables.get('PYTHONPATH', '')}".rstrip(":")
        else:
            variables.pop("PYTHONPATH", None)
        if self.config:
            variables["CMANAGER_CONFIG"] = str(self.config)
        return variables

    def __call__(
        self, *arguments: str, stdin: bytes | str = b"", timeout: float = _TIMEOUT, **extra: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; text in and out."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        environment = self.environment | extra.pop("env", {})
        done = subprocess.run(
            [*self.command, *arguments], input=data, capture_output=True, timeout=timeout, env=environment, **extra
        )
        self.settle()
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )

    def settle(self, seconds: float = 1) -> None:
        """Wait until what has ended has given back its link as well, for which no command waits
        (docs/decisions/late-undo.md): most tests look at the machine."""
        deadline = time.monotonic() + seconds * PATIENCE
        while any(map(self._leaves, self._pinned())) and time.monotonic() < deadline:
            time.sleep(0.005)

    def _pinned(self) -> list[str]:
        with suppress(FileNotFoundError):
            return sorted({*os.listdir(self.run_root / "netns")} - {*os.listdir(self.run_root / "slots")})
        return []

    def _leaves(self, id: str) -> bool:
        for home in (self.root / "containers" / id, self.run_root / "containers" / id):
            with suppress(FileNotFoundError, ValueError):
                status = json.loads((home / "status.json").read_bytes())
                supervisor = status.get("supervisor", {"pid": 0})
                ended = status.get("state") == "stopped" and not status.get("restart_at")
                return ended and os.path.exists(f"/proc/{supervisor['pid']}/cmdline")
        return True

    def ok(self, *arguments: str, **extra: Any) -> str:
        """The same for a command that must succeed; returns its stdout without the last newline."""
        done = self(*arguments, **extra)
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}: {done.stderr}"
        return done.stdout.removesuffix("\n")

    def start(self, *arguments: str, **extra: Any) -> subprocess.Popen[bytes]:
        """Run one command and leave it running; the caller ends it."""
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | extra
        started = subprocess.Popen([*self.command, *arguments], env=self.environment, **streams)
        return cast("subprocess.Popen[bytes]", started)

    def inspect(self, name: str) -> dict[str, Any]:
        """`inspect` of one container or image."""
        found: list[dict[str, Any]] = json.loads(self.ok("inspect", name))
        return found[0]

    def clear(self) -> list[str]:
        """Remove every container, and what crashes left; returns what could not be.

        Done in this process: three more commands after each test would be most of its time.
        """
        from cmanager import Engine
        from cmanager.errors import NotFoundError

        engine = Engine(str(self.root), str(self.run_root), str(self.config) if self.config else None)
        for id in (*(container.id for container in engine.list()), *engine.store.corrupt()):
            with suppress(NotFoundError):  # it has just removed itself
                engine.remove(id, force=True)
        self.settle(5)
        return [*engine.collect(pools=True).problems, *engine.store.ids()]

    def supervisor(self, name: str) -> int:
        """Pid of a container's supervisor."""
        id = self.inspect(name)["Id"]
        for home in (self.root, self.run_root):
            path = home / "containers" / id / "status.json"
            if path.exists():
                return int(json.loads(path.read_text())["supervisor"]["pid"])
        raise AssertionError(f"{name} has no record")

    def names(self) -> list[str]:
        """All containers by name."""
        return self.ok("ps", "-a", "--format", "{{.Names}}").split()


def wait_until(true: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait for something that is about to happen."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"did not happen in {seconds} s: {what}"
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a command this test started."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.communicate()


def journal_fields(message: bytes) -> dict[str, bytes]:
    """What a datagram in the journal's binary form says."""
    found = {}
    while message:
        name, _, rest = message.partition(b"\n")
        end = 8 + int.from_bytes(rest[:8], "little")
        found[name.decode()] = rest[8:end]
        message = rest[end + 1 :]
    return found


def _lines(*command: str) -> frozenset[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return frozenset(done.stdout.splitlines())


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def _cgroups(ours: re.Pattern[str]) -> frozenset[str]:
    found: set[str] = set()
    for hierarchy in cgroups.hierarchies():
        for below, names, _ in os.walk(hierarchy.mountpoint):
            found.update(f"{below}/{name}" for name in names)
    # Other programs of the machine come and go too: ours have the manager's name or a container's id in their path.
    return frozenset(path for path in found if ours.search(path))


def _processes() -> frozenset[str]:
    """Supervisors and what runs in containers: all whose mount namespace is no test session's and not the machine's."""
    commands = {int(pid): _command(pid) for pid in filter(str.isdigit, os.listdir("/proc"))}
    known, found = {_MACHINE, os.readlink("/proc/self/ns/mnt")}, {}
    for pid, command in commands.items():
        with suppress(OSError):
            theirs = os.readlink(f"/proc/{pid}/ns/mnt")
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            # A session and not a fork of one, which may be in a container.
            if (session := _SESSION.match(command)) and session[0] not in commands.get(parent, ""):
                known.add(theirs)
            elif command:
                found[f"{pid} {command}"] = theirs
    return frozenset(process for process, theirs in found.items() if theirs not in known)


def _command(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""
