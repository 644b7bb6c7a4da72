"""Which file `cp` means and where it goes: Docker's rules, the same on the host's side and on the container's.

Everything is resolved inside a root that is given as a descriptor (`linux.inroot`) and handed on as descriptors.
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import HostError, InvalidError, NotFoundError
from ..linux import inroot
from ..linux.values import frozen

_KINDS = {stat.S_IFREG: "file", stat.S_IFLNK: "file", stat.S_IFDIR: "directory"}


@frozen
class Source:
    """What is copied. fd: the file itself (O_PATH), the holder closes it; name: its own; directory: whether it is one;
    content: whether what is in it is meant ("DIR/.")."""

    fd: int
    name: bytes
    directory: bool
    content: bool


def source(root: int, path: str, *, follow: bool) -> Source:
    """What `path` means under `root`. follow: go where a link leads; a trailing slash does so too.

    Raises NotFoundError, InvalidError (not a directory after all), HostError.
    """
    clean, slash, dot = _cleaned(path)
    flags = os.O_PATH | (0 if follow or slash or dot else os.O_NOFOLLOW)
    try:
        fd = inroot.open_in(root, clean, flags)
    except OSError as error:
        raise _told(error, "copy", path) from None
    directory = stat.S_ISDIR(os.fstat(fd).st_mode)
    if (slash or dot) and not directory:
        os.close(fd)
        raise InvalidError(f"{path!r} is not a directory")
    name = clean.rpartition(b"/")[2]
    return Source(fd, name, directory, content=dot or not name)


def destination(root: int, path: str, name: str, *, directory: bool, content: bool) -> tuple[int, bytes]:
    """Where a source goes that is copied to `path` under `root`: an open directory (O_PATH, the caller closes it) and
    the name it gets there, b"" for the content of a directory that goes into that directory itself.

    name, directory, content: of the source. Raises NotFoundError, InvalidError, HostError.
    """
    clean, slash, dot = _cleaned(path)
    try:
        fd = inroot.open_in(root, clean, os.O_PATH)
    except FileNotFoundError:
        return _missing(root, path, clean, slash=slash or dot, directory=directory)
    except OSError as error:
        raise _told(error, "copy to", path) from None
    kind = _KINDS.get(stat.S_IFMT(os.fstat(fd).st_mode), "")
    if kind == "directory":
        return fd, b"" if content else os.fsencode(name)
    os.close(fd)
    if not kind:
        raise InvalidError(f"{path!r} is neither a file nor a directory")
    if slash or dot:
        raise InvalidError(f"{path!r} is not a directory")
    if directory:
        raise InvalidError(f"cannot copy a directory onto the file {path!r}")
    try:
        return inroot.locate(root, clean)
    except OSError as error:
        raise _told(error, "copy to", path) from None


def directory(root: int, path: str) -> int:
    """The directory that a stream is unpacked in (O_PATH, the caller closes it). Raises NotFoundError, InvalidError."""
    try:
        return inroot.open_in(root, _cleaned(path)[0], os.O_PATH | os.O_DIRECTORY)
    except NotADirectoryError:
        raise InvalidError(f"{path!r} is not a directory, an archive can only be copied into one") from None
    except OSError as error:
        raise _told(error, "copy to", path) from None


def _missing(root: int, path: str, clean: bytes, *, slash: bool, directory: bool) -> tuple[int, bytes]:
    if slash and not directory:
        raise NotFoundError(f"the destination directory {path!r} does not exist")
    try:
        return inroot.locate(root, clean)
    except FileNotFoundError:
        above = os.fsdecode(clean.rpartition(b"/")[0])
        raise NotFoundError(f"the directory {above!r} does not exist, make it first") from None
    except OSError as error:
        raise _told(error, "copy to", path) from None


def _cleaned(path: str) -> tuple[bytes, bool, bool]:
    """The absolute path without `.`, `..` and doubled slashes; whether it ends with a slash, and whether with "/."."""
    if "\0" in path:
        raise InvalidError(f"a path cannot hold a zero byte: {path[:200]!r}")
    raw = os.fsencode(path)
    clean = b"/" + os.path.normpath(b"/" + raw).lstrip(b"/")
    last = raw.rpartition(b"/")[2]
    return clean, not last and bool(raw), last == b"."


def _told(error: OSError, doing: str, path: str) -> NotFoundError | InvalidError | HostError:
    if error.errno == errno.ENOENT:
        return NotFoundError(f"{path!r} does not exist")
    if error.errno == errno.ENOTDIR:
        return InvalidError(f"{path!r} leads through something that is not a directory")
    return HostError.of(doing, path, error)
