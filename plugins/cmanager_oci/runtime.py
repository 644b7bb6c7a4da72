"""The runtime's verbs, as the supervisor calls them, by those of the program (runtime-spec runtime.md; runc(8))."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
from attrs import define

from cmanager.errors import CmanagerError, ConflictError, HostError, InvalidError, NotFoundError, UnsupportedError
from cmanager.linux import cgroups, executable, programs
from cmanager.linux.process import Process, reap
from cmanager.model import Bundle, Context, Features, Stdio
from cmanager.model import bundle as bundles

from .console import Console
from .hooks import named
from .probing import is_safe, probed
from .tool import Tool, is_gone

if TYPE_CHECKING:
    from . import Options


@define
class _Created:
    """A container of this process. hooks: of its config.json; code: once it is known."""

    pid: int
    hooks: dict[str, Any]
    started: bool = False
    code: int | None = None


class Command:
    """Runs bundles with a program. direct: its containers are processes of this kernel, which take signals as such.

    The program keeps its own state below `Context.run_dir`, so that `exec` and `delete` work from any process.
    """

    def __init__(self, context: Context, options: Options, *, direct: bool) -> None:
        self._name = context.name
        self._options = options
        self._state_dir = context.state_dir
        self._direct = direct
        path = options.path or _found(context.name)
        self._tool = Tool(context.name, path, options.arguments, context.run_dir)
        self._created: dict[str, _Created] = {}

    def features(self) -> Features:
        """See `cmanager.seams.Runtime.features`; a version with known escapes is warned of."""
        found = probed(self._tool, self._state_dir)
        if not self._options.hybrid and _is_hybrid():
            raise UnsupportedError(f"runtime {self._name} does not work with controllers in both cgroup v1 and v2")
        options = tuple(option for option in found.options if option not in self._options.lacks)
        if is_safe(found.version, self._options.minimum):
            return attrs.evolve(found, options=options)
        mended = ", ".join(self._options.minimum)
        said = f"{self._name} {found.version} has known ways out of a container, mended in {mended}"
        if self._options.strict:
            raise UnsupportedError(f"{said}: install one of them, or set strict = false under [runtime.{self._name}]")
        return attrs.evolve(found, options=options, warnings=(said,))

    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        """See `cmanager.seams.Runtime.create`."""
        if bundle.id in self._created:
            raise ConflictError(f"container {bundle.id[:12]} was created already")
        config = bundles.read(bundle.path)
        bundles.refuse(config, self.features(), self._name)
        if policy := config.get("linux", {}).get("seccomp"):
            bundles.check_filter(policy)
        _check_program(config, bundle.path)
        hooks = config.get("hooks", {})
        try:
            pid = self._made("create", ("--bundle", bundle.path), bundle.id, stdio, bundle.id)
        except CmanagerError as error:
            raise named(error, "create", hooks) from None
        self._created[bundle.id] = _Created(pid, hooks)
        return pid

    def start(self, id: str) -> int:
        """See `cmanager.seams.Runtime.start`."""
        created = self._known(id)
        if created.started:
            raise ConflictError(f"container {id[:12]} was started already")
        created.started = True
        try:
            self._tool.run("start", id)
        except CmanagerError as error:
            self.delete(id)
            raise named(error, "start", created.hooks) from None
        return created.pid

    def wait(self, id: str) -> int:
        """See `cmanager.seams.Runtime.wait`."""
        created = self._known(id)
        if created.code is None:
            created.code = reap(created.pid)
        return created.code

    def kill(self, id: str, init: Process, number: int) -> None:
        """See `cmanager.seams.Runtime.kill`."""
        if number not in signal.valid_signals():
            raise InvalidError(f"{number} is no signal")
        if self._direct:
            init.send(number)
        elif init.alive():
            self._unless_gone("kill", id, str(number))

    def exec(self, bundle: Bundle, init: Process, process: dict[str, Any], stdio: Stdio) -> int:
        """See `cmanager.seams.Exec.exec`."""
        bundles.check_process(process)
        if self._direct:
            executable.check(f"/proc/{init.pid}/root", (), process["args"][0], bundles.identity(process))
        if not init.alive():
            raise NotFoundError(f"container {bundle.id[:12]} has ended")
        path = f"{self._tool.directory}/process-{os.getpid()}"
        try:
            os.makedirs(self._tool.directory, mode=0o700, exist_ok=True)
            with open(path, "w", encoding="utf-8", opener=_private) as file:
                json.dump(process, file)
            return self._made("exec", ("--detach", "--process", path), bundle.id, stdio, f"exec-{os.getpid()}")
        except OSError as error:
            raise HostError.of("write", path, error) from None
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)

    def delete(self, id: str) -> None:
        """See `cmanager.seams.Runtime.delete`. A container that only was created is killed by the program."""
        created = self._created.pop(id, None)
        if self._tool.knows(id):
            self._unless_gone("delete", "--force", id)
        if created and created.code is None:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(created.pid, signal.SIGKILL)
                os.waitpid(created.pid, 0)

    def _made(self, verb: str, words: Sequence[str], id: str, stdio: Stdio, label: str) -> int:
        """Run a verb that makes a process; returns the pid of that process, whose stdio is given."""
        pid_file = f"{self._tool.directory}/pid-{label}"
        console = None
        try:
            console = Console(self._tool.directory) if stdio.console >= 0 else None
            terminal = ("--console-socket", console.path) if console else ()
            given = stdio.streams if console is None else (-1, -1, -1)
            self._tool.run(verb, *words, "--pid-file", pid_file, *terminal, id, stdio=given)
            with open(pid_file, encoding="ascii") as file:
                pid = int(file.read())
            if console:
                console.pass_on(stdio.console)
            return pid
        except (OSError, ValueError) as error:
            if verb == "create":
                self._unless_gone("delete", "--force", id)
            raise CmanagerError(f"{self._name} {verb}: {error}") from None
        finally:
            if console:
                console.close()
            with suppress(FileNotFoundError):
                os.unlink(pid_file)

    def _unless_gone(self, verb: str, *words: str) -> None:
        try:
            self._tool.run(verb, *words)
        except CmanagerError as error:
            if not is_gone(error):
                raise

    def _known(self, id: str) -> _Created:
        try:
            return self._created[id]
        except KeyError:
            raise NotFoundError(f"container {id[:12]} was not created by this process, or is deleted") from None


def _found(name: str) -> str:
    try:
        return programs.find(name)
    except FileNotFoundError:
        return name


def _is_hybrid() -> bool:
    return len({hierarchy.version for hierarchy in cgroups.hierarchies() if hierarchy.controllers}) > 1


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _check_program(config: dict[str, Any], bundle: str) -> None:
    """Before the program is asked, for it would say so in words of its own, or not at all."""
    root, process = config["root"]["path"], config["process"]
    path = root if root.startswith("/") else f"{bundle}/{root}"
    executable.check(path, bundles.mounts(config), process["args"][0], bundles.identity(process))
