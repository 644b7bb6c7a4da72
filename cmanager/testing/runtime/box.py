"""One container under test, and what its supervisor does for it."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from ...errors import CmanagerError, UnsupportedError
from ...linux import mounts, terminals
from ...linux.mounts import Mount
from ...linux.process import Process, reap
from ...model import Bundle, Features, Stdio
from ...seams import Adopt, Exec, Runtime
from . import bundle
from .supervisor import descendants

#: What every container of the tests has of its own, where the runtime can make it.
ISOLATED = ("mount", "pid", "ipc", "uts", "cgroup")


@frozen
class Ended:
    """How a program ended and what it wrote."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """What it wrote to stdout, without the last newline; fails when it did not end well."""
        assert self.code == 0, f"exit code {self.code}, stderr: {self.err.decode(errors='replace')}"
        return self.out.decode("utf-8", "surrogateescape").removesuffix("\n")


def traces() -> dict[str, Any]:
    """What a runtime could leave behind in the supervisor: descriptors, mounts, living processes."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[int(fd)] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue  # the listing's own
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        lines = sorted(file)
    return {"descriptors": found, "mounts": lines, "processes": descendants()}


class Box:
    """One container: its bundle, made on first use in the supervisor, its pipes, and its runtime's verbs.

    id, directory: of the bundle; root: the root file system as the host sees it; pid: what `create` returned; busybox:
    the program it is made of; runtime, features: there once the supervisor has called `ready`.
    """

    runtime: Runtime
    features: Features

    def __init__(self, make: Callable[[], Runtime], place: Path, busybox: Path) -> None:
        self.id = os.urandom(32).hex()
        self._make = make
        self._kept: frozenset[int] = frozenset()
        self.directory = place / self.id
        self.root = place / f"{self.id}.root"
        self.pid = 0
        self.busybox = busybox
        self._place = place
        self._init: Process | None = None
        self._stdin = self._stdout = self._stderr = -1

    def ready(self) -> frozenset[int]:
        """Make the runtime, in the process that will use it; the pids of those it keeps for itself, usually none."""
        self.runtime = self._make()
        try:
            self.features = self.runtime.features()
        except UnsupportedError as error:
            pytest.skip(f"not on this host: {error}")
        self._kept = frozenset(descendants())
        return self._kept

    def left(self) -> dict[int, str]:
        """Living processes below the supervisor, with their command lines, but those that the runtime keeps."""
        return {pid: name for pid, name in descendants().items() if pid not in self._kept}

    def another(self) -> Box:
        """A second container of the same runtime."""
        second = Box(self._make, self._place, self.busybox)
        second.runtime, second.features, second._kept = self.runtime, self.features, self._kept
        return second

    # What the runtime can do

    def needs(self, *options: str) -> None:
        """Skip the test unless the runtime announces these options."""
        for option in options:
            if option not in self.features.options:
                pytest.skip(f"the runtime does not announce the option {option!r}")

    def needs_namespaces(self, *kinds: str) -> None:
        """Skip the test unless the runtime announces these namespaces."""
        for kind in kinds:
            if kind not in self.features.namespaces:
                pytest.skip(f"the runtime does not announce {kind} namespaces")

    def needs_exec(self) -> None:
        """Skip the test unless the runtime can run one more program."""
        if not isinstance(self.runtime, Exec):
            pytest.skip("the runtime has no Exec")

    def adopts(self) -> Adopt:
        """The runtime; skip the test unless it can take a container over from another process."""
        if not isinstance(self.runtime, Adopt):
            pytest.skip("the runtime has no Adopt")
        return self.runtime

    def needs_joining(self, kind: str) -> None:
        """Skip the test unless the runtime announces that it can join a namespace of this kind."""
        self.needs_namespaces(kind)
        if not self.features.can_join(kind):
            pytest.skip(f"the runtime does not announce that it joins {kind} namespaces")

    # The bundle

    def config(self, *args: str, **change: Any) -> dict[str, Any]:
        """A config.json that runs `args`; `change` is laid over it, see `bundle.merged`."""
        own = tuple(kind for kind in ISOLATED if kind in self.features.namespaces)
        return bundle.merged(bundle.configuration(list(args), own, self.features.options), change)

    def namespaces(self, *entries: dict[str, str], without: tuple[str, ...] = ()) -> list[dict[str, str]]:
        """The usual namespaces, with `entries` in place of those of the same type."""
        own = {kind: {"type": kind} for kind in ISOLATED if kind in self.features.namespaces and kind not in without}
        return list({**own, **{entry["type"]: entry for entry in entries}}.values())

    def write(self, config: Any) -> None:
        """Put config.json into the bundle: an object, or bytes as they are. Mounts the root file system first."""
        rootfs = self.directory / "rootfs"
        if not rootfs.exists():
            if not self.root.exists():
                bundle.make_tree(self.root, self.busybox)
            rootfs.mkdir(parents=True)
            mounts.make_rootfs((Mount("bind", str(self.root), "/", ("rbind",)),), str(rootfs))
        data = config if isinstance(config, bytes) else json.dumps(config).encode()
        (self.directory / "config.json").write_bytes(data)

    # The verbs

    def create(self, config: Any) -> int:
        """Write the bundle and create the container; returns its pid."""
        self.write(config)
        return self.create_as_it_is()

    def open_terminal(self, config: dict[str, Any]) -> int:
        """Create the container with a terminal in a devpts of its own, and start it; the caller closes the master."""
        options = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")
        devpts = bundle.mount("devpts", "devpts", "/dev/pts", *options)
        self.write(bundle.merged(config, {"process": {"terminal": True}, "mounts": [devpts]}))
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.pid = self.runtime.create(Bundle(self.id, str(self.directory)), Stdio(console=theirs.fileno()))
            self._init = Process.of(self.pid)
            master = terminals.receive(ours)
        self.start()
        return master

    def exec(self, *args: str, stdin: bytes = b"", **change: Any) -> Ended:
        """One more program in the running container, to its end; `change` is laid over its process object.

        Skips, and ends the container, when the runtime says that it cannot do this.
        """
        assert isinstance(self.runtime, Exec), "ask `needs_exec` first"
        assert self._init, "start it first"
        process = bundle.merged(self.config(*args)["process"], change)
        stdio, ends = _pipes()
        try:
            pid = self.runtime.exec(Bundle(self.id, str(self.directory)), self._init, process, stdio)
        except BaseException as error:
            for fd in ends:
                os.close(fd)
            if isinstance(error, UnsupportedError):
                self.delete()
                pytest.skip(str(error))
            raise
        finally:
            for fd in (stdio.stdin, stdio.stdout, stdio.stderr):
                os.close(fd)
        out = pump(ends, stdin)
        return Ended(reap(pid), *out)

    def create_as_it_is(self) -> int:
        """Create the container from the bundle that is there, on three pipes; returns its pid."""
        stdio, (self._stdin, self._stdout, self._stderr) = _pipes()
        try:
            self.pid = self.runtime.create(Bundle(self.id, str(self.directory)), stdio)
            self._init = Process.of(self.pid)
        except BaseException:
            self._close()
            raise
        finally:
            for fd in (stdio.stdin, stdio.stdout, stdio.stderr):
                os.close(fd)
        return self.pid

    def start(self) -> None:
        """Execute the program."""
        self.pid = self.runtime.start(self.id)
        self._init = Process.of(self.pid)

    def begin(self, *args: str, **change: Any) -> None:
        """Create and start; the program runs afterwards."""
        self.create(self.config(*args, **change))
        self.start()

    def line(self) -> bytes:
        """The next line of the program's stdout."""
        said = b""
        while not said.endswith(b"\n"):
            byte = os.read(self._stdout, 1)
            assert byte, f"the program's output ended after {said!r}"
            said += byte
        return said

    def finish(self, stdin: bytes = b"") -> Ended:
        """Feed the program, read what it writes until all have closed it, and wait for its end."""
        out = pump((self._stdin, self._stdout, self._stderr), stdin)
        self._stdin = self._stdout = self._stderr = -1
        return Ended(self.wait(), *out)

    def wait(self) -> int:
        """The exit code."""
        return self.runtime.wait(self.id)

    def kill(self, number: int) -> None:
        """Send a signal."""
        assert self._init, "create it first"
        self.runtime.kill(self.id, self._init, number)

    def delete(self) -> None:
        """Remove what the runtime made, and close the pipes."""
        self.runtime.delete(self.id)
        self._close()

    def run(self, *args: str, stdin: bytes = b"", **change: Any) -> Ended:
        """A whole life: create, start, wait, delete."""
        try:
            self.begin(*args, **change)
            return self.finish(stdin)
        finally:
            self.delete()

    def sh(self, script: str, **change: Any) -> str:
        """The output of a shell script that must succeed, in a container of its own."""
        return self.run("sh", "-c", script, **change).text

    def refused(self, config: Any, error: type[CmanagerError] = CmanagerError, *, at_start: bool = False) -> None:
        """`create` raises `error` and leaves nothing; with `at_start` it may also be `start` that raises it."""
        self.write(config)
        before = traces()
        raised = self._failure(config, at_start)
        self.delete()
        assert isinstance(raised, error), f"{error.__name__} was expected, not {type(raised).__name__}: {raised}"
        assert traces() == before, "what is refused must leave nothing"
        text = str(raised)
        assert text, "an error must say something"
        assert "\n" not in text, f"an error must be one line: {text}"

    def _failure(self, config: Any, at_start: bool) -> CmanagerError | None:
        try:
            self.create(config)
            if at_start:
                self.start()
        except CmanagerError as error:
            return error
        return None

    def _close(self) -> None:
        for fd in (self._stdin, self._stdout, self._stderr):
            if fd >= 0:
                os.close(fd)
        self._stdin = self._stdout = self._stderr = -1


def _pipes() -> tuple[Stdio, tuple[int, int, int]]:
    """A program's ends of three pipes, and ours."""
    stdin, write = os.pipe()
    out, stdout = os.pipe()
    err, stderr = os.pipe()
    return Stdio(stdin, stdout, stderr), (write, out, err)


def pump(ends: tuple[int, int, int], data: bytes) -> tuple[bytes, bytes]:
    """Feed the first, read the others until all have closed them; all three are closed. Returns what was read."""
    stdin, *outputs = ends
    found = dict.fromkeys(outputs, b"")
    open_ends, view = set(outputs), memoryview(data)
    os.set_blocking(stdin, False)
    fed = False
    while open_ends:
        if not view and not fed:
            os.close(stdin)
            fed = True
        readable, writable, _ = select.select(open_ends, [stdin] if view else [], [])
        for fd in readable:
            chunk = os.read(fd, 65536)
            found[fd] += chunk
            if not chunk:
                open_ends.discard(fd)
        if writable:
            try:
                view = view[os.write(stdin, view) :]
            except BrokenPipeError:
                view = memoryview(b"")
    for fd in outputs if fed else ends:
        os.close(fd)
    return found[outputs[0]], found[outputs[1]]
