"""Writing a layer: the same entries always make the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from types import TracebackType
from typing import IO, Any

_XATTR = "SCHILY.xattr."
#: Fast enough for a root file system, and near the best that deflate does.
_LEVEL = 6


class Layer:
    """A gzip tarball that is written to `file`; `digest`, `diff_id` and `size` hold when it is closed.

    epoch: seconds; no entry is younger.
    """

    def __init__(self, file: IO[bytes], epoch: int) -> None:
        self._epoch = epoch
        self._packed = _Hashed(file)
        self._gzip = gzip.GzipFile("", "wb", _LEVEL, self._packed, mtime=0)
        self._plain = _Hashed(self._gzip)
        # Closed by __exit__.
        self._tar = tarfile.open(fileobj=self._plain, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def directory(self, path: str, mode: int = 0o755) -> None:
        """An empty directory. path: without a leading slash."""
        self._add(path, tarfile.DIRTYPE, mode)

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """A regular file of root's."""
        self._add(path, tarfile.REGTYPE, mode, content)

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self._add(path, tarfile.SYMTYPE, 0o777, target=target)

    def copy(self, member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
        """An entry of another tarball: its kind, mode, ids and extended attributes; names of users are dropped."""
        info = tarfile.TarInfo(_plain_name(member.name))
        info.type = tarfile.REGTYPE if member.isreg() else member.type
        info.mode, info.uid, info.gid = member.mode, member.uid, member.gid
        info.size = member.size if member.isreg() else 0
        info.mtime = min(int(member.mtime), self._epoch)
        info.linkname = _plain_name(member.linkname) if member.islnk() else member.linkname
        info.devmajor, info.devminor = member.devmajor, member.devminor
        info.pax_headers = {k: v for k, v in member.pax_headers.items() if k.startswith(_XATTR)}
        self._tar.addfile(info, content)

    def __enter__(self) -> Layer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._tar.close()
        self._gzip.close()

    @property
    def digest(self) -> str:
        """Of the bytes in the file."""
        return f"sha256:{self._packed.hash.hexdigest()}"

    @property
    def diff_id(self) -> str:
        """Of the tar within."""
        return f"sha256:{self._plain.hash.hexdigest()}"

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._packed.size

    def _add(self, path: str, kind: bytes, mode: int, content: bytes = b"", target: str = "") -> None:
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.linkname, info.mtime, info.size = kind, mode, target, self._epoch, len(content)
        self._tar.addfile(info, io.BytesIO(content))


class _Hashed(io.RawIOBase):
    """Passes on what is written, hashing and counting it."""

    def __init__(self, target: IO[bytes] | gzip.GzipFile) -> None:
        self._target, self.hash, self.size = target, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._target.write(content)
        self.hash.update(content)
        self.size += len(content)
        return len(content)


def _plain_name(name: str) -> str:
    return name.removeprefix("./") or "."
