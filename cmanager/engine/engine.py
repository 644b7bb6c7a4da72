"""The verbs. Values in, values out; nothing is printed; errors by class (`cmanager.errors`)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import attrs

from ..errors import CmanagerError, ConflictError, CorruptError, HostError, NotFoundError
from ..linux.process import Process, boot_id
from ..model.container import Container, Providers, RunRequest, Status
from ..model.image import Image, ImageEntry, Progress, PullEvent, Reference
from ..model.names import check_name, new_id, new_name
from ..model.plugin import Event
from ..oci import spec
from ..plugins import Plugins, load_config
from ..state import Paths, Store
from ..supervisor import attach, etc, launch, steps
from ..supervisor.steps import Observe, Step
from . import checks, logs, ports, userns
from .collect import Collected, collect
from .reconcile import Reconciler


def silent(event: PullEvent) -> None:
    """The progress that nobody sees."""


class Session:
    """A container that was started with its client attached.

    container: as it was started. `pump` moves data and ends with the container; `close` lets it go on alone.
    """

    def __init__(self, engine: Engine, container: Container, end: socket.socket) -> None:
        self.container = container
        self._engine, self._end = engine, end

    def pump(self, stdin: int = -1, stdout: int = 1, stderr: int = 2, *, forward_signals: bool = False) -> int:
        """Move data between these descriptors and the container until it ends; returns its exit code.

        forward_signals: pass the signals of `attach.FORWARDED` on to the container meanwhile (main thread only).
        """
        on_signal: Callable[[int], None] | None = None
        if forward_signals:
            on_signal = self._forward
        code = attach.pump(self._end, stdin, stdout, stderr, on_signal)
        self.close()
        if code is not None:
            return code
        return self._engine.wait(self.container.id)

    def close(self) -> None:
        """Detach; the container goes on."""
        self._end.close()

    def _forward(self, number: int) -> None:
        try:
            self._engine.kill(self.container.id, str(number))
        except (ConflictError, NotFoundError):
            return  # it is ending already


class Engine:
    """A container manager on two directories.

    root: durable state, run_root: state that ends with the boot; config: a plugins.toml, None for the usual search;
    observe: called around every step of a start. Constructing it reads the configuration and touches nothing else;
    instances hold no state, any number may work on the same directories at once. Needs root.
    """

    def __init__(
        self,
        root: str = "/var/lib/cmanager",
        run_root: str = "/run/cmanager",
        config: str | None = None,
        observe: Observe = steps.ignore,
    ) -> None:
        self.paths = Paths(os.path.abspath(root), os.path.abspath(run_root))
        self._config = os.path.abspath(config) if config else ""
        self.plugins = Plugins(load_config(self._config or None), self.paths.root, self.paths.run_root)
        self.store = Store(self.paths)
        self._observe = observe
        self._reconciler = Reconciler(self.store, self.plugins)

    # -- containers ----------------------------------------------------------------------------------------------

    def run(
        self,
        request: RunRequest,
        *,
        attached: bool = False,
        progress: Progress = silent,
        created: Callable[[Container], None] = lambda container: None,
    ) -> Container | Session:
        """`create` and `start` in one; a container with `remove` set is gone again when its start fails.

        created: called in between, when the container has its id.
        """
        container = self.create(request, progress, starting=True)
        try:
            created(container)
            return self.start(container.id, attached=attached)
        except BaseException:
            if request.remove:
                self._forget(container.id)
            raise

    def create(self, request: RunRequest, progress: Progress = silent, *, starting: bool = False) -> Container:
        """Make a container that can be started; pulls the image when the request's policy says so.

        starting: the caller will start it at once; if it dies first, reconcile finishes the job. Raises before any
        side effect for what cannot work here; after a later failure nothing is left.
        """
        self.store.initialise()
        container: Container = steps.run(self.create_steps(request, progress, starting), self._observe)["record"]
        self._announce("create", container)
        return container

    def create_steps(self, request: RunRequest, progress: Progress = silent, starting: bool = False) -> list[Step]:
        """The table that `create` runs."""
        providers = self._providers(request)
        images = self.plugins.get("image", providers.image)
        storage = self.plugins.get("storage", providers.storage)
        id = new_id()
        return [
            Step(
                "check",
                "refuse what this host or a plugin cannot do",
                lambda: self._check(request, providers, starting),
            ),
            Step(
                "image",
                f"find image {request.image}, pull policy {request.pull}",
                lambda: self._image(images, request, progress),
            ),
            Step(
                "record",
                "claim its name and record it",
                lambda check, image: self._record(id, providers, check, image, starting),
                lambda: self.store.remove(id),
                takes=("check", "image"),
            ),
            Step(
                "rootfs",
                f"prepare its root file system with {providers.storage}",
                lambda image: storage.prepare(id, image.layers),
                lambda: storage.remove(id),
                takes=("image",),
            ),
        ]

    def start(self, word: str, *, attached: bool = False) -> Container | Session:
        """Start a created or stopped container; one that runs already is left alone.

        attached: return a `Session` with its standard streams. Raises CommandError (126, 127) when its program cannot
        be executed; then everything the start made is undone.
        """
        id = self._find(word)
        self.store.initialise()
        with self.store.locked(id) as lock:
            settled = self._reconciler.settle_locked(self.store.load(id))
            if settled is None:
                raise NotFoundError(f"no such container: {word}")
            if settled.status.state in ("running", "paused"):
                if attached:
                    raise ConflictError(f"container {word} is running already")
                return settled
            client, theirs = attach.channel() if attached else (None, None)
            try:
                container = self._start(settled, lock, theirs)
            except BaseException:
                if client:
                    client.close()
                raise
        return Session(self, container, client) if client else container

    def start_steps(self, container: Container) -> list[Step]:
        """The table that `start` runs, up to the supervisor."""
        storage = self.plugins.get("storage", container.providers.storage)
        images = self.plugins.get("image", container.providers.image)
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
            *ports.steps(self.plugins, container, self.list),
            *steps.start_steps(self.plugins, self.paths, container),
        ]

    def stop(self, word: str, timeout: float | None = None) -> bool:
        """Send the stop signal, and SIGKILL after `timeout` seconds (None: the container's own).

        Returns True when it had to be killed. A container that does not run is success.
        """
        container = self.inspect(word)
        if container.status.state not in ("running", "paused"):
            return False
        wait = container.request.stop_timeout if timeout is None else timeout
        number = checks.stop_signal(container.request.stop_signal or "SIGTERM")
        supervisor = container.status.supervisor
        self._signal(container, number)
        if supervisor is None or supervisor.wait_gone(wait if wait >= 0 else 10**9):
            return False
        self._end(container, supervisor)
        return True

    def kill(self, word: str, signal_name: str = "SIGKILL") -> None:
        """Send a signal to the container's first process. Raises ConflictError when it does not run."""
        number = checks.stop_signal(signal_name)
        container = self.inspect(word)
        if container.status.state not in ("running", "paused"):
            raise ConflictError(f"container {word} is not running")
        self._signal(container, number)
        self._announce("kill", container, signal=str(number))

    def remove(self, word: str, *, force: bool = False) -> None:
        """Remove a container that does not run, with `force` also one that does, or whose record is corrupt."""
        id = self._find(word)
        try:
            container = self.inspect(id)
        except CorruptError:
            if not force:
                raise
            self._remove_corrupt(id)
            return
        if container.status.state in ("running", "paused"):
            if not force:
                raise ConflictError(f"container {word} is {container.status.state}, stop it first or use -f")
            if container.status.supervisor:
                self._end(container, container.status.supervisor)
        elif container.status.supervisor:
            container.status.supervisor.wait_gone(30)
        self._forget(id)

    def list(self) -> list[Container]:
        """All containers, newest first, as they really are."""
        return [container for found in self.store.all() if (container := self._reconciler.settled(found)) is not None]

    def inspect(self, word: str) -> Container:
        """One container as it really is, by id, name or id prefix."""
        container = self._reconciler.settled(self.store.load(self._find(word)))
        if container is None:
            raise NotFoundError(f"no such container: {word}, see `cmanager ps -a`")
        return container

    def wait(self, word: str) -> int:
        """Block until the container does not run any more; returns its exit code."""
        container = self.inspect(word)
        directory = self.paths.waiters(container.id)
        pipe = f"{directory}/{os.getpid()}.{time.monotonic_ns()}"
        os.makedirs(directory, mode=0o700, exist_ok=True)
        os.mkfifo(pipe, 0o600)
        # Opened for both, so that it never reads as ended before the supervisor has written.
        fd = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while True:
                try:
                    container = self.inspect(container.id)
                except NotFoundError:
                    return _exit_code(fd, container)
                status = container.status
                if status.state not in ("running", "paused") and status.exit_code is not None:
                    return status.exit_code
                if status.supervisor:
                    status.supervisor.wait_gone(10**6)
                else:
                    time.sleep(0.1)  # created and never started: nothing to wait on but a start
        finally:
            os.close(fd)
            try:
                os.unlink(pipe)
                os.rmdir(directory)
            except OSError:
                pass  # the supervisor removed it, or another waits too

    def logs(
        self,
        word: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> Iterator[logs.Record]:
        """Records of the container's output, oldest first; `follow` goes on until it ends. Times in epoch seconds."""
        container = self.inspect(word)
        path = f"{self.store.home(container.id)}/log"
        return logs.read(path, container.status.supervisor if follow else None, tail=tail, since=since, until=until)

    # -- images --------------------------------------------------------------------------------------------------

    @property
    def images(self) -> Any:
        """The image provider (`cmanager.seams.Images`) that the configuration names."""
        self.store.initialise()
        return self.plugins.get("image", self.plugins.default("image"))

    def pull(self, reference: str, progress: Progress = silent) -> Image:
        """Fetch an image from the registries and store it."""
        image: Image = self.images.pull(Reference.parse(reference), progress)
        self.plugins.announce(Event("image", "pull", image.digest, time.time(), {"name": reference}))
        return image

    def image_entries(self) -> tuple[ImageEntry, ...]:
        """All stored images by all their names."""
        found: tuple[ImageEntry, ...] = self.images.entries()
        return found

    def remove_image(self, reference: str, *, force: bool = False) -> tuple[str, ...]:
        """Remove a name of an image, and the image with the last one; returns what was removed, a line each.

        force: also when stopped containers were made from it; they then cannot be started again.
        """
        used = {c.image_digest for c in self.list() if not force or c.status.state in ("running", "paused")}
        removed: tuple[str, ...] = self.images.remove(reference, frozenset(used))
        self.plugins.announce(Event("image", "delete", reference, time.time(), {}))
        return removed

    # -- the whole -----------------------------------------------------------------------------------------------

    def collect(self) -> Collected:
        """Return whatever crashes left, and layers and blobs that nobody needs (`cmanager gc`)."""
        self.store.initialise()
        return collect(self.store, self.plugins, self._reconciler)

    def explain(self, request: RunRequest) -> tuple[tuple[str, str], ...]:
        """The steps that `run` would take, each with what it does; checks what can be checked, changes nothing."""
        providers = self._providers(request)
        settled, warnings = self._check(request, providers)
        ports.check(self.plugins, settled, now=True)
        pretended = self._container("0" * 64, request.name or "NAME", providers, settled, None, (), warnings)
        table = [*self.create_steps(request), *steps.start_steps(self.plugins, self.paths, pretended)]
        end = (
            ("supervisor", "fork it into a private mount namespace"),
            ("mount", "mount the root file system there"),
            ("bundle", "write the OCI configuration"),
            ("create", f"let runtime {providers.runtime} make the container"),
            ("start", "execute the program"),
        )
        return (*((step.name, step.text) for step in table), *end)

    # -- parts ---------------------------------------------------------------------------------------------------

    def _find(self, word: str) -> str:
        return self.store.find(word)

    def _providers(self, request: RunRequest) -> Providers:
        network = request.network
        if not network or network.startswith(("container:", "ns:")):
            network = self.plugins.default("network")
        return Providers(
            image=self.plugins.default("image"),
            storage=self.plugins.default("storage"),
            network=network,
            limiter=self.plugins.default("limiter"),
            runtime=request.runtime or self.plugins.default("runtime"),
        )

    def _check(
        self, request: RunRequest, providers: Providers, starting: bool = False
    ) -> tuple[RunRequest, tuple[str, ...]]:
        if request.name:
            check_name(request.name, "container name")
        runtime = self.plugins.get("runtime", providers.runtime)
        limiter = self.plugins.get("limiter", providers.limiter)
        network = request.network or providers.network
        if not network.startswith(("container:", "ns:")):
            self.plugins.get("network", network)
        filled = attrs.evolve(request, runtime=providers.runtime, network=network)
        ports.check(self.plugins, filled)
        settled = checks.settle(filled, runtime.features(), limiter)
        if starting:
            ports.check_free(self.plugins, filled, self.list)
        return settled

    def _image(self, images: Any, request: RunRequest, progress: Progress) -> Image:
        if request.pull == "always":
            found: Image = images.pull(Reference.parse(request.image), progress)
            return found
        try:
            found = images.resolve(request.image)
        except NotFoundError:
            if request.pull == "never":
                raise
            found = images.pull(Reference.parse(request.image), progress)
        return found

    def _record(
        self, id: str, providers: Providers, check: tuple[RunRequest, tuple[str, ...]], image: Image, starting: bool
    ) -> Container:
        request, warnings = check
        argv = spec.argv(request, image.config)
        request = attrs.evolve(
            request,
            stop_signal=request.stop_signal or image.config.stop_signal or "SIGTERM",
            labels=image.config.labels | request.labels,
            expose=ports.exposed(request, image.config),
        )
        checks.stop_signal(request.stop_signal)
        ports.check(self.plugins, request)
        with userns.allocated(self.store, request) as user_map:
            for _ in range(100):
                name = request.name or new_name()
                container = self._container(id, name, providers, request, image, argv, warnings, user_map)
                if starting:
                    busy = attrs.evolve(container.status, supervisor=Process.of(os.getpid()), boot=boot_id())
                    container = attrs.evolve(container, status=busy)
                try:
                    self.store.add(container)
                    return container
                except ConflictError:
                    if request.name:
                        raise
        raise ConflictError("no free name was found in 100 tries, give one with --name")

    def _container(
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

    def _start(self, container: Container, lock: int, client: socket.socket | None) -> Container:
        """Run the start table and the supervisor; the caller holds the lock."""
        busy = attrs.evolve(container.status, supervisor=Process.of(os.getpid()), boot=boot_id(), error="")
        self.store.save_status(container.id, busy)
        table = [
            *self.start_steps(container),
            Step(
                "supervisor",
                "fork its supervisor, which mounts, creates and starts",
                lambda **made: self._supervise(attrs.evolve(container, status=busy), made, lock, client),
                takes=("image", "rootfs", "link", "cgroup"),
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
            self.store.save_status(container.id, attrs.evolve(calm, netns="", cgroup="", attachment=None))
            raise
        return self.store.load(container.id) if not container.request.remove else container

    def _supervise(self, container: Container, made: dict[str, Any], lock: int, client: socket.socket | None) -> None:
        id = container.id
        name = steps.network_name(container)
        isolated = bool(name) and self.plugins.get("network", name).isolated
        status = attrs.evolve(
            container.status,
            attachment=made["link"],
            cgroup=made["cgroup"].path,
            netns=self.paths.netns(id) if isolated else "",
            warnings=tuple(dict.fromkeys((*container.status.warnings, *made["cgroup"].warnings))),
        )
        container = attrs.evolve(container, status=status)
        self.store.save_status(id, status)
        run_dir = self.paths.run_dir(id)
        os.makedirs(self.paths.bundle(id), mode=0o700, exist_ok=True)
        self._make_sources(container)
        dns = container.request.dns or made["link"].dns
        etc.write(run_dir, steps.hostname(container), dns, isolated)
        launch.start(
            launch.Launch(
                paths=self.paths,
                config=self._config,
                container=container,
                image=made["image"].config,
                rootfs=made["rootfs"],
                namespaces=steps.namespaces(self.paths, container, self.inspect),
                hosts=self._hosts(name).path(id) if name else self._shared_hosts(container),
                observed=self._observe is not steps.ignore,
            ),
            self.plugins,
            client,
            lock,
            self._observe,
        )

    def _shared_hosts(self, container: Container) -> str:
        """Who shares a network namespace shares its names; one joined by path gets the host's."""
        word, _, owner = container.request.network.partition(":")
        if word != "container":
            return "/etc/hosts"
        other = self.inspect(owner)
        return self._hosts(steps.network_name(other)).path(other.id)

    def _hosts(self, network: str) -> etc.Hosts:
        return etc.Hosts(self.paths.hosts(network))

    def _make_sources(self, container: Container) -> None:
        """`-v` makes a missing host directory, as Docker does."""
        for mount in container.request.mounts:
            if "X-mount.mkdir" in mount.options and not os.path.exists(mount.source):
                try:
                    os.makedirs(mount.source)
                except OSError as error:
                    raise HostError.of("make bind source", mount.source, error) from None

    def _signal(self, container: Container, number: int) -> None:
        if container.status.init:
            runtime = self.plugins.get("runtime", container.providers.runtime)
            runtime.kill(container.id, container.status.init, number)

    def _end(self, container: Container, supervisor: Process) -> None:
        """Kill a running container and wait until its supervisor has undone everything."""
        self._signal(container, 9)
        if not supervisor.wait_gone(5):
            self.plugins.get("limiter", container.providers.limiter).kill(container.id)
            if not supervisor.wait_gone(30):
                raise CmanagerError(f"container {container.id[:12]} does not end after SIGKILL, see `ps`")

    def _forget(self, id: str) -> None:
        """Remove what does not run, whoever else removes it meanwhile."""
        with self.store.locked(id):
            try:
                container = self._reconciler.settle_locked(self.store.load(id))
            except NotFoundError:
                return
            if container is None:
                return
            if container.status.state in ("running", "paused"):
                raise ConflictError(f"container {id[:12]} was started again meanwhile")
            self._reconciler.forget(container)
        self._announce("destroy", container)

    def _remove_corrupt(self, id: str) -> None:
        """A record that does not parse: undo by name what every configured provider may hold for it."""
        from .collect import undo_all

        with self.store.locked(id):
            undo_all(self.store, self.plugins, id)
            self.store.remove(id)

    def _announce(self, action: str, container: Container, **attributes: str) -> None:
        attributes |= {"name": container.name, "image": container.request.image}
        self.plugins.announce(Event("container", action, container.id, time.time(), attributes))


def _exit_code(fd: int, container: Container) -> int:
    """What the supervisor of a removed container wrote for those who wait."""
    try:
        return int(os.read(fd, 16))
    except (BlockingIOError, ValueError):
        raise NotFoundError(f"container {container.id[:12]} was removed before its exit code could be read") from None
