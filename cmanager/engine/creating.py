"""What `create` does: checks first, then the image, the record, its volumes and its root file system."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import attrs

from ..errors import ConflictError, NotFoundError, UnsupportedError
from ..linux.process import Process, boot_id
from ..model.container import Container, Providers, RunRequest, Status
from ..model.image import Image, Progress, Reference
from ..model.names import check_name, new_id, new_name
from ..oci import health, signals, spec
from ..seams import Exec
from ..supervisor import rootfs
from ..supervisor.steps import Step
from ..supervisor.volumes import drop
from . import abilities, addresses, checks, ports, rates, userns

if TYPE_CHECKING:
    from .engine import Engine


class Creating:
    """Makes records of containers for one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def steps(
        self,
        request: RunRequest,
        progress: Progress,
        starting: bool = False,
        replace: bool = False,
        pod: Sequence[Step] = (),
        id: str = "",
    ) -> list[Step]:
        """The table that `create` runs. pod: what makes the pod that the container is to be in; id: its id, or ""."""
        providers = self.providers(request)
        images = self._engine.plugins.get("image", providers.image)
        storage = rootfs.store(self._engine.plugins, providers.storage)
        id = id or new_id()
        return [
            Step(
                "check",
                "refuse what this host or a plugin cannot do",
                lambda: self.check(request, providers, starting and not replace),
            ),
            Step(
                "image",
                f"find image {request.image}, pull policy {request.pull}",
                lambda: self._image(images, request, progress),
            ),
            *pod,
            Step(
                "record",
                "claim its name and record it",
                lambda check, image: self._record(id, providers, check, image, starting, replace),
                lambda: self._engine.store.remove(id),
                takes=("check", "image"),
            ),
            Step(
                "volumes",
                "make those of its volumes that are missing",
                lambda record: self._engine.volumes.ensure(record, created=False),
                lambda: self._undo_volumes(id),
                takes=("record",),
            ),
            Step(
                "rootfs",
                f"prepare its root file system with {providers.storage}",
                lambda image: storage.prepare(id, image.layers),
                lambda: storage.remove(id),
                takes=("image",),
            ),
        ]

    def check(
        self, request: RunRequest, providers: Providers, starting: bool = False
    ) -> tuple[RunRequest, tuple[str, ...]]:
        """What can be refused before anything is made: the request with its defaults, and warnings."""
        if request.name:
            check_name(request.name, "container name")
        runtime = self._engine.plugins.get("runtime", providers.runtime)
        limiter = self._engine.plugins.get("limiter", providers.limiter)
        network = request.network or providers.network
        if not network.startswith(("container:", "ns:")):
            self._engine.plugins.get("network", network)
        filled = attrs.evolve(request, runtime=providers.runtime, network=network)
        filled = self._engine.volumes.inherit(filled, self._engine.inspect)
        filled = self._engine.volumes.check(filled, providers.storage)
        ports.check(self._engine.plugins, filled)
        addresses.check(self._engine.plugins, filled, now=starting)
        rates.check(self._engine.plugins, filled.network, filled.rate, shared=filled.shares("network"))
        if filled.health.test and filled.health.test[0] != "NONE" and not isinstance(runtime, Exec):
            raise UnsupportedError(f"runtime {providers.runtime} cannot honour --health-cmd, it has no exec")
        settled = checks.settle(filled, runtime.features(), limiter, providers.limiter)
        if starting:
            ports.check_free(self._engine.plugins, filled, self._engine.list)
        return settled

    def providers(self, request: RunRequest) -> Providers:
        """Who fills each seam for this request."""
        runtime = request.runtime or self._engine.plugins.default("runtime")
        network = request.network
        if not network or network.startswith(("container:", "ns:")):
            features = self._engine.plugins.get("runtime", runtime).features()
            network = abilities.network(features, self._engine.plugins.default("network"))
        plugins = self._engine.plugins
        chosen = Providers(
            image=plugins.default("image"),
            storage=plugins.default("storage"),
            network=network,
            limiter=plugins.default("limiter"),
            runtime=runtime,
        )
        versions = {seam: plugins.version(seam, name) for seam, name in chosen.named().items()}
        return attrs.evolve(chosen, versions={seam: version for seam, version in versions.items() if version})

    def pull(self, images: Any, name: str, progress: Progress) -> Image:
        """Fetch an image, and tell of it."""
        reference = Reference.parse(name)
        image: Image = images.pull(reference, progress)
        self._engine.announcer.image("pull", str(reference), reference.repository, digest=image.digest)
        return image

    def container(
        self,
        id: str,
        name: str,
        providers: Providers,
        request: RunRequest,
        image: Image | None,
        argv: tuple[str, ...],
        warnings: tuple[str, ...],
        user_map: tuple[int, int] | None = None,
    ) -> Container:
        """A record that was not written yet."""
        return Container(
            id=id,
            name=name,
            created_at=time.time(),
            request=request,
            image_digest=image.digest if image else "",
            image_id=image.id if image else "",
            argv=argv,
            providers=providers,
            user_map=user_map,
            status=Status(warnings=warnings),
        )

    def _image(self, images: Any, request: RunRequest, progress: Progress) -> Image:
        if request.pull == "always":
            return self.pull(images, request.image, progress)
        try:
            found: Image = images.resolve(request.image)
        except NotFoundError:
            if request.pull == "never":
                raise
            found = self.pull(images, request.image, progress)
        return found

    def _record(
        self,
        id: str,
        providers: Providers,
        check: tuple[RunRequest, tuple[str, ...]],
        image: Image,
        starting: bool,
        replace: bool,
    ) -> Container:
        request, warnings = check
        argv = spec.argv(request, image.config)
        request = attrs.evolve(
            request,
            stop_signal=request.stop_signal or image.config.stop_signal or "SIGTERM",
            labels=image.config.labels | request.labels,
            expose=ports.exposed(request, image.config),
        )
        signals.number_of(request.stop_signal)
        runtime = self._engine.plugins.get("runtime", providers.runtime)
        if health.effective(request.health, image.config.healthcheck) and not isinstance(runtime, Exec):
            warnings = (*warnings, f"runtime {providers.runtime} does without: the image's health check")
        request = self._engine.volumes.settle(id, request, image.config, providers.storage)
        ports.check(self._engine.plugins, request)
        # Its lock, for a pod must not be removed now.
        pod = self._engine.pods.held(request.pod) if request.pod else nullcontext()
        with pod, userns.allocated(self._engine.store, request) as user_map:
            for _ in range(100):
                name = request.name or new_name()
                container = self.container(id, name, providers, request, image, argv, warnings, user_map)
                if starting:
                    busy = attrs.evolve(container.status, supervisor=Process.of(os.getpid()), boot=boot_id())
                    container = attrs.evolve(container, status=busy)
                try:
                    self._engine.store.add(container)
                    return container
                except ConflictError:
                    if replace:
                        with suppress(NotFoundError):
                            self._engine.remove(name, force=True)
                    elif request.name:
                        raise
        raise ConflictError("no free name was found in 100 tries, give one with --name")

    def _undo_volumes(self, id: str) -> None:
        """Its record names them, and is there as long as it does."""
        with suppress(NotFoundError):
            drop(self._engine.plugins, self._engine.store, self._engine.store.load(id))
