"""Writing one layer to disk. The archive is the enemy: see `tree` for how paths are kept inside."""

from __future__ import annotations

import errno
import os
import stat

from ...errors import CmanagerError, CorruptError, HostError, UnsupportedError
from .. import inroot
from . import tar, whiteouts
from .bounds import Bounds
from .decompress import check_media_type, pieces
from .stream import Stream
from .tar import Entry
from .tree import Tree
from .whiteouts import Style

_NAME_MAX, _PATH_MAX = 255, 4096
_ID_MAX = (1 << 32) - 2  # the highest number means "no change" to chown(2)
_XATTRS, _XATTR_BYTES = 128, 64 << 10
_ACL = (b"system.posix_acl_access", b"system.posix_acl_default")
_HEADROOM = 10  # one tenth of the free space stays free


def unpack(
    blob: str, media_type: str, diff_id: str, directory: str, style: Style, bounds: Bounds | None = None
) -> None:
    """Write the layer in the file `blob` into `directory`, which nobody else may use meanwhile.

    media_type: as in the manifest; diff_id: "sha256:…" of the uncompressed tar; directory: an existing one, empty for
    `Overlay`, holding the layers below for `Apply`. Owners, modes, times (ns), hard links, holes, devices, user xattrs,
    POSIX ACLs and file capabilities are kept; every other xattr, above all overlayfs' own and security labels, is
    left out. Nothing is synced.

    Raises CorruptError (damaged, a bomb, reaching outside, or not what `diff_id` says), UnsupportedError (compression,
    devices without root), HostError (with the entry, the directory and the errno). Then the content of `directory` is
    undefined and the caller removes it. Memory: some MiB, plus names of directories and for `Apply` a number per file.
    """
    check_media_type(media_type)
    bounds = bounds or Bounds()
    room = _room(directory)
    writer = None
    name = b""
    root = inroot.open_root(directory)
    try:
        writer = _Writer(Tree(root, bounds), style)
        with Stream(pieces(blob, bounds)) as stream:
            for entry in tar.entries(stream):
                name = entry.name
                if stream.position + entry.size > room and entry.segments is None:
                    raise OSError(errno.ENOSPC, "")
                writer.write(entry, stream)
            name = b""
            found = f"sha256:{stream.finish()}"
        if found != diff_id:
            raise CorruptError(f"its content is {found}")
        writer.finish()
    except CorruptError as error:
        raise CorruptError(
            f"layer {diff_id}{_entry(name)}: {error}; pull the image again from a source you trust"
        ) from None
    except UnsupportedError as error:
        raise UnsupportedError(f"layer {diff_id}{_entry(name)}: {error}") from None
    except CmanagerError:
        raise
    except OSError as error:
        raise HostError.of(f"unpack layer {diff_id}{_entry(name)} into", directory, error) from None
    finally:
        if writer is not None:
            writer.close()
        os.close(root)


def _entry(name: bytes) -> str:
    """An entry's name for a message: control characters and broken encodings are escaped."""
    return f", entry {name[:200].decode(errors='backslashreplace')!r}" if name else ""


def _room(directory: str) -> int:
    try:
        info = os.statvfs(directory)
    except OSError as error:
        raise HostError.of("look at the free space of", directory, error) from None
    free = info.f_bavail * info.f_frsize
    return free - free // _HEADROOM


