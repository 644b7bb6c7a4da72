"""Records of containers on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import TypeVar

import attrs

from ..errors import CmanagerError, ConflictError, CorruptError, HostError, NotFoundError
from ..linux import files
from ..linux.values import frozen
from ..model.container import Container, Status
from ..model.glimpse import Glimpse, ShownStatus
from ..model.names import ID, check_name
from . import records

_REMEDY = "cmanager rm -f"
S = TypeVar("S", Status, ShownStatus)


@frozen
class Paths:
    """Where everything of the manager lies. root: durable; run_root: tmpfs."""

    root: str = "/var/lib/cmanager"
    run_root: str = "/run/cmanager"

    def run_dir(self, id: str) -> str:
        """Directory of a container's running parts."""
        return f"{self.run_root}/containers/{id}"

    def bundle(self, id: str) -> str:
        """Its OCI bundle."""
        return f"{self.run_dir(id)}/bundle"

    def attach(self, id: str) -> str:
        """The socket at which commands attach to it."""
        return f"{self.run_dir(id)}/attach"

    def fault(self, id: str) -> str:
        """What its supervisor died of, where that had time to say so."""
        return f"{self.run_dir(id)}/fault"

    def hosts(self, network: str) -> str:
        """Directory of the hosts files of one network."""
        return f"{self.run_root}/hosts/{network}"

    def waiters(self, id: str) -> str:
        """Directory of the pipes of commands that wait for its exit code."""
        return f"{self.run_root}/waiters/{id}"

    def netns(self, id: str) -> str:
        """Its pinned network namespace."""
        return f"{self.run_root}/netns/{id}"

    def slot(self, id: str) -> str:
        """Who keeps a slot of that id for a container to come (`cmanager.supervisor.slots`)."""
        return f"{self.run_root}/slots/{id}"

    def pod(self, id: str) -> str:
        """Directory of what a pod's containers share; its namespaces are pinned there by their OCI names."""
        return f"{self.run_root}/pods/{id}"

    @property
    def events(self) -> str:
        """Directory of the journal of events."""
        return f"{self.run_root}/events"

    def userns(self, id: str) -> str:
        """Its pinned user namespace."""
        return f"{self.run_root}/userns/{id}"


