"""Content under its digest: what has its final name is whole, verified and durable."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress

from cmanager.errors import CorruptError, HostError, NotFoundError
from cmanager.linux import files
from cmanager.model.image import check_digest

_CHUNK = 1 << 20


class Blobs:
    """`DIRECTORY/sha256/HEX`, and `DIRECTORY/incoming` for what is being fetched.

    Any number of processes may add at once; removing is the caller's to order.
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
            raise NotFoundError(f"blob {digest} is not stored") from None
        except OSError as error:
            raise HostError.of("read blob", path, error) from None
        try:
            content = os.read(fd, limit + 1)
        finally:
            os.close(fd)
        if len(content) > limit:
            raise CorruptError(f"{path} is larger than {limit} bytes")
        return content

    def add(self, source: int, digest: str, size: int, seen: Callable[[int], None] = lambda done: None) -> None:
        """Copy a blob from the descriptor `source`, verifying it; CorruptError when it is not what was promised.

        seen: called with the number of bytes so far. After a failure nothing is left but what a killed process leaves
        in `incoming`.
        """
        final = self.path(digest)
        temporary = f"{self._directory}/incoming/{digest[7:]}.{os.getpid()}"
        try:
            for directory in (os.path.dirname(temporary), os.path.dirname(final)):
                os.makedirs(directory, mode=0o700, exist_ok=True)
            target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                _copy(source, target, digest, size, seen)
                os.fsync(target)
            finally:
                os.close(target)
            os.rename(temporary, final)
            files.sync_directory(os.path.dirname(final))
        except OSError as error:
            raise HostError.of("store blob", final, error) from None
        finally:
            with suppress(OSError):
                os.unlink(temporary)

    def keep(self, digests: Iterable[str]) -> int:
        """Remove every other blob and what killed processes left; bytes freed. Nobody may be adding meanwhile."""
        kept = {digest.removeprefix("sha256:") for digest in digests}
        freed = 0
        for directory in ("sha256", "incoming"):
            with suppress(FileNotFoundError):
                for entry in os.scandir(f"{self._directory}/{directory}"):
                    if directory == "sha256" and entry.name in kept:
                        continue
                    with suppress(FileNotFoundError):
                        freed += entry.stat(follow_symlinks=False).st_size
                        os.unlink(entry.path)
        return freed


def _copy(source: int, target: int, digest: str, size: int, seen: Callable[[int], None]) -> None:
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
