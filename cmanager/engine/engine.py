"""The verbs. Values in, values out; nothing is printed; errors by class (`cmanager.errors`)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import attrs

from ..errors import CmanagerError, ConflictError, CorruptError, HostError, NotFoundError, UnsupportedError
from ..linux.process import Process, boot_id
from ..model.container import Container, ExecRequest, Providers, RunRequest, Status
from ..model.image import Image, ImageEntry, Progress, PullEvent, Reference
from ..model.names import check_name, new_id, new_name
from ..oci import execution, signals, spec
from ..plugins import Plugins, load_config
from ..seams import Exec, Push
from ..state import Paths, Store
from ..state.journal import Entry, Journal
from ..supervisor import attach, etc, launch, steps
from ..supervisor.announce import Announcer, Warn, unheard
from ..supervisor.restart import wanted_after_boot
from ..supervisor.steps import Observe, Step
from ..supervisor.volumes import drop
from . import checks, logs, ports, usage, userns
from .collect import Collected, collect
from .control import Control, Update
from .prune import Prune
from .reconcile import Reconciler
from .session import Session
from .usage import DiskUsage, Size
from .volumes import NamedVolumes

if TYPE_CHECKING:
    from .files import Files


def silent(event: PullEvent) -> None:
    """The progress that nobody sees."""


class Engine:
    """A container manager on two directories.

    root: durable state, run_root: state that ends with the boot; config: a plugins.toml, None for the usual search;
    observe: called around every step of a start; warn: called with each line about what failed and stops nothing.
    Constructing it reads the configuration and touches nothing else; instances hold no state, any number may work on
    the same directories at once. Needs root.
    """

    def __init__(
        self,
        root: str = "/var/lib/cmanager",
        run_root: str = "/run/cmanager",
        config: str | None = None,
        observe: Observe = steps.ignore,
        warn: Warn = unheard,
    ) -> None:
        self.paths = Paths(os.path.abspath(root), os.path.abspath(run_root))
        self._config = os.path.abspath(config) if config else ""
        self.plugins = Plugins(load_config(self._config or None), self.paths.root, self.paths.run_root)
        self.store = Store(self.paths)
        self._observe = observe
        self._journal = Journal(self.paths.events)
        self.announcer = Announcer(self.plugins, self._journal, warn)
        self._reconciler = Reconciler(self.store, self.plugins, self.announcer)
        self._control = Control(self.store, self.plugins, self.announcer, self.inspect)
        self.volumes = NamedVolumes(self.store, self.plugins, self.announcer)

    # -- containers ----------------------------------------------------------------------------------------------

    def run(
        self,
        request: RunRequest,
        *,
        attached: bool = False,
        window: tuple[int, int] | None = None,
        progress: Progress = silent,
        created: Callable[[Container], None] = lambda container: None,
    ) -> Container | Session:
        """`create` and `start` in one; a container with `remove` set is gone again when its start fails.

        created: called in between, when the container has its id.
        """
        container = self.create(request, progress, starting=True)
        try:
            created(container)
            return self.start(container.id, attached=attached, window=window)
        except BaseException:
            if request.remove:
                self._forget(container.id)
            raise

    def create(self, request: RunRequest, progress: Progress = silent, *, starting: bool = False) -> Container:
        """Make a container that can be started; pulls the image when the request's policy says so.

        starting: the caller will start it at once; if it dies first, reconcile finishes the job. Raises before any
        side effect for what cannot work here; after a later failure nothing is left but named volumes it made.
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
                "volumes",
                "make those of its volumes that are missing",
                lambda record: self.volumes.ensure(record, created=False),
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

    def start(self, word: str, *, attached: bool = False, window: tuple[int, int] | None = None) -> Container | Session:
        """Start a created or stopped container; one that runs already is left alone.

        attached: return a `Session` with its standard streams; window: rows and columns of its terminal. Raises
        CommandError (126, 127) when its program cannot be executed; then everything the start made is undone.
        """
        id = self._find(word)
        self.store.initialise()
        with self.store.locked(id) as lock:
            settled = self._reconciler.settle_locked(self.store.load(id))
            if settled is None:
                raise NotFoundError(f"no such container: {word}")
            if settled.status.active:
                if attached:
                    raise ConflictError(f"container {word} is running already")
                return settled
            client, theirs = attach.channel() if attached else (None, None)
            if client and window:
                attach.resize(client, *window)  # it finds this size when it looks first
            try:
                container = self._start(settled, lock, theirs)
            except BaseException:
                if client:
                    client.close()
                raise
        return self._session(container, client) if client else container

    def attach(self, word: str) -> Session:
        """Attach to a running container. Raises ConflictError when it does not run."""
        container = self.inspect(word)
        if not container.status.runs:
            raise ConflictError(f"container {word} is not running, it is {container.status.state}, start it first")
        end = attach.connect(self.paths.attach(container.id))
        self._announce("attach", container)
        return self._session(container, end, late=True)

    def exec(
        self, word: str, request: ExecRequest, *, attached: bool = False, window: tuple[int, int] | None = None
    ) -> Session | None:
        """Run one more program in a running container; with `attached` a `Session` with its standard streams.

        Returns when the program runs. Raises CommandError (126, 127) when it cannot be executed, ConflictError when the
        container does not run, UnsupportedError when its runtime has no exec.
        """
        container = self.inspect(word)
        runtime = self.plugins.get("runtime", container.providers.runtime)
        execution.check(request)
        if container.status.state != "running" or container.status.init is None:
            hint = ", unpause it first" if container.status.state == "paused" else ""
            raise ConflictError(f"container {word} is not running, it is {container.status.state}{hint}")
        if not isinstance(runtime, Exec):
            raise UnsupportedError(f"runtime {container.providers.runtime} cannot honour exec")
        process = execution.process(self.paths.bundle(container.id), container.status.init, request)
        command = " ".join(request.command)
        self._announce(f"exec_create: {command}", container)
        client, theirs = attach.channel() if attached else (None, None)
        if client and window:
            attach.resize(client, *window)
        job = launch.ExecLaunch(self.paths, self._config, container, process, request.interactive)
        try:
            launch.start(job, self.plugins, theirs, -1, steps.ignore)
        except BaseException:
            if client:
                client.close()
            raise
        self._announce(f"exec_start: {command}", container)
        if client is None:
            return None
        return Session(container, client, tty=request.tty, send=lambda number: None, lost=_lost)

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
            Step("volumes", "find its volumes", lambda: self.volumes.ensure(container)),
            *ports.steps(self.plugins, container, self.list),
            *steps.start_steps(self.plugins, self.paths, container),
        ]

    def stop(self, word: str, timeout: float | None = None) -> bool:
        """Send the stop signal, and SIGKILL after `timeout` seconds (None: the container's own, negative: never).

        Returns True when it had to be killed. A container that does not run is success; one that waits to be started
        again by its policy is not started any more.
        """
        return self._control.stop(word, timeout)

    def restart(self, word: str, timeout: float | None = None) -> None:
        """`stop` and `start` in one; a container that does not run is started."""
        self.stop(word, timeout)
        container = self.inspect(word)
        if container.status.supervisor:
            container.status.supervisor.wait_gone(30)
        self.start(container.id)
        self._announce("restart", container)

    def restartable(self) -> list[Container]:
        """Those that do not run and that their policies want to run after the host was started, oldest first.

        "always" is all of them; "unless-stopped" those nobody stopped; "on-failure" those that ended badly, and the
        restart of a host is a bad end.
        """
        found = [c for c in self.list() if not c.status.active and wanted_after_boot(c.request.restart, c.status)]
        return found[::-1]

    def kill(self, word: str, signal_name: str = "SIGKILL") -> None:
        """Send a signal to the container's first process. Raises ConflictError when it does not run.

        SIGKILL and its stop signal also keep its policy from starting it again.
        """
        self._control.kill(word, signal_name)

    def pause(self, word: str) -> None:
        """Freeze all processes of a container; returns when they are. Raises ConflictError when it does not run."""
        self._control.pause(word, True)

    def unpause(self, word: str) -> None:
        """Let a frozen container go on. Raises ConflictError when it is not paused."""
        self._control.pause(word, False)

    def rename(self, word: str, name: str) -> None:
        """Give a container another name. Raises ConflictError, naming the holder, when it is taken.

        Others on its network know it by the new name from its next start on.
        """
        self._control.rename(word, name)

    def update(self, word: str, update: Update, *, force: bool = False) -> None:
        """Change limits, at once where it runs, and its restart policy.

        Raises ConflictError for a memory limit below what is in use unless `force`, UnsupportedError, InvalidError.
        """
        self._control.update(word, update, force=force)

    def processes(self, word: str) -> tuple[int, ...]:
        """Pids, as the host knows them, of everything that runs in a container."""
        return self._control.processes(word)

    def remove(self, word: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container that does not run, with `force` also one that does, or whose record is corrupt.

        volumes: with its anonymous volumes, as far as no other container uses them.
        """
        id = self._find(word)
        try:
            container = self.inspect(id)
        except CorruptError:
            if not force:
                raise
            self._remove_corrupt(id)
            return
        if container.status.active:
            if not force:
                raise ConflictError(f"container {word} is {container.status.state}, stop it first or use -f")
            self._control.end(container)
        elif container.status.supervisor:
            container.status.supervisor.wait_gone(30)
        self._forget(id, volumes=volumes)

    def list(self) -> list[Container]:
        """All containers, newest first, as they really are."""
        return [container for found in self.store.all() if (container := self._reconciler.settled(found)) is not None]

    def inspect(self, word: str) -> Container:
        """One container as it really is, by id, name or id prefix."""
        container = self._reconciler.settled(self.store.load(self._find(word)))
        if container is None:
            raise NotFoundError(f"no such container: {word}, see `cmanager ps -a`")
        return container

    def inspect_locked(self, id: str) -> Container:
        """The same for a caller that holds the container's lock."""
        container = self._reconciler.settle_locked(self.store.load(id))
        if container is None:
            raise NotFoundError(f"no such container: {id[:12]}, see `cmanager ps -a`")
        return container

    @property
    def files(self) -> Files:
        """The verbs that touch containers' files: `copy_in`, `copy_out`, `changes`, `export`."""
        from .files import Files  # only those verbs pay for it

        return Files(self)

    def commit(
        self,
        word: str,
        reference: Reference | None = None,
        *,
        changes: tuple[str, ...] = (),
        author: str = "",
        message: str = "",
        pause: bool = True,
    ) -> Image:
        """Make an image of a container's files and configuration; see `commit.commit`."""
        from .commit import commit

        container, image = commit(self, word, reference, changes=changes, author=author, message=message, pause=pause)
        self._announce("commit", container, imageID=image.id)
        return image

    def push(self, name: str, progress: Progress = silent) -> str:
        """Put a stored image into the registry that `pull` fetches from; returns its manifest digest."""
        images = self.images
        if not isinstance(images, Push):
            raise UnsupportedError(f"image plugin {self.plugins.default('image')!r} cannot push")
        digest = images.push(Reference.parse(name), progress)
        self.announcer.image("push", digest, name)
        return digest

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
                if not status.active and status.exit_code is not None:
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
        since: int | None = None,
        until: int | None = None,
    ) -> Iterator[logs.Record]:
        """Records of the container's output, oldest first; `follow` goes on until it ends. Times in epoch nanoseconds.

        Raises NotFoundError for a container that keeps no log.
        """
        container = self.inspect(word)
        path = f"{self.store.home(container.id)}/log"
        return logs.read(container, path, follow=follow, tail=tail, since=since, until=until)

    # -- images --------------------------------------------------------------------------------------------------

    @property
    def images(self) -> Any:
        """The image provider (`cmanager.seams.Images`) that the configuration names."""
        self.store.initialise()
        return self.plugins.get("image", self.plugins.default("image"))

    def pull(self, reference: str, progress: Progress = silent) -> Image:
        """Fetch an image from the registries and store it."""
        return self._pull(self.images, reference, progress)

    def tag(self, source: str, target: str) -> None:
        """Give a stored image another name, taking it from whoever had it."""
        reference = Reference.parse(target)
        self.images.tag(source, reference)
        self.announcer.image("tag", self.images.resolve(str(reference)).id, str(reference))

    def image_of(self, container: Container) -> Image | None:
        """The image a container was made from; None when that is gone or cannot be read."""
        try:
            found: Image = self.plugins.get("image", container.providers.image).resolve(container.image_digest)
        except CmanagerError:
            return None
        return found

    def size(self, container: Container) -> Size:
        """How many bytes a container holds; walks the files it wrote."""
        return usage.size(self.plugins, container, self.image_of(container))

    def image_entries(self) -> tuple[ImageEntry, ...]:
        """All stored images by all their names."""
        found: tuple[ImageEntry, ...] = self.images.entries()
        return found

    def remove_image(self, reference: str, *, force: bool = False) -> tuple[str, ...]:
        """Remove a name of an image, and the image with the last one; returns what was removed, a line each.

        force: also when stopped containers were made from it; they then cannot be started again.
        """
        used = {c.image_digest for c in self.list() if not force or c.status.active}
        removed: tuple[str, ...] = self.images.remove(reference, frozenset(used))
        for line in removed:
            word, _, name = line.partition(": ")
            self.announcer.image({"Untagged": "untag"}.get(word, "delete"), name, name)
        return removed

    # -- the whole -----------------------------------------------------------------------------------------------

    def events(self, since: int | None = None, until: int | None = None) -> Iterator[Entry]:
        """What happened, oldest first, between two times in nanoseconds since the epoch.

        since: None for what happens from now on; until: None to go on for ever.
        """
        self.store.initialise()
        return self._journal.read(since, until)

    @property
    def prune(self) -> Prune:
        """Removing what is not in use."""
        return Prune(self)

    def disk_usage(self) -> DiskUsage:
        """What images and containers take; walks the files that containers wrote."""
        containers = self.list()
        sizes = tuple((container, self.size(container)) for container in containers)
        return DiskUsage(usage.images(self.image_entries(), containers), sizes)

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
            ("fill", "fill new volumes from the image"),
            ("bundle", "write the OCI configuration"),
            ("create", f"let runtime {providers.runtime} make the container"),
            ("start", "execute the program"),
        )
        return (*((step.name, step.text) for step in table), *end)

    # -- parts ---------------------------------------------------------------------------------------------------

    def _session(self, container: Container, end: socket.socket, *, late: bool = False) -> Session:
        id = container.id

        def send(number: int) -> None:
            with suppress(ConflictError, NotFoundError):  # it is ending already
                self.kill(id, str(number))

        return Session(container, end, tty=container.request.tty, send=send, lost=lambda: self.wait(id), late=late)

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
        filled = self.volumes.inherit(filled, self.inspect)
        self.volumes.check(filled, providers.storage)
        ports.check(self.plugins, filled)
        settled = checks.settle(filled, runtime.features(), limiter)
        if starting:
            ports.check_free(self.plugins, filled, self.list)
        return settled

    def _image(self, images: Any, request: RunRequest, progress: Progress) -> Image:
        if request.pull == "always":
            return self._pull(images, request.image, progress)
        try:
            found: Image = images.resolve(request.image)
        except NotFoundError:
            if request.pull == "never":
                raise
            found = self._pull(images, request.image, progress)
        return found

    def _pull(self, images: Any, name: str, progress: Progress) -> Image:
        reference = Reference.parse(name)
        image: Image = images.pull(reference, progress)
        self.announcer.image("pull", str(reference), reference.repository, digest=image.digest)
        return image

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
        signals.number_of(request.stop_signal)
        request = self.volumes.settle(id, request, image.config, providers.storage)
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
        busy = attrs.evolve(
            container.status,
            supervisor=Process.of(os.getpid()),
            boot=boot_id(),
            error="",
            stop_requested=False,
            restarts=0,
            health=None,
        )
        self.store.save_status(container.id, busy)
        table = [
            *self.start_steps(container),
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
                ipc_owner=steps.ipc_owner(container, self.inspect),
                observed=self._observe is not steps.ignore,
                volumes=made["volumes"],
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

    def _undo_volumes(self, id: str) -> None:
        """Its record names them, and is there as long as it does."""
        with suppress(NotFoundError):
            drop(self.plugins, self.store, self.store.load(id))

    def _forget(self, id: str, *, volumes: bool = False) -> None:
        """Remove what does not run, whoever else removes it meanwhile."""
        with self.store.locked(id):
            try:
                container = self._reconciler.settle_locked(self.store.load(id))
            except NotFoundError:
                return
            if container is None:
                return
            if container.status.active:
                raise ConflictError(f"container {id[:12]} was started again meanwhile")
            self._reconciler.forget(container, anonymous=volumes)
        self._announce("destroy", container)

    def _remove_corrupt(self, id: str) -> None:
        """A record that does not parse: undo by name what every configured provider may hold for it."""
        from .collect import undo_all

        with self.store.locked(id):
            undo_all(self.store, self.plugins, id)
            self.store.remove(id)

    def _announce(self, action: str, container: Container, **attributes: str) -> None:
        self.announcer.container(action, container, **attributes)


def _lost() -> int:
    raise CmanagerError("the supervisor of the exec was killed, its exit code is not known")


def _exit_code(fd: int, container: Container) -> int:
    """What the supervisor of a removed container wrote for those who wait."""
    try:
        return int(os.read(fd, 16))
    except (BlockingIOError, ValueError):
        raise NotFoundError(f"container {container.id[:12]} was removed before its exit code could be read") from None
