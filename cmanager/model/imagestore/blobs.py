"""Content under its digest: what has its final name is whole, verified and durable."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress

from ...errors import CorruptError, HostError, NotFoundError
from ...linux import files
from ..image import check_digest

_CHUNK = 1 << 20


class Blobs:
    """`DIRECTORY/sha256/HEX`, and `DIRECTORY/incoming` for what is being fetched.

    Any number of processes and threads may add at once; removing is the caller's to order.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def path(self, digest: str) -> str:
        """Where the blob is, or would be."""
        return f"{self._directory}/sha256/{check_digest(digest).removeprefix('sha256:')}"

    def has(self, digest: str, size: int) -> bool:
        """Whether the blob is here with this size."""
        try:
            return os.stat(self.path(digest)).st_size == size
        except FileNotFoundError:
            return False

    def read(self, digest: str, limit: int) -> bytes:
        """A document; NotFoundError when it is not here, CorruptError when it is larger than `limit`."""
        path = self.path(digest)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise NotFoundError(f"blob {digest} is not stored, pull its image again") from None
        except OSError as error:
            raise HostError.of("read blob", path, error) from None
        try:
            return read_document(fd, limit, path)
        except OSError as error:
            raise HostError.of("read blob", path, error) from None
        finally:
            os.close(fd)

    def add(self, source: int, digest: str, size: int, seen: Callable[[int], None] = lambda done: None) -> None:
        """Copy a blob from the descriptor `source`, verifying it; CorruptError when it is not what was promised.

        seen: called with the number of bytes so far. After a failure nothing is left but what a killed process leaves
        in `incoming`.
        """
        self.path(digest)

        def copy(target: int) -> str:
            _copy(source, target, digest, size, seen)
            return digest

        self.make(copy)

    def make(self, fill: Callable[[int], str]) -> str:
        """Store what `fill` writes to a descriptor; it returns its digest, and so does this. Failures as in `add`."""
        # Not the pid: processes of several pid namespaces, and threads, may share this directory.
        temporary = f"{self._directory}/incoming/{os.urandom(16).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            for directory in (f"{self._directory}/incoming", f"{self._directory}/sha256"):
                if not os.path.isdir(directory):
                    os.makedirs(directory, mode=0o700, exist_ok=True)
                    files.sync_directory(self._directory)
            target = os.open(temporary, flags, 0o600)
            try:
                digest = fill(target)
                os.fsync(target)
            finally:
                os.close(target)
            final = self.path(digest)
            os.rename(temporary, final)
            files.sync_directory(os.path.dirname(final))
        except OSError as error:
            raise HostError.of("store blob in", self._directory, error) from None
        finally:
            with suppress(OSError):
                os.unlink(temporary)
        return digest

    def keep(self, digests: Iterable[str]) -> int:
        """Remove every other blob and what killed processes left; bytes freed. Nobody may be adding meanwhile."""
        kept = {digest.removeprefix("sha256:") for digest in digests}
        freed = 0
        for directory in ("sha256", "incoming"):
            path = f"{self._directory}/{directory}"
            try:
                with os.scandir(path) as entries:
                    for entry in entries:
                        if directory == "incoming" or entry.name not in kept:
                            freed += _remove(entry)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise HostError.of("remove blobs in", path, error) from None
        return freed

    def drop(self, digests: Iterable[str]) -> None:
        """Remove these blobs; what is gone is gone. Nobody may be adding meanwhile."""
        for digest in digests:
            path = self.path(digest)
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise HostError.of("remove blob", path, error) from None


def read_document(fd: int, limit: int, what: str) -> bytes:
    """All of an open regular file, or CorruptError when it is larger than `limit`; raises OSError."""
    size = os.fstat(fd).st_size
    if size > limit:
        raise CorruptError(f"{what} is larger than {limit} bytes")
    content = os.read(fd, size + 1)
    while chunk := os.read(fd, limit) if len(content) < size else b"":
        content += chunk
    if len(content) != size:
        raise CorruptError(f"{what} changes while it is read")
    return content


def sha256(content: bytes) -> str:
    """The digest of a document."""
    import hashlib  # not needed to look an image up

    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _remove(entry: os.DirEntry[str]) -> int:
    size = entry.stat(follow_symlinks=False).st_size if not entry.is_dir(follow_symlinks=False) else 0
    files.remove_tree(entry.path)
    return size


def _copy(source: int, target: int, digest: str, size: int, seen: Callable[[int], None]) -> None:
    import hashlib

    if not stat.S_ISREG(os.fstat(source).st_mode):
        raise CorruptError(f"blob {digest} is not a regular file")
    hashed, done = hashlib.sha256(), 0
    while chunk := os.read(source, _CHUNK):
        done += len(chunk)
        if done > size:
            raise CorruptError(f"blob {digest} is larger than the {size} bytes its manifest promises")
        hashed.update(chunk)
        files.write_all(target, chunk)
        seen(done)
    if done != size:
        raise CorruptError(f"blob {digest} has {done} bytes, its manifest promises {size}")
    if f"sha256:{hashed.hexdigest()}" != digest:
        raise CorruptError(f"blob {digest} has another content: sha256:{hashed.hexdigest()}")
