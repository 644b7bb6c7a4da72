"""One life of a container: its root file system mounted, its program created and started, its streams."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from typing import Any, Protocol

import attrs

from ..errors import HostError
from ..linux import files, inroot
from ..linux.mounts import Mount
from ..linux.process import Process, children
from ..model.container import Container
from ..model.runtime import Bundle
from ..oci import security, spec, users
from ..plugins import Plugins
from . import etc, rootfs, volumes
from .launch import Launch
from .oom import set_oom_score
from .stdio import Streams
from .steps import Step, hostname


class Record(Protocol):
    """Writes changes of a container's status down."""

    def __call__(self, **changes: Any) -> None: ...


class Life:
    """The steps that begin a life, each with its undo, and what they make.

    container: as it is recorded at the beginning; enter: into the supervisor's mount namespace; record: called with the
    first process, and when the program runs. children: those of this process that belong to the runtime, which reaps
    them.
    """

    def __init__(
        self,
        launch: Launch,
        container: Container,
        plugins: Plugins,
        streams: Streams,
        enter: Callable[[], None],
        record: Record,
    ) -> None:
        self._launch, self._container, self._plugins = launch, container, plugins
        self.streams, self._enter, self._record = streams, enter, record
        self.runtime = plugins.get("runtime", container.providers.runtime)
        self.bundle = Bundle(container.id, launch.paths.bundle(container.id))
        self.pid = 0
        self.children: set[int] = set()
        directory = self.bundle.path
        self.steps = [
            Step("mount", "mount its root file system", self._mount, lambda: rootfs.unmount(directory)),
            Step("fill", "fill new volumes from the image", self._fill),
            Step("bundle", "write its OCI configuration", self._write_bundle, takes=("fill",)),
            Step("create", "create it", self._create, lambda: self.runtime.delete(container.id)),
            Step("start", "execute its program", self._start),
        ]

    def _mount(self) -> None:
        try:
            self._enter()
        except OSError as error:
            # EINVAL: in a plain chroot the root is no mount, and no process in it can change its root (pivot_root(2)).
            raise HostError.of("make mounts private below", "/", error) from None
        self._plugins.renew("runtime", self._container.providers.runtime)
        own_range = self._container.user_map
        userns = self._launch.namespaces.get("user", "") if own_range else ""
        rootfs.mount(self._launch.rootfs, self.bundle.path, userns, own_range[0] if own_range else 0)

    def resume(self, pid: int) -> None:
        """Go on with a life that another process began, which left it to this one; pid: the first process."""
        self.pid, self.children = pid, {pid}
        self.runtime.adopt(self.bundle, pid)

    def _fill(self) -> tuple[Mount, ...]:
        return volumes.attach(attrs.evolve(self._launch, container=self._container), self.bundle.path)

    def _write_bundle(self, fill: tuple[Mount, ...]) -> None:
        container, launch = self._container, self._launch
        request, run_dir = container.request, launch.paths.run_dir(container.id)
        request = attrs.evolve(request, mounts=(*request.mounts, *fill))
        root = inroot.open_root(f"{self.bundle.path}/rootfs")
        try:
            rootfs.check(root, request.image)
            user = users.resolve(root, request.user or launch.image.user, request.groups)
            workdir = request.workdir or launch.image.working_dir
            if workdir:
                _make_workdir(root, workdir)
        finally:
            os.close(root)
        first = container.user_map[0] if container.user_map else 0
        self.streams.own(first + user.uid, first + user.gid)
        around = spec.Surroundings(
            hostname=hostname(container),
            namespaces=launch.namespaces,
            cgroup=container.status.cgroup,
            etc=etc.mounts(run_dir, launch.hosts, request, launch.resolver),
            id_map=container.user_map,
            shm=self._shm(),
        )
        allowed = security.decide(
            privileged=request.privileged,
            add=request.cap_add,
            drop=request.cap_drop,
            options=request.security,
            machine=platform.machine(),
        )
        config = spec.build(container.id, request, launch.image, container.argv, user, allowed, around)
        spec.amend(config, self._plugins.amend(json.loads(json.dumps(config))))
        files.write_atomic(f"{self.bundle.path}/config.json", json.dumps(config).encode())

    def _shm(self) -> str:
        if self._launch.ipc_owner:
            return rootfs.share_shm(self._launch.ipc_owner, self.bundle.path)
        return self._launch.shm or "/dev/shm"

    def _create(self) -> None:
        request = self._container.request
        self.streams.listen(self._launch.paths.attach(self._container.id))
        self.pid = self.runtime.create(self.bundle, self.streams.stdio)
        self.streams.given()
        set_oom_score(self.pid, request.oom_score_adj)
        self._record(init=Process.of(self.pid))

    def _start(self) -> None:
        created, self.pid = self.pid, self.runtime.start(self._container.id)
        self.children = set(children(os.getpid()))
        # One that is the same may have ended, and would have no identity any more.
        init = {} if self.pid == created else {"init": Process.of(self.pid)}
        now = {"started_at": time.time(), "finished_at": 0.0, "restart_at": 0.0, "usage": None, "oom_killed": False}
        self._record(state="running", exit_code=None, error="", **now, **init)


def _make_workdir(root: int, path: str) -> None:
    try:
        os.close(inroot.make_directory(root, path))
    except OSError as error:
        raise HostError.of("use as working directory", path, error) from None