class _Writer:
    """Makes what entries describe."""

    def __init__(self, tree: Tree, style: Style) -> None:
        self._tree = tree
        self._style = style
        self._makers = {
            tar.FILE: self._file,
            tar.HARDLINK: self._hardlink,
            tar.SYMLINK: self._symlink,
            tar.CHARACTER: self._special,
            tar.BLOCK_DEVICE: self._special,
            tar.FIFO: self._special,
        }
        tree.follower = style
        style.begin(tree)

    def close(self) -> None:
        """Close what is open in the tree."""
        self._tree.close()

    def finish(self) -> None:
        """What can only be done when every entry is there."""
        self._tree.finish()

    def write(self, entry: Entry, stream: Stream) -> None:
        """Make one entry; its data are read from `stream`."""
        self._tree.count()
        parts = components(entry.name)
        whiteout = whiteouts.read(parts) if b".wh." in entry.name else None
        name = parts.pop() if parts else b""
        path = b"/".join(parts)
        if whiteout:
            hidden, opaque = whiteout
            directory = self._tree.directory(path)
            if opaque:
                self._style.hide_children(directory)
            else:
                self._style.hide(directory, hidden)
            return
        if not 0 <= entry.uid <= _ID_MAX or not 0 <= entry.gid <= _ID_MAX:
            raise CorruptError(f"its owner {entry.uid}:{entry.gid} is outside 0 to {_ID_MAX}")
        if entry.kind == tar.DIRECTORY:
            self._directory(entry, path, name)
            return
        if not name:
            raise CorruptError("the root of a layer must be a directory")
        make = self._makers.get(entry.kind)
        if make is None:
            raise CorruptError(f"it has the unknown type {entry.kind!r}")
        try:
            make(entry, path, name, stream)
        except FileExistsError:
            self._tree.clear(path, name)
            make(entry, path, name, stream)
        self._style.added(self._tree.directory(path), name)

    def _file(self, entry: Entry, path: bytes, name: bytes, stream: Stream) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=self._tree.directory(path).fd)
        try:
            write_content(fd, entry, stream)
            _describe(fd, entry)
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _directory(self, entry: Entry, path: bytes, name: bytes) -> None:
        tree = self._tree
        above = tree.directory(path)
        if not name:
            fd = tree.reopen(b"")
            try:
                _undescribe(fd)
                _describe(fd, entry)
            finally:
                os.close(fd)
            tree.set_time(b"", entry.mtime)
            self._style.announced(above)
            return
        existed = replaced = False
        try:
            os.mkdir(name, 0o700, dir_fd=above.fd)
        except FileExistsError:
            existed = stat.S_ISDIR(os.stat(name, dir_fd=above.fd, follow_symlinks=False).st_mode)
            if not existed:
                tree.clear(path, name)
                above = tree.directory(path)
                os.mkdir(name, 0o700, dir_fd=above.fd)
                replaced = True
        self._style.added(above, name)
        made = tree.made(path + b"/" + name if path else name, above, name)
        if existed:
            _undescribe(made.fd)
        _describe(made.fd, entry)
        tree.set_time(made.path, entry.mtime)
        self._style.announced(made)
        if replaced:
            self._style.replaced(made)

    def _hardlink(self, entry: Entry, path: bytes, name: bytes, stream: Stream) -> None:
        parts = components(entry.link)
        target = parts.pop() if parts else b""
        # The order matters: a directory stays open while one other is opened after it, not longer.
        self._tree.directory(path)
        source = self._tree.existing(b"/".join(parts))
        directory = self._tree.directory(path)
        try:
            info = os.stat(target or b".", dir_fd=source.fd, follow_symlinks=False)
        except FileNotFoundError:
            raise CorruptError("its target is not in the layer") from None
        if stat.S_ISDIR(info.st_mode) or not self._style.linkable(info):
            raise CorruptError("its target is not a file of the layer")
        try:
            os.link(target, name, src_dir_fd=source.fd, dst_dir_fd=directory.fd, follow_symlinks=False)
        except FileExistsError:
            there = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
            if not os.path.samestat(there, info):
                raise

    def _symlink(self, entry: Entry, path: bytes, name: bytes, stream: Stream) -> None:
        if not entry.link or b"\0" in entry.link or len(entry.link) >= _PATH_MAX:
            raise CorruptError("its link target is empty or too long")
        fd = self._tree.directory(path).fd
        os.symlink(entry.link, name, dir_fd=fd)
        os.chown(name, entry.uid, entry.gid, dir_fd=fd, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=fd, follow_symlinks=False)

    def _special(self, entry: Entry, path: bytes, name: bytes, stream: Stream) -> None:
        kind = {tar.CHARACTER: stat.S_IFCHR, tar.BLOCK_DEVICE: stat.S_IFBLK}.get(entry.kind, stat.S_IFIFO)
        if kind == stat.S_IFCHR and not entry.major and not entry.minor:
            raise CorruptError("it is the character device 0:0, by which overlayfs hides files")
        if entry.major > 0xFFF or entry.minor > 0xFFFFF:
            raise CorruptError(f"there is no device {entry.major}:{entry.minor}")
        if kind != stat.S_IFIFO and os.geteuid():
            raise UnsupportedError("only root makes devices")
        fd = self._tree.directory(path).fd
        os.mknod(name, 0o600 | kind, os.makedev(entry.major, entry.minor), dir_fd=fd)
        os.chown(name, entry.uid, entry.gid, dir_fd=fd, follow_symlinks=False)
        os.chmod(name, entry.mode, dir_fd=fd)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=fd, follow_symlinks=False)


