"""A tree copied with everything its files have, through descriptors: no link in it is ever followed."""

from __future__ import annotations

import errno
import os
import stat
import struct

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 24
_USER, _GROUP = 0x02, 0x08  # linux/posix_acl.h
_CAPS_V2, _CAPS_V3 = 0x02000000, 0x03000000  # linux/capability.h
_REVISION = 0xFF000000


def copy_tree(source: int, target: int, first: int = 0) -> None:
    """Make the empty directory `target` what the directory `source` is; both are open for reading.

    Kept are owners, modes, times, xattrs, holes, symbolic and hard links, devices, FIFOs and sockets. first: what is
    taken off every id, for a source that is seen through a user namespace's map. Nobody may change either tree
    meanwhile. Raises OSError; the caller removes what is there then. Grows with the number of files; memory with that
    of hard links and the depth.
    """
    links: dict[tuple[int, int], bytes] = {}
    # An explicit stack: an image may nest directories deeper than Python's recursion limit.
    stack = [(os.dup(source), os.dup(target), b"", os.listdir(os.fsencode(f"/proc/self/fd/{source}")))]
    try:
        while stack:
            here, there, path, names = stack[-1]
            if not names:
                copy_attributes(here, there, first)
                stack.pop()
                os.close(here)
                os.close(there)
                continue
            name = names.pop()
            info = os.stat(name, dir_fd=here, follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                os.mkdir(name, 0o700, dir_fd=there)
                below = os.open(name, _DIRECTORY, dir_fd=here)
                try:
                    entries = os.listdir(os.fsencode(f"/proc/self/fd/{below}"))
                    stack.append((below, os.open(name, _DIRECTORY, dir_fd=there), path + name + b"/", entries))
                except BaseException:
                    os.close(below)
                    raise
                continue
            if info.st_nlink > 1:
                known = links.setdefault((info.st_dev, info.st_ino), path + name)
                if known != path + name:
                    os.link(known, name, src_dir_fd=target, dst_dir_fd=there, follow_symlinks=False)
                    continue
            _copy_file(name, here, there, info, first)
    finally:
        for here, there, _, _ in stack:
            os.close(here)
            os.close(there)


def copy_attributes(source: int, target: int, first: int = 0) -> None:
    """Give the open file or directory `target` the owner, mode, xattrs and times of `source`."""
    info = os.fstat(source)
    os.chown(target, _id(info.st_uid, first), _id(info.st_gid, first))
    _copy_xattrs(source, target, first)
    # chown(2) clears setuid, so the mode comes after it.
    os.chmod(target, stat.S_IMODE(info.st_mode))
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def _copy_file(name: bytes, here: int, there: int, info: os.stat_result, first: int) -> None:
    if stat.S_ISREG(info.st_mode):
        source = os.open(name, _READ, dir_fd=here)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            target = os.open(name, flags, 0o600, dir_fd=there)
            try:
                _copy_content(source, target, info.st_size)
                copy_attributes(source, target, first)
            finally:
                os.close(target)
        finally:
            os.close(source)
        return
    if stat.S_ISLNK(info.st_mode):
        os.symlink(os.readlink(name, dir_fd=here), name, dir_fd=there)
    else:
        os.mknod(name, info.st_mode, info.st_rdev, dir_fd=there)
    os.chown(name, _id(info.st_uid, first), _id(info.st_gid, first), dir_fd=there, follow_symlinks=False)
    _copy_xattrs(_path(here, name), _path(there, name), first)
    if not stat.S_ISLNK(info.st_mode):
        os.chmod(name, stat.S_IMODE(info.st_mode), dir_fd=there)
    os.utime(name, ns=(info.st_atime_ns, info.st_mtime_ns), dir_fd=there, follow_symlinks=False)


def _copy_content(source: int, target: int, size: int) -> None:
    """The data between the holes (lseek(2)); the size comes last, for a hole at the end."""
    end = 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        end = os.lseek(source, start, os.SEEK_HOLE)
        os.lseek(source, start, os.SEEK_SET)
        os.lseek(target, start, os.SEEK_SET)
        left = end - start
        while left > 0:
            sent = os.sendfile(target, source, None, min(left, _CHUNK))
            if not sent:
                break
            left -= sent
    os.ftruncate(target, size)


def _copy_xattrs(source: int | bytes, target: int | bytes, first: int) -> None:
    follow = isinstance(source, int)  # a descriptor cannot be "not followed", and needs not
    for name in os.listxattr(source, follow_symlinks=follow):
        value = os.getxattr(source, name, follow_symlinks=follow)
        os.setxattr(target, name, _unmapped(name, value, first), follow_symlinks=follow)


def _unmapped(name: str, value: bytes, first: int) -> bytes:
    """An xattr that holds ids, with `first` taken off them (acl(5), capabilities(7) "Namespaced file capabilities")."""
    if not first:
        return value
    if name.startswith("system.posix_acl_"):
        entries = struct.iter_unpack("<HHI", value[4:])
        packed = (struct.pack("<HHI", t, p, _id(i, first) if t in (_USER, _GROUP) else i) for t, p, i in entries)
        return value[:4] + b"".join(packed)
    if name == "security.capability" and len(value) == 24:
        magic, *masks, owner = struct.unpack("<6I", value)
        if magic & _REVISION == _CAPS_V3 and owner == first:
            return struct.pack("<5I", magic & ~_REVISION | _CAPS_V2, *masks)
    return value


def _id(number: int, first: int) -> int:
    return number - first if number >= first else number


def _path(directory: int, name: bytes) -> bytes:
    return b"/proc/self/fd/%d/%b" % (directory, name)
