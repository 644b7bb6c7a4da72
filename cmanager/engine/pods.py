"""Pods: containers that share a network, ipc and uts namespace, and a /dev/shm.

The pod has them, not a process: they are made with it, pinned, and last until it is removed. A reboot takes them; the
next start in the pod makes them anew. A pod is never locked while something waits for one of its containers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from attrs import evolve

from ..errors import CmanagerError, ConflictError, CorruptError, HostError, NotFoundError
from ..linux.process import Process, boot_id
from ..linux.values import frozen
from ..model.container import Container, RunRequest
from ..model.network import Attachment
from ..model.pod import Pod, PodRequest, PodStatus
from ..state.pods import PodStore
from ..supervisor.steps import Observe, Step, run, unwind
from . import joining, podparts, podplan, ports
from .podcontrol import PodControl

if TYPE_CHECKING:
    from .engine import Engine


@frozen
class Entry:
    """A pod with its containers, oldest first."""

    pod: Pod
    containers: tuple[Container, ...]


class Pods:
    """The pods of one engine. observe: called around every step that makes one. Errors as of `Engine`."""

    def __init__(self, engine: Engine, observe: Observe) -> None:
        self._engine, self._observe = engine, observe
        self._store = PodStore(engine.store)
        self.control = PodControl(engine, self)

    def create(self, request: PodRequest) -> Pod:
        """Make a pod with its namespaces. Raises before any side effect for what cannot work here; after a later
        failure nothing is left."""
        self._engine.store.initialise()
        pod = self._planned(request)
        self._make(pod)
        return self.finish(pod.id)

    def entries(self) -> list[Entry]:
        """All pods, newest first, as they really are."""
        pods = [pod for found in self._store.all() if (pod := self._settled(found)) is not None]
        containers = self._engine.list()[::-1]
        return [Entry(pod, tuple(c for c in containers if c.request.pod == pod.id)) for pod in pods]

    def inspect(self, word: str) -> Entry:
        """One pod as it really is, by id, name or id prefix."""
        pod = self._one(word)
        return Entry(pod, tuple(c for c in self._engine.list()[::-1] if c.request.pod == pod.id))

    def remove(self, word: str, *, force: bool = False) -> None:
        """Remove a pod and what it shares; one that has containers, or whose record is corrupt, with `force` alone."""
        id = self._store.find(word)
        try:
            entry = self.inspect(id)
        except CorruptError:
            if not force:
                raise
            self._remove_corrupt(id)
            return
        pod = entry.pod
        if pod.status.maker and not force:
            raise ConflictError(f"pod {pod.name} is being made by process {pod.status.maker.pid}, try again or use -f")
        self._empty(pod.name, entry.containers, force)
        with self._store.locked(id):
            pod = self._store.load(id)
            self._empty(pod.name, self._members(id), False)
            self._undo(pod)
        self._announce("remove", pod)

    def corrupt(self) -> dict[str, str]:
        """Ids of pods whose record does not parse, each with the reason."""
        return self._store.corrupt()

    def ids(self) -> set[str]:
        """Ids of all recorded pods."""
        return set(self._store.ids())

    def collect(self) -> tuple[set[str], list[str]]:
        """Undo what deaths left of pods; returns the ids it did that for, and a line for each thing that failed."""
        before, done = self.ids(), set[str]()
        problems: list[str] = []
        for pod in self._store.all():
            if self._settled(pod) is None:
                done.add(pod.id)
            elif not pod.up and pod.status.maker is None and os.path.exists(self._engine.paths.pod(pod.id)):
                with suppress(ConflictError, NotFoundError), self._store.locked(pod.id, wait=False):
                    problems += self._lower(self._store.load(pod.id))
                    done.add(pod.id)
        with self._store.naming():
            for id in self._store.traces() - before - self.ids():
                try:
                    podparts.discard(self._engine.paths, id)
                    self._store.remove(id)
                    done.add(id)
                except (CmanagerError, OSError) as error:
                    problems.append(f"pod {id[:12]}: {error}")
        return done, problems

    # -- for its containers --------------------------------------------------------------------------------------

    def admitted(self, request: RunRequest) -> tuple[RunRequest, list[Step]]:
        """A container's request as that of a member of its pod, and the step that makes the pod for "new:NAME".

        Raises before any side effect: InvalidError for what belongs to the pod, naming the flag; NotFoundError.
        """
        if not request.pod.startswith(joining.NEW):
            return joining.admitted(request, self._one(request.pod)), []
        left, wanted = joining.wanted(request)
        pod = self._planned(wanted)
        made = Step("pod", f"make pod {pod.name}", lambda: self._make(pod), lambda: self.unmake(pod.id))
        return joining.admitted(left, pod), [made]

    @contextmanager
    def held(self, id: str) -> Iterator[None]:
        """A pod that is not removed meanwhile. Raises NotFoundError when it was before."""
        with self._store.locked(id):
            if id not in self.ids():
                raise NotFoundError(f"pod {id[:12]} was removed meanwhile")
            yield

    def ready(self, id: str) -> Attachment:
        """See that the pod's namespaces are there, and make them anew after a reboot; returns its place on the network.

        Raises ConflictError for a port that is taken, or when something took them away under running containers.
        """
        with self._store.locked(id):
            pod = self._store.load(id)
            if not pod.up or not podparts.whole(self._engine.plugins, self._engine.paths, pod):
                pod = self._raised(pod)
            return pod.status.attachment or Attachment()

    def finish(self, id: str) -> Pod:
        """What was made is there for good, also when it has no containers."""
        with self._store.locked(id):
            pod = self._finished(self._store.load(id))
        self._announce("create", pod)
        return pod

    def unmake(self, id: str) -> None:
        """Undo a pod that was made for a container that is not in it; others that are keep it. Idempotent."""
        with suppress(NotFoundError), self._store.locked(id):
            pod = self._store.load(id)
            if self._members(id):
                self._finished(pod)
            else:
                self._undo(pod)

    # -- parts ---------------------------------------------------------------------------------------------------

    def _one(self, word: str) -> Pod:
        pod = self._settled(self._store.load(self._store.find(word)))
        if pod is None:
            raise NotFoundError(f"no such pod: {word}, see `cmanager pod ls`")
        return pod

    def _planned(self, request: PodRequest) -> Pod:
        """See `podplan.planned`; ConflictError when somebody has its name."""
        pod = podplan.planned(self._engine.plugins, request)
        if owner := self._store.owner(pod.name):
            with suppress(CorruptError, NotFoundError):
                if self._settled(self._store.load(owner)) is None:
                    return pod
            raise ConflictError(f"pod name {pod.name!r} is in use by {owner[:12]}, remove that pod first")
        return pod

    def _make(self, pod: Pod) -> None:
        record = Step("pod record", "claim its name and record it", lambda: self._store.add(pod))
        try:
            run([record], self._observe)
            self.ready(pod.id)
        except BaseException:
            self.unmake(pod.id)
            raise

    def _raised(self, pod: Pod) -> Pod:
        """The pod with its namespaces made; the caller holds its lock."""
        engine = self._engine
        if pod.up and any(c.status.runs for c in engine.list() if c.request.pod == pod.id):
            raise ConflictError(f"something removed the namespaces of pod {pod.name}, stop its containers first")
        fresh = pod.status.maker == Process.of(os.getpid())
        if not fresh and (left := self._lower(pod)):
            raise CmanagerError(left[0])
        table = podparts.table(engine.plugins, engine.paths, pod)
        if pod.request.publish:
            network = ports.publisher(engine.plugins, pod.request.network)
            look = Step(
                "pod ports",
                "see that its ports are free",
                lambda: ports.again_settled(lambda: network.check_ports(pod.request.publish, now=True), engine.list),
            )
            table.insert(0, look)

        def record(**made: Attachment) -> Pod:
            up = evolve(pod, status=evolve(pod.status, boot=boot_id(), attachment=made.get("pod link")))
            self._store.save_status(up)
            return up

        linked = ("pod link",) if "network" in pod.request.share else ()
        table.append(Step("pod up", "write down that it is there", record, takes=linked))
        raised: Pod = run(table, self._observe)["pod up"]
        return raised

    def _lower(self, pod: Pod) -> list[str]:
        """Undo what is, or may be, made of a pod, a line for each failure; the caller holds its lock."""
        paths = self._engine.paths
        self._store.save_status(evolve(pod, status=PodStatus(maker=pod.status.maker)))
        return unwind(podparts.table(self._engine.plugins, paths, pod), self._observe)

    def _undo(self, pod: Pod) -> None:
        """The same, and forget it."""
        if left := self._lower(pod):
            raise CmanagerError("; ".join(left))
        self._store.remove(pod.id)

    def _settled(self, pod: Pod) -> Pod | None:
        """The pod as it really is; None when whoever was making it died, and nothing is in it."""
        if pod.status.maker is None or pod.status.maker.alive():
            return pod
        try:
            with self._store.locked(pod.id, wait=False):
                pod = self._store.load(pod.id)
                if pod.status.maker is None or pod.status.maker.alive():
                    return pod
                if self._members(pod.id):
                    return self._finished(pod)
                self._undo(pod)
        except NotFoundError:
            return None
        except CmanagerError:
            return pod  # somebody is at work on it, or it cannot be undone now
        return None

    def _finished(self, pod: Pod) -> Pod:
        finished = evolve(pod, status=evolve(pod.status, maker=None))
        self._store.save_status(finished)
        return finished

    def _members(self, id: str) -> tuple[Container, ...]:
        """Records of its containers, oldest first, as they are."""
        return tuple(container for container in self._engine.store.all()[::-1] if container.request.pod == id)

    def _empty(self, name: str, containers: tuple[Container, ...], force: bool) -> None:
        """See that no container is in the pod; with `force` remove them. Raises ConflictError, naming them."""
        if containers and not force:
            names = ", ".join(container.name for container in containers[:5])
            raise ConflictError(f"pod {name} has containers: {names}; remove them first or use -f")
        for container in containers[::-1]:
            with suppress(NotFoundError):
                self._engine.remove(container.id, force=True)

    def _remove_corrupt(self, id: str) -> None:
        """A record that does not parse: undo by name what there may be of it."""
        self._empty(id[:12], self._members(id), True)
        plugins, paths = self._engine.plugins, self._engine.paths
        with self._store.locked(id):
            plugins.get("network", plugins.default("network")).detach(id, f"{paths.pod(id)}/network")
            try:
                podparts.discard(paths, id)
            except OSError as error:
                raise HostError.of("undo pod", id[:12], error) from None
            self._store.remove(id)

    def _announce(self, action: str, pod: Pod) -> None:
        self._engine.announcer.announce("pod", action, pod.id, pod.request.labels | {"name": pod.name})
