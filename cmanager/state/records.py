"""Records as files: JSON with a schema version, read and written whole."""

from __future__ import annotations

import json
import os
from typing import Any, TypeVar

from ..errors import CorruptError, HostError, NotFoundError
from ..linux import files
from ..model.codec import from_data, to_data

T = TypeVar("T")
SCHEMA = 1
_LIMIT = 4 << 20
#: Bytes of nearly every record.
_MOST = 1 << 14


def write(path: str, value: Any, *, durable: bool) -> None:
    """Replace a record. Raises HostError."""
    content = json.dumps({"schema": SCHEMA, **to_data(value, brief=True)}, separators=(",", ":")).encode()
    try:
        files.write_atomic(path, content, durable=durable)
    except OSError as error:
        raise HostError.of("write", path, error) from None


def read(path: str, kind: type[T], remedy: str) -> T:
    """A record of class `kind`. remedy: the command that removes a corrupt one.

    Raises NotFoundError, CorruptError, HostError.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFoundError(f"no record {path}") from None
    except OSError as error:
        raise HostError.of("read", path, error) from None
    try:
        data = json.loads(_content(fd).decode())
        schema = data.pop("schema", None) if isinstance(data, dict) else None
    except (ValueError, RecursionError, OSError) as error:
        raise CorruptError(f"{path} is corrupt: {str(error).lower()}, `{remedy}` removes it") from None
    finally:
        os.close(fd)
    if schema != SCHEMA:
        raise CorruptError(f"{path} has schema {schema!r}, this cmanager reads {SCHEMA}")
    try:
        return from_data(kind, data)
    except CorruptError as error:
        raise CorruptError(f"{path} is corrupt: {error}, `{remedy}` removes it") from None


def _content(fd: int) -> bytes:
    """All of a file, up to the limit: most are read by one read(2), whose size needs no fstat(2)."""
    content = os.read(fd, _MOST)
    if len(content) == _MOST:
        while len(content) < _LIMIT and (more := os.read(fd, _LIMIT - len(content))):
            content += more
    return content


def names(path: str) -> list[str]:
    """What is in a directory; nothing where there is none."""
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def directory(path: str) -> None:
    """Make a directory of ours below one that is there; one that is there is success. Raises HostError."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except OSError as error:
        raise HostError.of("make directory", path, error) from None