class Store:
    """Container records; every method reads the disk anew, so any number of processes may share it.

    Errors: NotFoundError, ConflictError, CorruptError (a record that does not parse; `remove` still works), HostError.
    """

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def initialise(self) -> None:
        """Make the directories, 0700 and ours."""
        for path in (self.paths.root, self.paths.run_root):
            try:
                os.makedirs(path, mode=0o700, exist_ok=True)
                info = os.stat(path)
                if info.st_uid != os.geteuid() or info.st_mode & 0o077:
                    os.chmod(path, 0o700)
            except OSError as error:
                raise HostError.of("make the state directory", path, error) from None
        for name in ("containers", "names"):
            records.directory(f"{self.paths.root}/{name}")
        for name in ("containers", "netns", "userns", "locks", "waiters", "slots"):
            records.directory(f"{self.paths.run_root}/{name}")

    def home(self, id: str) -> str:
        """The directory that holds a container's record and log."""
        transient = self.paths.run_dir(id)
        return transient if os.path.exists(f"{transient}/config.json") else f"{self.paths.root}/containers/{id}"

    def ids(self) -> list[str]:
        """Ids of all recorded containers, two directory reads."""
        return sorted(self._homes())

    def _homes(self) -> dict[str, str]:
        """Where each is recorded. Costs a look for each --rm one."""
        durable, transient = f"{self.paths.root}/containers", f"{self.paths.run_root}/containers"
        found = {name: f"{durable}/{name}" for name in records.names(durable) if ID.fullmatch(name)}
        for name in records.names(transient):
            # Both would be nobody's doing.
            if name not in found and ID.fullmatch(name) and os.path.exists(f"{transient}/{name}/config.json"):
                found[name] = f"{transient}/{name}"
        return found

    def add(self, container: Container) -> None:
        """Record a new container and claim its name; ConflictError names the holder. All or nothing."""
        check_name(container.name, "container name")
        home = self.paths.run_dir(container.id)
        if not container.request.remove:
            home = f"{self.paths.root}/containers/{container.id}"
        # The directory first: a name whose owner has none counts as free.
        records.directory(self.paths.run_dir(container.id))
        try:
            with self._names():
                self._claim(container.name, container.id)
            records.directory(home)
            records.write(f"{home}/status.json", container.status, durable=False)
            unchanging = attrs.evolve(container, status=Status())
            records.write(f"{home}/config.json", unchanging, durable=not container.request.remove)
        except BaseException:
            self.remove(container.id, container.name)
            raise

    def load(self, id: str) -> Container:
        """One container's record; two small reads."""
        return self._read(self.home(id))

    def _read(self, home: str) -> Container:
        container = records.read(f"{home}/config.json", Container, _REMEDY)
        return attrs.evolve(container, status=_status(home, Status))

    def all(self) -> list[Container]:
        """Every readable record, newest first. Costs two small reads a container and takes no lock."""
        found = []
        for home in self._homes().values():
            with suppress(NotFoundError, CorruptError):
                found.append(self._read(home))
        return sorted(found, key=lambda container: -container.created_at)

    def glimpses(self) -> list[Glimpse]:
        """The same, with no more than lists show."""
        found = []
        for home in self._homes().values():
            with suppress(NotFoundError, CorruptError):
                glimpse = records.read(f"{home}/config.json", Glimpse, _REMEDY)
                found.append(attrs.evolve(glimpse, status=_status(home, ShownStatus)))
        return sorted(found, key=lambda glimpse: -glimpse.created_at)

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
        with suppress(CmanagerError, OSError):
            check_name(word, "container")
            owner = os.readlink(f"{self.paths.root}/names/{word}")
            if os.path.exists(f"{self.home(owner)}/config.json"):
                return owner
        matches = [id for id in self.ids() if id.startswith(word)] if word else []
        if len(matches) == 1:
            return matches[0]
        if matches:
            short = ", ".join(id[:12] for id in matches[:5])
            raise ConflictError(f"container prefix {word!r} is ambiguous: {short}")
        raise NotFoundError(f"no such container: {word[:140]!r}, see `cmanager ps -a`")

    def save_status(self, id: str, status: Status, *, durable: bool = False) -> None:
        """Replace the status. The caller holds the container's lock."""
        home = self.home(id)
        records.write(f"{home}/status.json", status, durable=durable and home.startswith(self.paths.root + "/"))

    def replace(self, container: Container) -> None:
        """Record a container anew that was asked to be something else. The caller holds its lock."""
        home = self.home(container.id)
        unchanging = attrs.evolve(container, status=Status())
        records.write(f"{home}/config.json", unchanging, durable=not container.request.remove)

    def rename(self, container: Container, name: str) -> None:
        """Give a container another name; ConflictError names the holder. The caller holds its lock.

        In between it has both: whoever dies there leaves the old name, which is free when its owner has another.
        """
        with self._names():
            self._claim(name, container.id)
            try:
                self.replace(attrs.evolve(container, name=name))
            except BaseException:
                os.unlink(f"{self.paths.root}/names/{name}")
                raise
        with suppress(FileNotFoundError):
            os.unlink(f"{self.paths.root}/names/{container.name}")

    def remove(self, id: str, name: str = "", *, keep_lock: bool = False) -> None:
        """Forget a container: record, log, running parts and name. What is gone is success.

        keep_lock: for who holds it and is not done, and calls `forget_lock` then.
        """
        for path in (self.paths.run_dir(id), f"{self.paths.root}/containers/{id}"):
            try:
                files.remove_tree(path)
            except OSError as error:
                raise HostError.of("remove", path, error) from None
        for candidate in [name] if name else records.names(f"{self.paths.root}/names"):
            link = f"{self.paths.root}/names/{candidate}"
            with suppress(OSError):
                if os.readlink(link) == id:
                    os.unlink(link)
        if not keep_lock:
            self.forget_lock(id)

    def forget_lock(self, id: str) -> None:
        """Remove the lock of a container that is gone."""
        with suppress(OSError):
            os.unlink(f"{self.paths.run_root}/locks/{id}")

    @contextmanager
    def locked(self, id: str, *, wait: bool = True) -> Iterator[int]:
        """Hold the container's lock; never across a wait for the container itself.

        Yields the lock's descriptor: a child that inherits it keeps the lock until it closes it too. With `wait` False
        a held lock is a ConflictError.
        """
        with ExitStack() as held:
            yield self._acquire(held, id, wait)

    def sweep(self) -> None:
        """Remove locks of containers that are gone, which a command met after their removal."""
        known = set(self.ids())
        for id in records.names(f"{self.paths.run_root}/locks"):
            if ID.fullmatch(id) and id not in known:
                with suppress(ConflictError, FileNotFoundError), self.locked(id, wait=False):
                    os.unlink(f"{self.paths.run_root}/locks/{id}")

    def _acquire(self, held: ExitStack, id: str, wait: bool) -> int:
        path = f"{self.paths.run_root}/locks/{id}"
        while True:
            with ExitStack() as attempt:
                try:
                    fd = attempt.enter_context(files.locked(path, wait=wait))
                except FileNotFoundError:
                    self.initialise()  # the tmpfs went with a boot
                    continue
                except BlockingIOError:
                    raise ConflictError(f"container {id[:12]} is being changed by another command") from None
                # The lock file goes with its container: hold the one that has the name now, or try again.
                with suppress(FileNotFoundError):
                    if os.fstat(fd).st_ino == os.stat(path).st_ino:
                        held.enter_context(attempt.pop_all())
                        return fd

    def _names(self) -> AbstractContextManager[int]:
        return files.locked(f"{self.paths.run_root}/locks/names")

    def _claim(self, name: str, id: str) -> None:
        """The caller holds the lock of the names."""
        link = f"{self.paths.root}/names/{name}"
        try:
            os.symlink(id, link)
            return
        except FileExistsError:
            owner = os.readlink(link)
        except OSError as error:
            raise HostError.of("claim the name", link, error) from None
        if self._has(owner, name):
            raise ConflictError(
                f"container name {name!r} is in use by {owner[:12]}, remove or rename that container first"
            )
        # Its owner is gone or called otherwise (a reboot, a kill in the middle): the name is free again.
        os.unlink(link)
        os.symlink(id, link)

    def _has(self, owner: str, name: str) -> bool:
        try:
            return self.load(owner).name == name
        except NotFoundError:
            # Being recorded right now, or removed.
            return os.path.exists(self.paths.run_dir(owner)) or os.path.exists(self.home(owner))
        except CorruptError:
            return True


def _status(home: str, kind: type[S]) -> S:
    try:
        return records.read(f"{home}/status.json", kind, _REMEDY)
    except NotFoundError:
        return kind()
