"""The smallest honest runtime: fork, a mount namespace, chroot, exec. It says what it lacks and refuses the rest."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import suppress
from typing import Any, NoReturn

from attrs import define

from cmanager.errors import (
    CmanagerError,
    CommandError,
    ConflictError,
    HostError,
    InvalidError,
    NotFoundError,
    UnsupportedError,
)
from cmanager.linux import cgroups, inroot, mounts, syscalls
from cmanager.linux.mounts import Mount
from cmanager.linux.process import Process
from cmanager.model import Bundle, Features, Stdio

#: What config.json may ask of other runtimes, as the way to it.
_LACKING = (
    *("process.terminal", "process.capabilities", "process.noNewPrivileges", "process.rlimits", "hooks"),
    *("process.apparmorProfile", "process.selinuxLabel", "linux.seccomp", "linux.sysctl", "linux.devices"),
    *("linux.maskedPaths", "linux.readonlyPaths", "linux.uidMappings", "domainname"),
)
_READY, _START = b"R", b"S"


@define
class _Made:
    pid: int
    channel: socket.socket | None
    code: int | None = None


class Chroot:
    """Runs bundles by chroot(2): nothing but the mounts is the container's own."""

    def __init__(self) -> None:
        self._made: dict[str, _Made] = {}

    def features(self) -> Features:
        return Features(
            ("mount",), ("user", "exact_environment"), notes=("the host's processes and networks are seen from inside",)
        )

    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        if bundle.id in self._made:
            raise ConflictError(f"container {bundle.id[:12]} was created already")
        config = _read(f"{bundle.path}/config.json")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            _child(config, bundle.path, stdio, theirs)
        theirs.close()
        self._made[bundle.id] = _Made(pid, ours)
        self._expect(bundle.id, ours, _READY)
        return pid

    def start(self, id: str) -> int:
        made = self._known(id)
        if made.channel is None:
            raise ConflictError(f"container {id[:12]} was started already")
        channel, made.channel = made.channel, None
        with channel:
            try:
                channel.send(_START)
            except OSError:
                self.delete(id)
                raise CmanagerError(f"container {id[:12]} died before its start") from None
            self._expect(id, channel, b"")
        return made.pid

    def wait(self, id: str) -> int:
        made = self._known(id)
        if made.code is None:
            code = os.waitstatus_to_exitcode(os.waitpid(made.pid, 0)[1])
            made.code = code if code >= 0 else 128 - code
        return made.code

    def kill(self, id: str, init: Process, number: int) -> None:
        try:
            init.send(number)
        except OSError as error:
            raise HostError.of(f"send signal {number} to", id[:12], error) from None

    def delete(self, id: str) -> None:
        made = self._made.pop(id, None)
        if made is None:
            return
        if made.channel:
            made.channel.close()
        if made.code is None:
            os.kill(made.pid, signal.SIGKILL)
            os.waitpid(made.pid, 0)

    def _known(self, id: str) -> _Made:
        try:
            return self._made[id]
        except KeyError:
            raise NotFoundError(f"container {id[:12]} was not created here") from None

    def _expect(self, id: str, channel: socket.socket, answer: bytes) -> None:
        """Fail with what the child says instead; then the container is gone."""
        said = channel.recv(4096)
        if said != answer:
            self.delete(id)
            channel.close()
            code, _, text = said.decode("utf-8", "replace").partition(" ")
            raise CommandError(text, int(code)) if code in ("126", "127") else CmanagerError(text or "it died")


def _read(path: str) -> dict[str, Any]:
    """config.json, checked for what the child will use; UnsupportedError for what this runtime lacks."""
    try:
        with open(path, "rb") as file:
            config = json.load(file)
        _check(config)
    except OSError as error:
        raise HostError.of("read", path, error) from None
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise InvalidError(f"{path} does not fit the runtime specification: {type(error).__name__}") from None
    checked: dict[str, Any] = config
    return checked


