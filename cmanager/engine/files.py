"""The verbs that touch a container's files: cp, diff, export."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from ..errors import CmanagerError, ConflictError, UnsupportedError
from ..linux import inroot
from ..linux.changes import Change
from ..linux.layers import decompress
from ..linux.layers.extract import Extractor, Rules
from ..linux.layers.pack import same_id
from ..linux.layers.stream import Direct
from ..model.container import Container
from ..model.image import Layer
from ..model.volume import Volume
from ..oci import defaults
from ..seams import Commit
from ..supervisor import attachments
from . import placing, transfer
from .inside import Child, Root, Running, Stopped
from .transfer import Copied

if TYPE_CHECKING:
    from .engine import Engine

_ALIVE = ("running", "paused")
_HEADER_LIMIT = 64 << 10
#: Where every container gets a mount, beside its own.
_MOUNTED = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf", *(m.target for m in defaults.default_mounts(0)))


class Files:
    """Files of containers, running or not; reached as `Engine.files`.

    A container that does not run cannot be started or removed while its files are read or written. One that runs may
    change them meanwhile, and whatever it swaps in, nothing outside of it is read or written.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # -- cp --------------------------------------------------------------------------------------------------------

    def copy_out(self, word: str, path: str, target: str, *, archive: bool = False, follow: bool = False) -> Copied:
        """Copy `path` of a container to `target` on the host, by Docker's rules.

        archive: keep owners, setuid bits and capabilities, and make device nodes; else everything belongs to the
        caller. follow: copy what a link leads to. Raises NotFoundError, InvalidError, ConflictError, HostError.
        """
        read, write = os.pipe()
        try:
            with self._found(word) as (_, find):
                child = Child(
                    find, partial(transfer.send, path=path, out=write, follow=follow, owners=archive, header=True), read
                )
                os.close(write)
                write = -1
                try:
                    return self._receive(child, read, target, archive=archive)
                finally:
                    child.end()
        finally:
            for fd in (read, write):
                if fd >= 0:
                    os.close(fd)

    def stream_out(self, word: str, path: str, out: int, *, follow: bool = False) -> None:
        """Write `path` of a container to the descriptor `out` as a tar archive."""
        with self._found(word) as (_, find):
            Child(find, partial(transfer.send, path=path, out=out, follow=follow, owners=True, header=False)).result()

    def copy_in(self, word: str, source: str, path: str, *, archive: bool = False, follow: bool = False) -> Copied:
        """Copy `source` on the host to `path` in a container; see `copy_out`.

        archive: keep owners, else everything belongs to the container's root.
        """
        root = inroot.open_root("/")
        try:
            found = placing.source(root, _absolute(source), follow=follow)
        finally:
            os.close(root)
        read, write = os.pipe()
        try:
            with self._found(word) as (_, find):
                child = Child(find, partial(transfer.take, read=read, path=path, found=found, archive=archive), write)
                os.close(read)
                read = -1
                failed: CmanagerError | None = None
                try:
                    failed = transfer.give(found, write)
                    os.close(write)
                    write = -1
                    done = Copied(**child.result())
                except CmanagerError:
                    # A file of ours that cannot be read is why the other end found its archive cut short.
                    if failed is None:
                        raise
                finally:
                    child.end()
                if failed is not None:
                    raise failed
                return done
        finally:
            os.close(found.fd)
            for fd in (read, write):
                if fd >= 0:
                    os.close(fd)

    def stream_in(self, word: str, source: int, path: str, *, archive: bool = False) -> Copied:
        """Unpack the tar archive from the descriptor `source`, plain or compressed, in the directory `path`."""
        with self._found(word) as (_, find):
            return Copied(
                **Child(find, partial(transfer.take, read=source, path=path, found=None, archive=archive)).result()
            )

    # -- diff, export ----------------------------------------------------------------------------------------------

    def changes(self, word: str) -> tuple[Change, ...]:
        """What a container changed in the files of its image, sorted by path (`diff`)."""
        with self.settled(word) as container:
            storage, layers = self.committing(container)
            found: tuple[Change, ...] = storage.changes(
                container.id, layers, container.user_map, mountpoints(container)
            )
            return found

    def export(self, word: str, out: int) -> None:
        """Write a container's root file system to the descriptor `out` as one tar archive, without what is mounted."""
        with self._found(word, mounted=False) as (_, find):
            Child(find, partial(transfer.export, out=out)).result()

    def committing(self, container: Container) -> tuple[Commit, tuple[Layer, ...]]:
        """The storage of a container, which can tell changes, and its layers; UnsupportedError when it cannot."""
        storage = self._engine.plugins.get("storage", container.providers.storage)
        if not isinstance(storage, Commit):
            name = container.providers.storage
            raise UnsupportedError(f"storage plugin {name!r} cannot tell what a container changed")
        return storage, self._layers(container)

    # -- parts -----------------------------------------------------------------------------------------------------

    def _receive(self, child: Child, read: int, target: str, *, archive: bool) -> Copied:
        try:
            header = _read_header(read)
            root = inroot.open_root("/")
            try:
                directory, base = placing.destination(root, _absolute(target), **header)
            finally:
                os.close(root)
            rules = Rules(transfer.owner(same_id, own=(os.geteuid(), os.getegid()), keep=archive), whole=archive)
            extractor = Extractor(directory, rules)
            try:
                extractor.run(Direct(decompress.plain(read, "the container")), base, rename=not header["content"])
            finally:
                extractor.close()
                os.close(directory)
        except EOFError:
            child.result()
            raise CmanagerError("the container's files could not be read") from None
        except CmanagerError:
            # What made the other side stop is what a person should hear of.
            if _stopped(read):
                child.result()
            raise
        return Copied(extractor.size, extractor.left_out + child.result()["left_out"])

    @contextmanager
    def settled(self, word: str) -> Iterator[Container]:
        """The container as it is; one that does not run is locked, so that it stays so."""
        engine = self._engine
        container = engine.inspect(word)
        with ExitStack() as stack:
            if container.status.state not in _ALIVE:
                engine.store.initialise()
                stack.enter_context(engine.store.locked(container.id))
                container = engine.inspect_locked(container.id)
                if container.status.state in _ALIVE:
                    stack.close()  # it was being started
            yield container

    @contextmanager
    def _found(self, word: str, *, mounted: bool = True) -> Iterator[tuple[Container, Callable[[], Root]]]:
        """The container, and what finds its root in a forked process."""
        with self.settled(word) as container:
            status, paths = container.status, self._engine.paths
            if status.state in _ALIVE:
                if status.init is None or status.supervisor is None:
                    raise ConflictError(f"container {word} is starting or ending, try again")
                bundle = paths.bundle(container.id)
                yield container, Running(status.init, status.supervisor, bundle, container.user_map, mounted)
                return
            storage = self._engine.plugins.get("storage", container.providers.storage)
            parts = storage.prepare(container.id, self._layers(container))
            if container.request.read_only:
                first = attrs.evolve(parts[0], options=(*parts[0].options, "ro"))
                parts = (first, *parts[1:])
            binds = tuple(m for m in container.request.mounts if mounted and m.is_bind and m.source.startswith("/"))
            scratch = f"{paths.run_root}/waiters"
            with self._volumes(container, mounted) as there:
                kept = tuple((there[use.name], use) for use in container.request.volumes if use.name in there)
                yield container, Stopped(parts, binds, kept, scratch, container.user_map)

    @contextmanager
    def _volumes(self, container: Container, mounted: bool) -> Iterator[dict[str, Volume]]:
        """The volumes of a locked container that does not run, by name, each at its path; none unless `mounted`."""
        plugins = self._engine.plugins
        found = self._engine.volumes.of(container) if mounted else ()
        if not found or not attachments.names(plugins, container):
            yield {volume.name: volume for volume in found}
            return
        try:
            paths = attachments.attach(plugins, container)
            yield {volume.name: volume for volume in attachments.placed(found, paths)}
        finally:
            attachments.detach(plugins, container)

    def _layers(self, container: Container) -> tuple[Layer, ...]:
        images = self._engine.plugins.get("image", container.providers.image)
        found: tuple[Layer, ...] = images.resolve(container.image_digest).layers
        return found


def mountpoints(container: Container) -> frozenset[str]:
    """Absolute paths inside where something is mounted on start."""
    request = container.request
    targets = [*(mount.target for mount in request.mounts), *(use.target for use in request.volumes)]
    return frozenset((*_MOUNTED, *targets))


def _read_header(fd: int) -> dict[str, Any]:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(fd, 1)
        if not byte or len(line) > _HEADER_LIMIT:
            raise EOFError
        line += byte
    found: dict[str, Any] = json.loads(line)
    return found


def _stopped(fd: int) -> bool:
    """Whether the other side of a pipe has ended and left nothing to read."""
    with suppress(OSError):
        os.set_blocking(fd, False)
        return not os.read(fd, 1)
    return False


def _absolute(path: str) -> str:
    """A path of the caller's, with the slash or dot at its end that means something."""
    return path if path.startswith("/") else f"{os.getcwd()}/{path}"
