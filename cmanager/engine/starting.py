"""What `start` does, up to the moment from which the supervisor has the container."""

from __future__ import annotations

import os
import socket
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, Literal

import attrs

from ..errors import HostError
from ..linux import cgroups
from ..linux.process import Process, boot_id
from ..model.container import Container
from ..supervisor import attachments, etc, launch, steps
from ..supervisor.steps import Observe, Step, Timeline
from . import ports

if TYPE_CHECKING:
    from ..supervisor.slots import Berth
    from .engine import Engine


class Starting:
    """Starts containers of one engine. config: path of its configuration, "" for the usual search."""

    def __init__(self, engine: Engine, config: str, observe: Observe) -> None:
        self._engine, self._config, self._observe = engine, config, observe

    def steps(self, container: Container) -> list[Step]:
        """The table that `start` runs, up to the supervisor."""
        storage = self._engine.plugins.get("storage", container.providers.storage)
        images = self._engine.plugins.get("image", container.providers.image)
        return [
            Step(
                "image",
                f"read the configuration of image {container.request.image}",
                lambda: images.resolve(container.image_digest),
            ),
            Step(
                "rootfs",
                "find its root file system",
                lambda image: storage.prepare(container.id, image.layers),
                takes=("image",),
            ),
            Step("volumes", "find its volumes", lambda: self._engine.volumes.ensure(container)),
            *ports.steps(self._engine.plugins, container, self._engine.list),
            *self.pod_steps(container),
            *steps.start_steps(self._engine.plugins, self._engine.paths, container),
        ]

    def pod_steps(self, container: Container) -> list[Step]:
        """What a container in a pod needs of it; nothing to undo: that belongs to the pod."""
        member = container.request.member
        if member is None:
            return []
        text = f"see that the namespaces of pod {member.name} are there"
        return [Step("pod", text, lambda: self._engine.pods.ready(member.id))]

    def begin(
        self, container: Container, lock: int, client: socket.socket | None, berth: Berth | None = None
    ) -> Container:
        """Run the start table and the supervisor; the caller holds the lock. berth: what waits for this container."""
        busy = attrs.evolve(
            container.status,
            supervisor=Process.of(os.getpid()),
            boot=boot_id(),
            error="",
            stop_requested=False,
            restarts=0,
            health=None,
            usage=None,
            oom_killed=False,
        )
        self._engine.store.save_status(container.id, busy)
        with suppress(FileNotFoundError):
            os.unlink(self._engine.paths.fault(container.id))
        runtime = self._engine.plugins.get("runtime", container.providers.runtime)
        before = self.steps(container)
        if berth:
            from ..supervisor.slots import filled

            before = filled(before, berth.slot, container)
        attached = tuple(step.name for step in before if step.name == "attach")
        table = [
            *before,
            Step(
                "supervisor",
                "fork its supervisor, which mounts, creates and starts",
                lambda **made: self._supervise(attrs.evolve(container, status=busy), made, lock, client, berth),
                takes=("image", "rootfs", "volumes", "link", "cgroup", *attached),
            ),
        ]
        try:
            with cgroups.hastened() if runtime.features().moves else nullcontext():
                steps.run(table, self._observe)
        except BaseException as error:
            code = getattr(error, "exit_code", None)
            state: Literal["created", "stopped"] = "stopped" if container.status.started_at else "created"
            calm = attrs.evolve(
                container.status, state=state, supervisor=None, init=None, exit_code=code, error=str(error)[:1000]
            )
            self._engine.store.save_status(container.id, attrs.evolve(calm, netns="", cgroup="", attachment=None))
            raise
        return self._engine.store.load(container.id) if not container.request.remove else container

    def _supervise(
        self,
        container: Container,
        made: dict[str, Any],
        lock: int,
        client: socket.socket | None,
        berth: Berth | None,
    ) -> None:
        id, paths = container.id, self._engine.paths
        netns = steps.netns_path(self._engine.plugins, paths, container)
        status = attrs.evolve(
            container.status,
            attachment=made["link"],
            cgroup=made["cgroup"].path,
            netns=netns,
            warnings=tuple(dict.fromkeys((*container.status.warnings, *made["cgroup"].warnings))),
        )
        container = attrs.evolve(container, status=status)
        self._engine.store.save_status(id, status)
        run_dir = paths.run_dir(id)
        os.makedirs(paths.bundle(id), mode=0o700, exist_ok=True)
        self._make_sources(container)
        dns = container.request.dns or made["link"].dns
        request = container.request
        etc.write(run_dir, steps.hostname(container), dns, bool(netns), request.dns_search, request.dns_options)
        try:
            self._launch(container, made, client, lock, berth)
        except Exception:
            raise
        except BaseException:
            self._call_off(id)  # interrupted: the supervisor is still at work, and holds the lock with us
            raise

    def _launch(
        self,
        container: Container,
        made: dict[str, Any],
        client: socket.socket | None,
        lock: int,
        berth: Berth | None,
    ) -> None:
        paths = self._engine.paths
        pod = paths.pod(container.request.pod)
        timed = isinstance(self._observe, Timeline)
        launch.start(
            launch.Launch(
                paths=paths,
                config=self._config,
                container=container,
                image=made["image"].config,
                rootfs=made["rootfs"],
                namespaces=steps.namespaces(paths, container, self._engine.inspect),
                hosts=self._hosts(container),
                ipc_owner=steps.ipc_owner(container, self._engine.inspect),
                observed=not timed and self._observe is not steps.ignore,
                timed=timed,
                volumes=attachments.placed(made["volumes"], made.get("attach", {})),
                resolver=f"{pod}/resolv.conf" if container.request.shares("network") else "",
                shm=f"{pod}/shm" if container.request.shares("ipc") else "",
            ),
            self._engine.plugins,
            client,
            lock,
            self._observe,
            berth,
        )

    def _call_off(self, id: str) -> None:
        """End a supervisor in the middle of a start, and what it has begun; the other undos do the rest."""
        for role in ("supervisor", "init"):
            process = getattr(self._engine.store.load(id).status, role)
            if process and process.pid != os.getpid():
                process.send(9)
                process.wait_gone(5)

    def _hosts(self, container: Container) -> str:
        """Its hosts file: who shares a network namespace shares its names; one joined by path gets the host's."""
        request, paths = container.request, self._engine.paths
        if request.member and request.shares("network"):
            return etc.Hosts(paths.hosts(request.network)).path(request.member.id)
        if name := steps.network_name(container):
            return etc.Hosts(paths.hosts(name)).path(container.id)
        word, _, owner = request.network.partition(":")
        return self._hosts(self._engine.inspect(owner)) if word == "container" else "/etc/hosts"

    def _make_sources(self, container: Container) -> None:
        """`-v` makes a missing host directory, as Docker does."""
        for mount in container.request.mounts:
            if "X-mount.mkdir" in mount.options and not os.path.exists(mount.source):
                try:
                    os.makedirs(mount.source)
                except OSError as error:
                    raise HostError.of("make bind source", mount.source, error) from None