def _check(config: dict[str, Any]) -> None:
    process, linux = config["process"], config.get("linux", {})
    for way in _LACKING:
        above, _, key = way.rpartition(".")
        if (config.get(above, {}) if above else config).get(key):
            raise UnsupportedError(f"chroot runtime: {way} is not supported")
    if config.get("annotations", {}).get("dev.cmanager.init"):
        raise UnsupportedError("chroot runtime: an init is not supported")
    kinds = [_typed(entry["type"], str) for entry in _typed(linux.get("namespaces", []), list)]
    if kinds != ["mount"] or linux["namespaces"][0].get("path"):
        raise UnsupportedError(f"chroot runtime: of namespaces it needs and has a new mount namespace, not {kinds}")
    if _typed(config.get("hostname", ""), str):
        raise InvalidError("hostname: without an uts namespace it would be the host's")
    user = process.get("user", {})
    numbers = [user.get("uid", 0), user.get("gid", 0), user.get("umask", 0), *user.get("additionalGids", [])]
    if not all(type(number) is int and 0 <= number < 1 << 32 for number in numbers):
        raise InvalidError("process.user: not numbers of users and groups")
    texts = [*_typed(process["args"], list), *_typed(process.get("env", []), list), process["cwd"]]
    if not process["args"] or any(b"\0" in os.fsencode(_typed(text, str)) for text in texts):
        raise InvalidError("process: no arguments, or a null byte")
    if not process["cwd"].startswith("/"):
        raise InvalidError("process.cwd is not absolute")
    _typed(config["root"]["path"], str)
    _typed(linux.get("cgroupsPath", ""), str)
    for mount in _typed(config.get("mounts", []), list):
        _mount(mount)


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError
    return value


def _mount(data: dict[str, Any]) -> Mount:
    texts = [data["destination"], data.get("type", "bind"), data.get("source", ""), *data.get("options", [])]
    target, kind, source, *options = [_typed(text, str) for text in texts]
    return Mount(kind, source, target, tuple(options))


def _child(config: dict[str, Any], bundle: str, stdio: Stdio, parent: socket.socket) -> NoReturn:
    code, doing = 125, "make a mount namespace"
    process = config["process"]
    try:
        os.setsid()
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if cgroup := config["linux"].get("cgroupsPath"):
            for hierarchy in cgroups.hierarchies():
                with suppress(FileNotFoundError):
                    cgroups.join(hierarchy.path(cgroup))
        mounts.make_private_namespace()
        root = inroot.open_root(os.path.join(bundle, config["root"]["path"]))
        for mount in map(_mount, config.get("mounts", [])):
            doing = f"mount {mount.type} at {mount.target}"
            mounts.make(mount, root)
        doing = "enter the root"
        if config["root"].get("readonly"):
            syscalls.mount_setattr(root, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY)
        os.fchdir(root)
        os.chroot(".")
        doing = f"change directory to {process['cwd']}"
        os.chdir(process["cwd"])
        for number, fd in enumerate((stdio.stdin, stdio.stdout, stdio.stderr)):
            os.dup2(fd, number)
        os.dup2(parent.detach(), 3, inheritable=False)
        syscalls.close_range(4)
        parent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, 3)
        doing = "become the user"
        user = process.get("user", {})
        os.setgroups(user.get("additionalGids", []))
        os.setgid(user.get("gid", 0))
        os.setuid(user.get("uid", 0))
        os.umask(user.get("umask", 0o022))
        parent.send(_READY)
        if parent.recv(1) != _START:
            os._exit(125)
        doing, code = f"execute {process['args'][0]}", 126
        environment = dict(entry.split("=", 1) for entry in process.get("env", []))
        os.execvpe(process["args"][0], process["args"], environment)
    except FileNotFoundError as error:
        parent.send(f"{127 if code == 126 else code} cannot {doing}: {error.strerror}".encode())
    except BaseException as error:
        parent.send(f"{code} cannot {doing}: {error}".encode())
    finally:
        os._exit(code)
