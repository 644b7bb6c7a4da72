"""One container under test, and what its supervisor does for it."""

from __future__ import annotations

import json
import os
import select
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from ...errors import CmanagerError
from ...linux import mounts
from ...linux.mounts import Mount
from ...linux.process import Process
from ...model import Bundle, Stdio
from ...seams import Runtime
from . import bundle
from .supervisor import descendants

#: What every container of the tests has of its own, where the runtime can make it.
ISOLATED = ("mount", "pid", "ipc", "uts")


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
    the program it is made of.
    """

    def __init__(self, runtime: Runtime, place: Path, busybox: Path) -> None:
        self.id = os.urandom(32).hex()
        self.runtime = runtime
        self.features = runtime.features()
        self.directory = place / self.id
        self.root = place / f"{self.id}.root"
        self.pid = 0
        self.busybox = busybox
        self._place = place
        self._init: Process | None = None
        self._stdin = self._stdout = self._stderr = -1

    def another(self) -> Box:
        """A second container of the same runtime."""
        return Box(self.runtime, self._place, self.busybox)

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

    def create_as_it_is(self) -> int:
        """Create the container from the bundle that is there, on three pipes; returns its pid."""
        stdin, self._stdin = os.pipe()
        self._stdout, stdout = os.pipe()
        self._stderr, stderr = os.pipe()
        try:
            self.pid = self.runtime.create(Bundle(self.id, str(self.directory)), Stdio(stdin, stdout, stderr))
            self._init = Process.of(self.pid)
        except BaseException:
            self._close()
            raise
        finally:
            for fd in (stdin, stdout, stderr):
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
        out = self._pump(stdin)
        return Ended(self.wait(), out[self._stdout], out[self._stderr])

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
        assert traces() == before
        text = str(raised)
        assert text
        assert "\n" not in text, text

    def _failure(self, config: Any, at_start: bool) -> CmanagerError | None:
        try:
            self.create(config)
            if at_start:
                self.start()
        except CmanagerError as error:
            return error
        return None

    def _pump(self, stdin: bytes) -> dict[int, bytes]:
        out = {self._stdout: b"", self._stderr: b""}
        open_ends, view = set(out), memoryview(stdin)
        os.set_blocking(self._stdin, False)
        while open_ends:
            if not view and self._stdin >= 0:
                os.close(self._stdin)
                self._stdin = -1
            readable, writable, _ = select.select(open_ends, [self._stdin] if view else [], [])
            for fd in readable:
                data = os.read(fd, 65536)
                out[fd] += data
                if not data:
                    open_ends.discard(fd)
            if writable:
                try:
                    view = view[os.write(self._stdin, view) :]
                except BrokenPipeError:
                    view = memoryview(b"")
        return out

    def _close(self) -> None:
        for fd in (self._stdin, self._stdout, self._stderr):
            if fd >= 0:
                os.close(fd)
        self._stdin = self._stdout = self._stderr = -1
