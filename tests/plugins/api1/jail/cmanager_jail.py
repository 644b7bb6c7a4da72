"""Runtime jail: a root file system, mounts, limits and a user of its own, and programs that join it later."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from typing import Any

from attrs import field, frozen
from attrs.validators import ge, le

from cmanager import hookimpl
from cmanager.errors import HostError, NotFoundError, UnsupportedError
from cmanager.linux import cgroups, inroot, mounts, nodes, syscalls
from cmanager.linux.forked import SPARE, Forked
from cmanager.linux.process import Process
from cmanager.model import Bundle, Context, Features, Provider, Stdio
from cmanager.model import bundle as bundles


@frozen
class Options:
    """nice: int, how much its processes stand back for others (setpriority(2))."""

    nice: int = field(default=0, validator=[ge(0), le(19)])


class Jail:
    def __init__(self, options: Options) -> None:
        self._options, self._forked = options, Forked()

    def features(self) -> Features:
        return Features(
            namespaces=("mount",),
            options=("devices", "exact_environment", "no_new_privileges", "rlimits", "umask", "user"),
            version="1",
            notes=(f"programs run with niceness {self._options.nice}",),
        )

    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        config = bundles.read(bundle.path)
        bundles.refuse(config, self.features(), "jail")
        streams = (stdio.stdin, stdio.stdout, stdio.stderr)
        return self._forked.create(bundle.id, config["process"], streams, lambda: self._steps(config, bundle.path))

    def start(self, id: str) -> int:
        return self._forked.start(id)

    def wait(self, id: str) -> int:
        return self._forked.wait(id)

    def kill(self, id: str, init: Process, number: int) -> None:
        self._forked.kill(id, init, number)

    def delete(self, id: str) -> None:
        self._forked.delete(id)

    def exec(self, bundle: Bundle, init: Process, process: dict[str, Any], stdio: Stdio) -> int:
        if process.get("terminal"):
            raise UnsupportedError("runtime jail has no terminals")
        bundles.check_process(process)
        path = bundles.read(bundle.path)["linux"].get("cgroupsPath", "")
        try:
            namespace = os.open(f"/proc/{init.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            root = os.open(f"/proc/{init.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise HostError.of("enter container", bundle.id[:12], error) from None
        try:
            if not init.alive():
                raise NotFoundError(f"container {bundle.id[:12]} is gone")
            forked = Forked()
            entering = _Entering(f"/proc/{os.getpid()}/fd", namespace, root, path)
            forked.create(bundle.id, process, stdio.streams, lambda: self._enter(process, entering))
            return forked.start(bundle.id)
        finally:
            os.close(namespace)
            os.close(root)

    def _steps(self, config: dict[str, Any], bundle: str) -> Iterator[str]:
        yield "join its cgroup"
        cgroups.join_all(config["linux"].get("cgroupsPath", ""))
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
        nodes.link(root)
        yield "change the root"
        if config["root"].get("readonly"):
            syscalls.mount_setattr(root, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY)
        os.fchdir(root)
        os.chroot(".")
        yield from self._become(config["process"])

    def _enter(self, process: dict[str, Any], entering: _Entering) -> Iterator[str]:
        # The descriptors of the caller are closed here: they are found again through /proc, before that is left.
        yield "find the container"
        namespace = os.open(f"{entering.descriptors}/{entering.namespace}", os.O_RDONLY)
        root = os.open(f"{entering.descriptors}/{entering.root}", os.O_PATH | os.O_DIRECTORY)
        yield "join its cgroup"
        cgroups.join_all(entering.cgroup)
        yield "join its mount namespace"
        syscalls.setns(namespace, syscalls.CLONE_NEWNS)
        os.fchdir(root)
        os.chroot(".")
        yield from self._become(process)

    def _become(self, process: dict[str, Any]) -> Iterator[str]:
        syscalls.close_range(SPARE)
        yield "stand back"
        os.nice(self._options.nice)
        for limit in process.get("rlimits", ()):
            yield f"set {limit['type']}"
            soft, hard = (-1 if limit[key] >= 1 << 63 else limit[key] for key in ("soft", "hard"))
            resource.setrlimit(getattr(resource, limit["type"]), (soft, hard))
        user = process.get("user", {})
        yield f"become user {user.get('uid', 0)}"
        os.setgroups(user.get("additionalGids", ()))
        os.setgid(user.get("gid", 0))
        os.setuid(user.get("uid", 0))
        os.umask(user.get("umask", 0o022))
        if process.get("noNewPrivileges"):
            syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        yield f"change directory to {process['cwd']}"
        os.chdir(process["cwd"])


@frozen
class _Entering:
    """descriptors: where those of the caller are; namespace, root: their numbers; cgroup: the container's."""

    descriptors: str
    namespace: int
    root: int
    cgroup: str


def _jail(context: Context, options: Options) -> Jail:
    return Jail(options)


@hookimpl
def cmanager_runtimes() -> list[Provider]:
    return [Provider("jail", _jail, options=Options)]
