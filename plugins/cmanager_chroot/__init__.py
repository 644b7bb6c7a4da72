"""1979's container: fork, mount, chroot, execute. The smallest honest runtime; docs/plugins.md walks through it."""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Iterator
from typing import Any, NoReturn

from attrs import define

from cmanager import hookimpl
from cmanager.errors import CmanagerError, CommandError, ConflictError, HostError, NotFoundError
from cmanager.linux import cgroups, inroot, mounts, nodes, programs, syscalls
from cmanager.linux.process import Process, reap
from cmanager.model import Bundle, Features, Provider, Stdio
from cmanager.model import bundle as bundles

_FEATURES = Features(
    namespaces=("mount",),
    options=("devices", "exact_environment", "no_new_privileges", "rlimits", "umask", "user"),
    warnings=("runtime chroot: processes and network are the host's, and root can get out: run only what you trust",),
)
_CHANNEL, _GO = 3, b"G"  # where the child hears of its start and tells of its failure; execution closes it


@define
class _Container:
    """One of this supervisor's. channel: to the child that waits for its start; code: how it ended."""

    pid: int
    channel: socket.socket | None
    code: int | None = None


class Chroot:
    """Runs bundles by chroot(2): the root file system and its mounts are the container's, all else is the host's."""

    def __init__(self) -> None:
        self._containers: dict[str, _Container] = {}

    def features(self) -> Features:
        return _FEATURES

    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        if bundle.id in self._containers:
            raise ConflictError(f"container {bundle.id[:12]} was created already")
        config = bundles.read(bundle.path)
        bundles.refuse(config, _FEATURES, "chroot")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            _child(config, bundle.path, (stdio.stdin, stdio.stdout, stdio.stderr, theirs.fileno()))
        theirs.close()
        self._containers[bundle.id] = _Container(pid, ours)
        return pid

    def start(self, id: str) -> int:
        container = self._known(id)
        if container.channel is None:
            raise ConflictError(f"container {id[:12]} was started already")
        try:
            container.channel.send(_GO)
            said = container.channel.recv(4096).decode("utf-8", "replace")
        except OSError:  # EPIPE or ECONNRESET: there is nobody to read it
            said = "125 the container was killed before its start"
        if said:
            self.delete(id)
            code, _, text = said.partition(" ")
            raise CmanagerError(text) if code == "125" else CommandError(text, int(code))
        container.channel.close()
        container.channel = None
        return container.pid

    def wait(self, id: str) -> int:
        container = self._known(id)
        if container.code is None:
            container.code = reap(container.pid)
        return container.code

    def kill(self, id: str, init: Process, number: int) -> None:
        try:
            init.send(number)
        except OSError as error:
            raise HostError.of(f"send signal {number} to", id[:12], error) from None

    def delete(self, id: str) -> None:
        container = self._containers.pop(id, None)
        if container and container.channel:
            container.channel.close()
        if container and container.code is None:
            os.kill(container.pid, signal.SIGKILL)
            os.waitpid(container.pid, 0)

    def _known(self, id: str) -> _Container:
        try:
            return self._containers[id]
        except KeyError:
            raise NotFoundError(f"container {id[:12]} was not created here, or is deleted") from None


def _child(config: dict[str, Any], bundle: str, fds: tuple[int, ...]) -> NoReturn:
    """Wait for the start, become the container, execute the program; or tell the parent why not."""
    process, doing, code = config["process"], "begin", 125
    try:
        for number, fd in enumerate(fds):
            os.dup2(fd, number, inheritable=number != _CHANNEL)
        syscalls.close_range(_CHANNEL + 1)
        programs.reset_signals()
        if os.read(_CHANNEL, 1) == _GO:
            for step in _steps(config, process, bundle):
                doing = step
            doing, code = f"execute {process['args'][0]!r}", 126
            pairs = (entry.partition("=") for entry in process.get("env", ()))
            os.execvpe(process["args"][0], process["args"], {name: value for name, _, value in pairs})
    except Exception as error:
        if code == 126 and isinstance(error, (FileNotFoundError, NotADirectoryError)):
            code = 127
        why = getattr(error, "strerror", None) or str(error)
        os.write(_CHANNEL, f"{code} cannot {doing}: {why[:1].lower()}{why[1:]}".encode())
    finally:
        os._exit(code)


def _steps(config: dict[str, Any], process: dict[str, Any], bundle: str) -> Iterator[str]:
    """What makes a process a container; each step says what it is before it is done."""
    linux, user = config["linux"], process.get("user", {})
    os.setsid()
    yield "join its cgroup"
    cgroups.join_all(linux.get("cgroupsPath", ""))
    yield "make a mount namespace"
    mounts.make_private_namespace()
    root = inroot.open_root(os.path.join(bundle, config["root"]["path"]))
    for mount in bundles.mounts(config):
        yield f"mount {mount.target}"
        mounts.make(mount, root)
    os.umask(0)
    for node in bundles.nodes(config):
        yield f"make {node.path}"
        nodes.make(root, node)
    yield "make the links in /dev"
    nodes.link(root)
    yield "change the root"
    if config["root"].get("readonly"):
        syscalls.mount_setattr(root, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY)
    os.fchdir(root)
    os.chroot(".")
    syscalls.close_range(_CHANNEL + 1)  # a directory of the host left open would be a way out (CVE-2024-21626)
    for limit in process.get("rlimits", ()):
        yield f"set {limit['type']}"
        soft, hard = (-1 if limit[key] >= 1 << 63 else limit[key] for key in ("soft", "hard"))
        resource.setrlimit(getattr(resource, limit["type"]), (soft, hard))
    yield f"become user {user.get('uid', 0)}"
    os.setgroups(user.get("additionalGids", ()))
    os.setgid(user.get("gid", 0))
    os.setuid(user.get("uid", 0))
    os.umask(user.get("umask", 0o022))
    if process.get("noNewPrivileges"):
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    yield f"change directory to {process['cwd']}"
    os.chdir(process["cwd"])


@hookimpl
def cmanager_runtimes() -> list[Provider]:
    """One provider, `chroot`."""
    return [Provider("chroot", lambda context, options: Chroot())]
