"""The verbs that touch a container's files: cp, diff, export."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from ..errors import CmanagerError, ConflictError, HostError, InvalidError, NotFoundError, UnsupportedError
from ..linux import inroot
from ..linux.changes import Change
from ..linux.layers import decompress
from ..linux.layers.extract import Extractor, Rules
from ..linux.layers.pack import Packer, same_id
from ..linux.layers.stream import Direct
from ..linux.layers.tar import Entry
from ..linux.layers.write import Writer
from ..model.container import Container
from ..model.image import Layer
from ..oci import defaults
from ..seams import Commit
from . import placing
from .inside import Child, Root, Running, Stopped

if TYPE_CHECKING:
    from .engine import Engine

_ALIVE = ("running", "paused")
_HEADER_LIMIT = 64 << 10
#: Where every container gets a mount, beside its own.
_MOUNTED = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf", *(m.target for m in defaults.default_mounts(0)))


@frozen
class Copied:
    """What `cp` did. size: bytes in files; left_out: devices, sockets and files of the kernel that were not copied."""

    size: int
    left_out: int


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
                    find, partial(_send, path=path, out=write, follow=follow, owners=archive, header=True), read
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
            Child(find, partial(_send, path=path, out=out, follow=follow, owners=True, header=False)).result()

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
                child = Child(find, partial(_take, read=read, path=path, found=found, archive=archive), write)
                os.close(read)
                read = -1
                try:
                    failed = self._pack(found, write)
                    os.close(write)
                    write = -1
                    answer = child.result()
                finally:
                    child.end()
                if failed is not None:
                    raise failed
                return Copied(**answer)
        finally:
            os.close(found.fd)
            for fd in (read, write):
                if fd >= 0:
                    os.close(fd)

    def stream_in(self, word: str, source: int, path: str, *, archive: bool = False) -> Copied:
        """Unpack the tar archive from the descriptor `source`, plain or compressed, in the directory `path`."""
        with self._found(word) as (_, find):
            return Copied(**Child(find, partial(_take, read=source, path=path, found=None, archive=archive)).result())

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
            Child(find, partial(_export, out=out)).result()

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
            rules = Rules(_owner(same_id, own=(os.geteuid(), os.getegid()), keep=archive), whole=archive)
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

    def _pack(self, found: placing.Source, write: int) -> CmanagerError | None:
        writer = Writer(write)
        try:
            Packer(writer).tree(found.fd, _entry_name(found))
            writer.finish()
        except BrokenPipeError:
            return None  # the other side says why it stopped
        except CmanagerError as error:
            return error
        except OSError as error:
            return HostError.of("read", os.fsdecode(found.name), error)
        return None

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
            binds = tuple(m for m in container.request.mounts if mounted and m.is_bind and m.source.startswith("/"))
            scratch = f"{paths.run_root}/waiters"
            yield container, Stopped(parts, binds, scratch, container.user_map)

    def _layers(self, container: Container) -> tuple[Layer, ...]:
        images = self._engine.plugins.get("image", container.providers.image)
        found: tuple[Layer, ...] = images.resolve(container.image_digest).layers
        return found


def mountpoints(container: Container) -> frozenset[str]:
    """Absolute paths inside where something is mounted on start."""
    return frozenset((*_MOUNTED, *(mount.target for mount in container.request.mounts)))


def _send(root: Root, path: str, out: int, *, follow: bool, owners: bool, header: bool) -> dict[str, Any]:
    """In the child: pack what `path` means. owners: whether they matter; header: say first what it is."""
    found = placing.source(root.fd, path, follow=follow)
    info = os.fstat(found.fd)
    if info.st_dev in root.foreign:
        raise InvalidError(f"{path!r} shows the kernel's state, which is nothing to copy: read it with exec")
    if header:
        what = {"name": os.fsdecode(found.name), "directory": found.directory, "content": found.content}
        os.write(out, json.dumps(what).encode() + b"\n")
    writer = Writer(out)
    packer = Packer(writer, root.outward if owners else _nobody, root.foreign, root.alive)
    return _packed(writer, packer, found.fd, _entry_name(found), path)


def _export(root: Root, out: int) -> dict[str, Any]:
    writer = Writer(out)
    return _packed(writer, Packer(writer, root.outward, root.foreign, root.alive), root.fd, b"", "/")


def _packed(writer: Writer, packer: Packer, fd: int, name: bytes, path: str) -> dict[str, Any]:
    try:
        packer.tree(fd, name)
        writer.finish()
    except BrokenPipeError:
        raise CmanagerError("whoever read the archive has left") from None
    except OSError as error:
        raise HostError.of("copy", path, error) from None
    return {"left_out": packer.left_out}


def _take(root: Root, read: int, path: str, found: placing.Source | None, *, archive: bool) -> dict[str, Any]:
    """In the child: unpack what comes to `path`. found: what it is, None for a stream that a person gave."""
    if found is None:
        directory, base = placing.directory(root.fd, path), b""
        pieces = decompress.streamed(read, "the archive")
    else:
        directory, base = placing.destination(
            root.fd, path, os.fsdecode(found.name), directory=found.directory, content=found.content
        )
        pieces = decompress.plain(read, "the host")
    own = (root.inward(0), root.inward(0))
    extractor = Extractor(directory, Rules(_owner(root.inward, own=own, keep=archive), archive, root.alive))
    stream = Direct(pieces)
    extractor.run(stream, base, rename=found is not None and not found.content)
    # A program that writes into our stdin must not die of a closed pipe because it pads its archive.
    stream.finish()
    return attrs.asdict(Copied(extractor.size, extractor.left_out))


def _nobody(number: int) -> int:
    return 0


def _owner(mapped: Callable[[int], int], *, own: tuple[int, int], keep: bool) -> Callable[[Entry], tuple[int, int]]:
    return lambda entry: (mapped(entry.uid), mapped(entry.gid)) if keep else own


def _entry_name(found: placing.Source) -> bytes:
    return b"." if found.content else found.name


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


def replace_file(path: str, fill: Callable[[int], None]) -> None:
    """Let `fill` write to a descriptor; a regular file at `path` appears whole or not at all. Raises HostError."""
    try:
        regular = not os.path.exists(path) or stat.S_ISREG(os.stat(path).st_mode)
        place = f"{path}.{os.getpid()}.tmp" if regular else path
        fd = os.open(place, os.O_WRONLY | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if regular else 0), 0o600)
    except FileNotFoundError:
        raise NotFoundError(f"the directory of {path!r} does not exist, make it first") from None
    except OSError as error:
        raise HostError.of("write", path, error) from None
    try:
        fill(fd)
        if regular:
            os.rename(place, path)
    except OSError as error:
        raise HostError.of("write", path, error) from None
    finally:
        os.close(fd)
        if regular:
            with suppress(FileNotFoundError):
                os.unlink(place)
