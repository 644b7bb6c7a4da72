"""The verbs. Values in, values out; nothing is printed; errors by class (`cmanager.errors`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import CmanagerError, ConflictError, CorruptError, ExhaustedError, NotFoundError, UnsupportedError
from ..model.container import Container, ExecRequest, RunRequest
from ..model.usage import Usage
from ..plugins import Plugins, load_config
from ..plugins.config import SEAM_NAMES
from ..state import Paths, Store
from ..state.journal import Entry, Journal
from ..supervisor.announce import Announcer, Warn, unheard
from .reconcile import Reconciler

if TYPE_CHECKING:
    import socket

    from ..model.glimpse import Shown
    from ..model.image import Image, ImageEntry, Progress, PullEvent, Reference
    from ..supervisor.slots import Berth, Berths
    from ..supervisor.steps import Observe
    from . import logs
    from .attaching import Attaching
    from .berthing import Berthing
    from .collect import Collected
    from .control import Control, Update
    from .creating import Creating
    from .files import Files
    from .pods import Pods
    from .prune import Prune
    from .removing import Removing
    from .session import Session
    from .starting import Starting
    from .usage import DiskUsage, Size
    from .volumes import NamedVolumes


def silent(event: PullEvent) -> None:
    """The progress that nobody sees."""


class Engine:
    """A container manager on two directories.

    root: durable state, run_root: state that ends with the boot; config: a plugins.toml, None for the usual search;
    observe: called around every step of a start, where it is a `steps.Timeline` later for those of a supervisor, None:
    nobody looks; warn: called with each line about what failed and stops nothing; berths: where slots are kept ready
    for `run`, None for a program's own (docs/warm.md).
    Constructing it reads the configuration and touches nothing else; instances hold no state, any number may work on
    the same directories at once. Needs root.
    """

    def __init__(
        self,
        root: str = "/var/lib/cmanager",
        run_root: str = "/run/cmanager",
        config: str | None = None,
        observe: Observe | None = None,
        warn: Warn = unheard,
        berths: Berths | None = None,
    ) -> None:
        self.paths = Paths(os.path.abspath(root), os.path.abspath(run_root))
        self._config = os.path.abspath(config) if config else ""
        self.plugins = Plugins(load_config(self._config or None), self.paths.root, self.paths.run_root, warn)
        self.store = Store(self.paths)
        self._observe, self._berths = observe, berths
        self._journal = Journal(self.paths.events)
        self.announcer = Announcer(self.plugins, self._journal, warn)
        self._reconciler = Reconciler(self.store, self.plugins, self.announcer)

    # -- containers ----------------------------------------------------------------------------------------------

    def run(
        self,
        request: RunRequest,
        *,
        attached: bool = False,
        window: tuple[int, int] | None = None,
        progress: Progress = silent,
        created: Callable[[Container], None] = lambda container: None,
        replace: bool = False,
    ) -> Container | Session:
        """`create` and `start` in one; a container with `remove` set is gone again when its start fails.

        created: called in between, when the container has its id; replace: as in `create`.
        """
        with self._berthing.claimed(request) as berth:
            id = berth.slot.id if berth else ""
            container = self._create(request, progress, starting=True, replace=replace, id=id)
            if berth:
                berth.recorded()
            try:
                created(container)
                started = self._start(container.id, attached=attached, window=window, berth=berth)
            except BaseException:
                if request.remove:
                    self._removing.forget(container.id)
                    if request.pod.startswith("new:"):
                        self.pods.unmake(container.request.pod)
                raise
        self._berthing.want(container)
        return started

    def create(
        self, request: RunRequest, progress: Progress = silent, *, starting: bool = False, replace: bool = False
    ) -> Container:
        """Make a container that can be started; pulls the image when the request's policy says so.

        starting: the caller will start it at once; if it dies first, reconcile finishes the job; replace: remove the
        one that has its name, running or not. Raises before any side effect for what cannot work here; after a later
        failure nothing is left but named volumes it made.
        """
        return self._create(request, progress, starting=starting, replace=replace)

    def _create(
        self, request: RunRequest, progress: Progress, *, starting: bool, replace: bool, id: str = ""
    ) -> Container:
        from ..supervisor import steps

        self.store.initialise()
        request, pod = self.pods.admitted(request) if request.pod else (request, [])
        if request.address:
            self._berthing.give_up()  # one of them may have it
        table = self._creating.steps(request, progress, starting, replace, pod, id)
        container: Container = steps.run(table, self._observed)["record"]
        if pod:
            self.pods.finish(container.request.pod)
        self._announce("create", container)
        return container

    def start(self, word: str, *, attached: bool = False, window: tuple[int, int] | None = None) -> Container | Session:
        """Start a created or stopped container; one that runs already is left alone.

        attached: return a `Session` with its standard streams; window: rows and columns of its terminal. Raises
        CommandError (126, 127) when its program cannot be executed; then everything the start made is undone.
        """
        return self._start(word, attached=attached, window=window)

    def _start(
        self, word: str, *, attached: bool, window: tuple[int, int] | None, berth: Berth | None = None
    ) -> Container | Session:
        from ..supervisor import attach

        id = self._find(word)
        self.store.initialise()
        with self.store.locked(id) as lock:
            settled = self._reconciler.settle_locked(self.store.load(id))
            if settled is None:
                raise NotFoundError(f"no such container: {word}")
            self.need_plugins(settled, *SEAM_NAMES)
            if settled.status.state == "paused":
                raise ConflictError(f"container {word} is paused, unpause it")
            if settled.status.active:
                if attached:
                    raise ConflictError(f"container {word} is running already")
                return settled
            client, theirs = attach.channel() if attached else (None, None)
            if client and window:
                attach.resize(client, *window)  # it finds this size when it looks first
            try:
                container = self._begin(settled, lock, theirs, berth)
            except BaseException:
                if client:
                    client.close()
                raise
        return self._attaching.session(container, client) if client else container

    def _begin(self, container: Container, lock: int, client: socket.socket | None, berth: Berth | None) -> Container:
        """Begin a life, and once more where what is kept for another container had the last address."""
        try:
            return self._starting.begin(container, lock, client, berth)
        except ExhaustedError:
            if berth or not self._berthing.give_up():
                raise
            return self._starting.begin(container, lock, client)

    def attach(self, word: str) -> Session:
        """Attach to a running container. Raises ConflictError when it does not run."""
        return self._attaching.attach(word)

    def exec(
        self, word: str, request: ExecRequest, *, attached: bool = False, window: tuple[int, int] | None = None
    ) -> Session | None:
        """Run one more program in a running container; with `attached` a `Session` with its standard streams.

        Returns when the program runs. Raises CommandError (126, 127) when it cannot be executed, ConflictError when the
        container does not run, UnsupportedError when its runtime has no exec.
        """
        return self._attaching.exec(word, request, attached=attached, window=window)

    def stop(self, word: str, timeout: float | None = None) -> bool:
        """Send the stop signal, and SIGKILL after `timeout` seconds (None: the container's own, negative: never).

        Returns True when it had to be killed. A container that does not run is success; one that waits to be started
        again by its policy is not started any more.
        """
        return self._control.stop(word, timeout)

    def restart(self, word: str, timeout: float | None = None) -> None:
        """`stop` and `start` in one; a container that does not run is started.

        One that could not be started again, for a plugin of it is not installed, is not stopped either.
        """
        self.need_plugins(self.inspect(word), *SEAM_NAMES)
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
        from ..supervisor.restart import wanted_after_boot

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

    def update(self, word: str, update: Update, *, force: bool = False) -> tuple[str, ...]:
        """Change limits, at once where it runs, and its restart policy; returns a warning for each limit left out.

        Raises ConflictError for a memory limit below what is in use unless `force`, UnsupportedError, InvalidError.
        """
        return self._control.update(word, update, force=force)

    def processes(self, word: str) -> tuple[int, ...]:
        """Pids, as the host knows them, of everything that runs in a container."""
        return self._control.processes(word)

    def usage(self, container: Container) -> Usage:
        """What a container uses and has used since it was started; of one that ended, what it had used then.

        Reads some two dozen of the kernel's files, and forks nothing.
        """
        from . import counting

        return counting.usage(self.plugins, container)

    def cpu_seconds(self, container: Container) -> float | None:
        """`usage(container).cpu_seconds` alone, which a limiter may tell for less (`cmanager.seams.Clock`)."""
        from . import counting

        return counting.cpu_seconds(self.plugins, container)

    def remove(self, word: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container that does not run, with `force` also one that does, or whose record is corrupt.

        volumes: with its anonymous volumes, as far as no other container uses them.
        """
        self._removing.remove(word, force=force, volumes=volumes)

    def glimpses(self) -> list[Shown]:
        """All containers, newest first, as they really are; with no more than `ps` shows, in half of the time."""
        found: list[Shown | None] = [
            glimpse if self._reconciler.is_fine(glimpse.status) else self._settled(glimpse.id)
            for glimpse in self.store.glimpses()
        ]
        return [container for container in found if container is not None]

    def _settled(self, id: str) -> Container | None:
        try:
            return self._reconciler.settled(self.store.load(id))
        except (NotFoundError, CorruptError):  # it has gone meanwhile
            return None

    def list(self) -> list[Container]:
        """All containers, newest first, as they really are."""
        return [container for found in self.store.all() if (container := self._reconciler.settled(found)) is not None]

    def inspect(self, word: str) -> Container:
        """One container as it really is, by id, name or id prefix."""
        container = self._reconciler.settled(self.store.load(self._find(word)))
        if container is None:
            raise NotFoundError(f"no such container: {word}, see `cmanager ps -a`")
        return container

    def orphaned(self, container: Shown) -> tuple[str, ...]:
        """Its plugins that are not installed any more, as "SEAM NAME". It goes on running, and is theirs again once
        they are."""
        named = container.providers.named()
        return tuple(f"{seam} {name}" for seam, name in named.items() if not self.plugins.there(seam, name))

    def need_plugins(self, container: Container, *seams: str) -> None:
        """Raise NotFoundError, naming what is to be installed, where `orphaned` finds something on these seams."""
        for seam, name in container.providers.named().items():
            if seam in seams and not self.plugins.there(seam, name):
                version = container.providers.versions.get(seam, "")
                missing = f"{seam} plugin {name!r}" + (f", which was in {version}" if version else "")
                raise NotFoundError(f"container {container.name} needs {missing}: install it again")

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

    @property
    def pods(self) -> Pods:
        """The verbs for pods, and what containers need of them."""
        from .pods import Pods  # only containers in one pay for it

        return Pods(self, self._observed)

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
        from ..model.image import Reference
        from ..seams import Push

        images = self.images
        if not isinstance(images, Push):
            raise UnsupportedError(f"image plugin {self.plugins.default('image')!r} cannot push")
        digest = images.push(Reference.parse(name), progress)
        self.announcer.image("push", digest, name)
        return digest

    def wait(self, word: str) -> int:
        """Block until the container does not run any more and will not by itself; returns its exit code."""
        from .waiting import wait

        return wait(self, word)

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
        from . import logs

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
        return self._creating.pull(self.images, reference, progress)

    def tag(self, source: str, target: str) -> None:
        """Give a stored image another name, taking it from whoever had it."""
        from ..model.image import Reference

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
        from . import usage

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
        from .prune import Prune

        return Prune(self)

    def disk_usage(self) -> DiskUsage:
        """What images, containers and volumes take; walks the files of the latter two."""
        from . import usage
        from .usage import DiskUsage

        containers = self.list()
        sizes = tuple((container, self.size(container)) for container in containers)
        return DiskUsage(usage.images(self.image_entries(), containers), sizes, self.volumes.usage())

    def collect(self, *, pools: bool = False) -> Collected:
        """Return whatever crashes left, and layers and blobs that nobody needs (`cmanager gc`).

        pools: also what is kept ready for containers to come.
        """
        from .collect import collect

        self.store.initialise()
        return collect(self.store, self.plugins, self._reconciler, self.pods, pools=pools)

    def explain(self, request: RunRequest) -> tuple[tuple[str, str], ...]:
        """The steps that `run` would take, each with what it does; checks what can be checked, changes nothing."""
        from ..supervisor import steps
        from . import ports

        request, pod = self.pods.admitted(request) if request.pod else (request, [])
        providers = self._creating.providers(request)
        settled, warnings = self._creating.check(request, providers)
        ports.check(self.plugins, settled, now=True)
        pretended = self._creating.container("0" * 64, request.name or "NAME", providers, settled, None, (), warnings)
        table = [
            *self._creating.steps(request, silent, pod=pod),
            *self._starting.pod_steps(pretended),
            *steps.start_steps(self.plugins, self.paths, pretended),
        ]
        end = (
            ("supervisor", "fork it into a private mount namespace"),
            ("mount", "mount the root file system there"),
            ("fill", "fill new volumes from the image"),
            ("bundle", "write the OCI configuration"),
            ("create", f"let runtime {providers.runtime} make the container"),
            ("start", "execute the program"),
        )
        return (*((step.name, step.text) for step in table), *end)

    # -- parts: only those verbs pay for importing them ------------------------------------------------------------

    @cached_property
    def _observed(self) -> Observe:
        from ..supervisor import steps

        return self._observe or steps.ignore

    @cached_property
    def _control(self) -> Control:
        from .control import Control

        return Control(self.store, self.plugins, self.announcer, self.inspect)

    @cached_property
    def _berthing(self) -> Berthing:
        from .berthing import Berthing

        return Berthing(self, self._berths, lambda request: self._creating.providers(request).network, self._config)

    @cached_property
    def _creating(self) -> Creating:
        from .creating import Creating

        return Creating(self)

    @cached_property
    def _starting(self) -> Starting:
        from .starting import Starting

        return Starting(self, self._config, self._observed)

    @cached_property
    def _attaching(self) -> Attaching:
        from .attaching import Attaching

        return Attaching(self, self._config)

    @cached_property
    def _removing(self) -> Removing:
        from .removing import Removing

        return Removing(self, self._reconciler, self._control)

    @cached_property
    def volumes(self) -> NamedVolumes:
        """The verbs for named volumes."""
        from .volumes import NamedVolumes

        return NamedVolumes(self.store, self.plugins, self.announcer)

    def _find(self, word: str) -> str:
        return self.store.find(word)

    def _announce(self, action: str, container: Container, **attributes: str) -> None:
        self.announcer.container(action, container, **attributes)
