"""Runtime mine: a container has a root file system and mounts of its own, all else is the host's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from cmanager import hookimpl
from cmanager.linux import cgroups, inroot, mounts, nodes, syscalls
from cmanager.linux.forked import SPARE, Forked
from cmanager.linux.process import Process
from cmanager.model import Bundle, Features, Provider, Stdio
from cmanager.model import bundle as bundles

_WARNING = "runtime mine: processes and network are the host's, and root can get out: run only what you trust"
_FEATURES = Features(("mount",), ("devices", "exact_environment", "user"), warnings=(_WARNING,))


class MineRuntime:
    """See `cmanager.seams.Runtime`."""

    def __init__(self) -> None:
        self._forked = Forked()

    def features(self) -> Features:
        return _FEATURES

    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        config = bundles.read(bundle.path)
        bundles.refuse(config, _FEATURES, "mine")
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
    yield "join its cgroup"
    cgroups.join_all(config["linux"].get("cgroupsPath", ""))
    yield "make its mounts"
    mounts.make_private_namespace()
    root = inroot.open_root(os.path.join(bundle, config["root"]["path"]))
    for mount in bundles.mounts(config):
        mounts.make(mount, root)
    os.umask(0)
    for node in bundles.nodes(config):
        nodes.make(root, node)
    nodes.link(root)
    yield "change the root"
    if config["root"].get("readonly"):
        syscalls.mount_setattr(root, "", syscalls.AT_EMPTY_PATH, add=syscalls.MOUNT_ATTR_RDONLY)
    os.fchdir(root)
    os.chroot(".")
    syscalls.close_range(SPARE)
    os.umask(0o022)
    yield "become its user"
    bundles.identity(process).assume()
    yield f"change directory to {process['cwd']}"
    os.chdir(process["cwd"])


@hookimpl
def cmanager_runtimes() -> list[Provider]:
    """One provider, `mine`."""
    return [Provider("mine", lambda context, options: MineRuntime())]
