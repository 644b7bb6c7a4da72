"""Records of pods on disk: what was asked survives a reboot, what was made does not."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, suppress

import attrs

from ..errors import ConflictError, CorruptError, HostError, InvalidError, NotFoundError
from ..linux import files
from ..model.names import ID, check_name
from ..model.pod import Pod, PodStatus
from . import records
from .store import Store

_REMEDY = "cmanager pod rm -f"


class PodStore:
    """Pod records; every method reads the disk anew. Errors as of `Store`.

    root/pods/ID/config.json      what was asked (durable)
    root/podnames/NAME            a link to the id that owns the name
    run_root/pods/ID/             status.json, and what its containers share
    """

    def __init__(self, store: Store) -> None:
        self._store, self.paths = store, store.paths

    def ids(self) -> list[str]:
        """Ids of all recorded pods, one directory read and a look at each."""
        return sorted(id for id in records.names(f"{self.paths.root}/pods") if os.path.exists(self._config(id)))

    def traces(self) -> set[str]:
        """Ids of all pods of which there is anything, a record or not."""
        found = {*records.names(f"{self.paths.root}/pods"), *records.names(f"{self.paths.run_root}/pods")}
        for name in records.names(f"{self.paths.root}/podnames"):
            with suppress(OSError):
                found.add(os.readlink(self._link(name)))
        return {id for id in found if ID.fullmatch(id)}

    def add(self, pod: Pod) -> None:
        """Record a new pod and claim its name; ConflictError names the holder. All or nothing."""
        check_name(pod.name, "pod name")
        for name in ("pods", "podnames"):
            records.directory(f"{self.paths.root}/{name}")
        link = self._link(pod.name)
        with self.naming():
            with suppress(FileNotFoundError):
                owner = os.readlink(link)
                if os.path.exists(self._config(owner)):
                    raise ConflictError(f"pod name {pod.name!r} is in use by {owner[:12]}, remove that pod first")
                os.unlink(link)  # its owner was never recorded, or is gone
            try:
                os.symlink(pod.id, link)
                records.directory(f"{self.paths.root}/pods/{pod.id}")
                self.save_status(pod)
                records.write(self._config(pod.id), attrs.evolve(pod, status=PodStatus()), durable=True)
            except BaseException as error:
                self.remove(pod.id)
                if isinstance(error, OSError):
                    raise HostError.of("record pod", pod.name, error) from None
                raise

    def naming(self) -> AbstractContextManager[int]:
        """Held while a pod is recorded: what has no record under it never will have one."""
        return files.locked(f"{self.paths.run_root}/locks/podnames")

    def owner(self, name: str) -> str:
        """The id of the pod with exactly this name, "" when there is none."""
        with suppress(OSError):
            id = os.readlink(self._link(check_name(name, "pod name")))
            return id if os.path.exists(self._config(id)) else ""
        return ""

    def load(self, id: str) -> Pod:
        """One pod's record; two small reads."""
        pod = records.read(self._config(id), Pod, _REMEDY)
        try:
            status = records.read(f"{self.paths.pod(id)}/status.json", PodStatus, _REMEDY)
        except NotFoundError:
            status = PodStatus()  # the tmpfs went with a boot
        return attrs.evolve(pod, status=status)

    def all(self) -> list[Pod]:
        """Every readable record, newest first. Costs two small reads a pod and takes no lock."""
        found = []
        for id in self.ids():
            with suppress(NotFoundError, CorruptError):
                found.append(self.load(id))
        return sorted(found, key=lambda pod: -pod.created_at)

    def corrupt(self) -> dict[str, str]:
        """Ids whose record does not parse, each with the reason."""
        broken = {}
        for id in self.ids():
            try:
                self.load(id)
            except CorruptError as error:
                broken[id] = str(error)
            except NotFoundError:
                continue
        return broken

    def find(self, word: str) -> str:
        """The id behind an id, a name or an unambiguous id prefix. Raises NotFoundError or ConflictError."""
        with suppress(InvalidError):
            if owner := self.owner(word):
                return owner
        matches = [id for id in self.ids() if id.startswith(word)] if word else []
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ConflictError(f"pod prefix {word!r} is ambiguous: {', '.join(id[:12] for id in matches[:5])}")
        raise NotFoundError(f"no such pod: {word[:140]!r}, see `cmanager pod ls`")

    def save_status(self, pod: Pod) -> None:
        """Replace the status by that of `pod`. The caller holds the pod's lock, or just made it."""
        for path in (f"{self.paths.run_root}/pods", self.paths.pod(pod.id)):
            records.directory(path)
        records.write(f"{self.paths.pod(pod.id)}/status.json", pod.status, durable=False)

    def remove(self, id: str) -> None:
        """Forget a pod: its record, its files on the tmpfs and its name. What is gone is success.

        Nothing may be mounted there any more.
        """
        for path in (f"{self.paths.root}/pods/{id}", self.paths.pod(id)):
            try:
                files.remove_tree(path)
            except OSError as error:
                raise HostError.of("remove", path, error) from None
        for name in records.names(f"{self.paths.root}/podnames"):
            with suppress(OSError):
                if os.readlink(self._link(name)) == id:
                    os.unlink(self._link(name))
        with suppress(OSError):
            os.unlink(f"{self.paths.run_root}/locks/{id}")

    def locked(self, id: str, *, wait: bool = True) -> AbstractContextManager[int]:
        """Hold the pod's lock: its namespaces change under it, and containers are recorded in it. As `Store.locked`.

        Whoever also needs the lock of a container takes that first.
        """
        return self._store.locked(id, wait=wait)

    def _config(self, id: str) -> str:
        return f"{self.paths.root}/pods/{id}/config.json"

    def _link(self, name: str) -> str:
        return f"{self.paths.root}/podnames/{name}"
