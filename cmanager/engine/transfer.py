"""The two ends of a copy: one packs what it has into a pipe, the other unpacks it where it goes.

`give` is the host's end; `send`, `take` and `export` are the container's, called in the process that has its root.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import attrs

from ..errors import CmanagerError, HostError, InvalidError
from ..linux.layers import decompress
from ..linux.layers.extract import Extractor, Rules
from ..linux.layers.pack import Packer
from ..linux.layers.stream import Direct
from ..linux.layers.tar import Entry
from ..linux.layers.write import Writer
from ..linux.values import frozen
from . import placing
from .inside import Root


@frozen
class Copied:
    """What `cp` did. size: bytes in files; left_out: devices, sockets and files of the kernel that were not copied."""

    size: int
    left_out: int


def give(found: placing.Source, write: int) -> CmanagerError | None:
    """Pack a file of the host's; the error when it cannot be read, None also when the other end has left."""
    writer = Writer(write)
    try:
        Packer(writer).tree(found.fd, _entry_name(found))
        writer.finish()
    except BrokenPipeError:
        return None
    except CmanagerError as error:
        return error
    except OSError as error:
        return HostError.of("read", os.fsdecode(found.name), error)
    return None


def send(root: Root, path: str, out: int, *, follow: bool, owners: bool, header: bool) -> dict[str, Any]:
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


def export(root: Root, out: int) -> dict[str, Any]:
    """In the child: pack everything."""
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


def take(root: Root, read: int, path: str, found: placing.Source | None, *, archive: bool) -> dict[str, Any]:
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
    extractor = Extractor(directory, Rules(owner(root.inward, own=own, keep=archive), archive, root.alive))
    stream = Direct(pieces)
    extractor.run(stream, base, rename=found is not None and not found.content)
    # A program that writes into our stdin must not die of a closed pipe because it pads its archive.
    stream.finish()
    return attrs.asdict(Copied(extractor.size, extractor.left_out))


def _nobody(number: int) -> int:
    return 0


def owner(mapped: Callable[[int], int], *, own: tuple[int, int], keep: bool) -> Callable[[Entry], tuple[int, int]]:
    """The rule for owners: that of the entry, mapped, or `own`."""
    return lambda entry: (mapped(entry.uid), mapped(entry.gid)) if keep else own


def _entry_name(found: placing.Source) -> bytes:
    return b"." if found.content else found.name