def components(name: bytes) -> list[bytes]:
    """The components of a name, taken from the root of the layer; CorruptError for what no layer needs."""
    if b"\0" in name or len(name) > _PATH_MAX:
        raise CorruptError(f"a name holds a zero byte or more than {_PATH_MAX} bytes")
    parts = [part for part in name.split(b"/") if part and part != b"."]
    for part in parts:
        if part == b"..":
            raise CorruptError("a name goes upwards")
        if len(part) > _NAME_MAX:
            raise CorruptError(f"a name has a component of more than {_NAME_MAX} bytes")
    return parts


def write_content(fd: int, entry: Entry, stream: Stream) -> None:
    """The data of a regular file, with its holes, into a new one."""
    if entry.segments is None:
        copy_data(stream, fd, entry.size)
        return
    for offset, length in entry.segments:
        os.lseek(fd, offset, os.SEEK_SET)
        copy_data(stream, fd, length)
    os.ftruncate(fd, entry.size)


def copy_data(stream: Stream, fd: int, size: int) -> None:
    """The next `size` bytes of a stream into a file."""
    for view in stream.views(size):
        while view:
            view = view[os.write(fd, view) :]


def _describe(fd: int, entry: Entry) -> None:
    """Owner, xattrs, mode: in this order, because chown(2) clears capabilities and setuid bits."""
    os.fchown(fd, entry.uid, entry.gid)
    if entry.xattrs:
        set_xattrs(fd, entry.xattrs)
    os.fchmod(fd, entry.mode)


def _undescribe(fd: int) -> None:
    """Drop the xattrs that a directory of the layers below has: an entry describes a directory whole."""
    try:
        for name in os.listxattr(fd):
            if keeps_xattr(os.fsencode(name)):
                os.removexattr(fd, name)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def set_xattrs(fd: int, xattrs: dict[bytes, bytes]) -> None:
    """Set those that are content; CorruptError for too many and for what the kernel refuses. Raises OSError."""
    if len(xattrs) > _XATTRS or max(map(len, xattrs.values())) > _XATTR_BYTES:
        raise CorruptError(f"it has more than {_XATTRS} xattrs or one of more than {_XATTR_BYTES} bytes")
    for name, value in xattrs.items():
        if not keeps_xattr(name):
            continue
        if b"\0" in name or len(name) > _NAME_MAX:
            raise CorruptError("it has an xattr with a bad name")
        try:
            os.setxattr(fd, name, value)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ERANGE, errno.E2BIG):
                raise CorruptError(f"its xattr {name[:80]!r} is refused by the kernel") from None
            # A file system without xattrs gives the file without them.
            if error.errno != errno.ENOTSUP:
                raise


def keeps_xattr(name: bytes) -> bool:
    """Whether this xattr is content of a file, and no instruction."""
    # Labels and overlayfs' private names would be instructions to this host's kernel, not content.
    if name.startswith(b"user."):
        return not name.startswith(b"user.overlay.")
    return name == b"security.capability" or name in _ACL
