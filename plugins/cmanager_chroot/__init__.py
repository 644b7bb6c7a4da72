"""1979's container: fork, mount, chroot, execute. The smallest honest runtime; docs/plugins.md walks through it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from typing import Any

from cmanager import hookimpl
from cmanager.linux import cgroups, inroot, mounts, nodes, syscalls
from cmanager.linux.forked import SPARE, Forked
from cmanager.linux.process import Process
from cmanager.model import Bundle, Features, Provider, Stdio
from cmanager.model import bundle as bundles

_FEATURES = Features(
    namespaces=("mount",),
    options=("devices", "exact_environment", "no_new_privileges", "rlimits", "umask", "user"),
    warnings=("runtime chroot: processes and network are the host's, and root can get out: run only what you trust",),
)


class Chroot:
    """Runs bundles by chroot(2): the root file system and its mounts are the container's, all else is the host's."""

    def __init__(self) -> None:
        self._forked = Forked()

    def features(self) -> Features:
        return _FEATURES

    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        config = bundles.read(bundle.path)
        bundles.refuse(config, _FEATURES, "chroot")
        return self._forked.create(bundle.id, config["process"], stdio.streams, lambda: _steps(config, bundle.path))

    def start(self, id: str) -> int:
        return self._forked.start(id)

    def wait(self, id: str) -> int:
        return self._forked.wait(id)

    def kill(self, id: str, init: Process, number: int) -> None:
        self._forked.kill(id, init, number)

    def delete(self, id: str) -> None:
        self._forked.delete(id)


def _steps(config: dict[str, Any], bundle: str) -> Iterator[str]:
    """What makes a process a container; each step says what it is before it is done."""
    process = config["process"]
    user = process.get("user", {})
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
    yield "make the links in /dev"
    nodes.link(root)
    yield "change the root"
    if config["root"].get("readonly"):
        syscalls.mount_setattr(root, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY)
    os.fchdir(root)
    os.chroot(".")
    syscalls.close_range(SPARE)  # a directory of the host left open would be a way out (CVE-2024-21626)
    for limit in process.get("rlimits", ()):
        yield f"set {limit['type']}"
        soft, hard = (-1 if limit[key] >= 1 << 63 else limit[key] for key in ("soft", "hard"))
        resource.setrlimit(getattr(resource, limit["type"]), (soft, hard))
    yield f"become user {user.get('uid', 0)}"
    bundles.identity(process).assume()
    os.umask(user.get("umask", 0o022))
    if process.get("noNewPrivileges"):
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    yield f"change directory to {process['cwd']}"
    os.chdir(process["cwd"])


@hookimpl
def cmanager_runtimes() -> list[Provider]:
    """One provider, `chroot`."""
    return [Provider("chroot", lambda context, options: Chroot())]
