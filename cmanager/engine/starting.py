"""What `start` does, up to the moment from which the supervisor has the container."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import attrs

from ..errors import HostError
from ..linux.process import Process, boot_id
from ..model.container import Container
from ..supervisor import etc, launch, steps
from ..supervisor.steps import Observe, Step
from . import ports

if TYPE_CHECKING:
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
            *steps.start_steps(self._engine.plugins, self._engine.paths, container),
        ]

    def begin(self, container: Container, lock: int, client: socket.socket | None) -> Container:
        """Run the start table and the supervisor; the caller holds the lock."""
        busy = attrs.evolve(
            container.status,
            supervisor=Process.of(os.getpid()),
            boot=boot_id(),
            error="",
            stop_requested=False,
            restarts=0,
            health=None,
        )
        self._engine.store.save_status(container.id, busy)
        with suppress(FileNotFoundError):
            os.unlink(self._engine.paths.fault(container.id))
        table = [
            *self.steps(container),
            Step(
                "supervisor",
                "fork its supervisor, which mounts, creates and starts",
                lambda **made: self._supervise(attrs.evolve(container, status=busy), made, lock, client),
                takes=("image", "rootfs", "volumes", "link", "cgroup"),
            ),
        ]
        try:
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

    def _supervise(self, container: Container, made: dict[str, Any], lock: int, client: socket.socket | None) -> None:
        id = container.id
        name = steps.network_name(container)
        isolated = bool(name) and self._engine.plugins.get("network", name).isolated
        status = attrs.evolve(
            container.status,
            attachment=made["link"],
            cgroup=made["cgroup"].path,
            netns=self._engine.paths.netns(id) if isolated else "",
            warnings=tuple(dict.fromkeys((*container.status.warnings, *made["cgroup"].warnings))),
        )
        container = attrs.evolve(container, status=status)
        self._engine.store.save_status(id, status)
        run_dir = self._engine.paths.run_dir(id)
        os.makedirs(self._engine.paths.bundle(id), mode=0o700, exist_ok=True)
        self._make_sources(container)
        dns = container.request.dns or made["link"].dns
        etc.write(run_dir, steps.hostname(container), dns, isolated, container.request)
        try:
            self._launch(container, made, name, client, lock)
        except Exception:
            raise
        except BaseException:
            self._call_off(id)  # interrupted: the supervisor is still at work, and holds the lock with us
            raise

    def _launch(
        self, container: Container, made: dict[str, Any], name: str, client: socket.socket | None, lock: int
    ) -> None:
        id = container.id
        launch.start(
            launch.Launch(
                paths=self._engine.paths,
                config=self._config,
                container=container,
                image=made["image"].config,
                rootfs=made["rootfs"],
                namespaces=steps.namespaces(self._engine.paths, container, self._engine.inspect),
                hosts=self._hosts(name).path(id) if name else self._shared_hosts(container),
                ipc_owner=steps.ipc_owner(container, self._engine.inspect),
                observed=self._observe is not steps.ignore,
                volumes=made["volumes"],
            ),
            self._engine.plugins,
            client,
            lock,
            self._observe,
        )

    def _call_off(self, id: str) -> None:
        """End a supervisor in the middle of a start, and what it has begun; the other undos do the rest."""
        for role in ("supervisor", "init"):
            process = getattr(self._engine.store.load(id).status, role)
            if process and process.pid != os.getpid():
                process.send(9)
                process.wait_gone(5)

    def _shared_hosts(self, container: Container) -> str:
        """Who shares a network namespace shares its names; one joined by path gets the host's."""
        word, _, owner = container.request.network.partition(":")
        if word != "container":
            return "/etc/hosts"
        other = self._engine.inspect(owner)
        return self._hosts(steps.network_name(other)).path(other.id)

    def _hosts(self, network: str) -> etc.Hosts:
        return etc.Hosts(self._engine.paths.hosts(network))

    def _make_sources(self, container: Container) -> None:
        """`-v` makes a missing host directory, as Docker does."""
        for mount in container.request.mounts:
            if "X-mount.mkdir" in mount.options and not os.path.exists(mount.source):
                try:
                    os.makedirs(mount.source)
                except OSError as error:
                    raise HostError.of("make bind source", mount.source, error) from None
