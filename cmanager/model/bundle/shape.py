"""The shape of config.json (runtime-spec config.md, config-linux.md): types and ranges of what the runtimes use.

Checked before anything is made, so that whoever carries it out only meets values that the kernel can be given.
"""

from __future__ import annotations

from typing import Any

from ...errors import InvalidError
from ...linux.values import frozen


@frozen
class Number:
    """A whole number from `low` to `high`."""

    low: int
    high: int


@frozen
class Table:
    """An object whose keys are free, each with a value of one shape."""

    value: Any


_ID = Number(0, 2**32 - 2)  # the last one means "unchanged" (setresuid(2))
_U32, _U64 = Number(0, 2**32 - 1), Number(0, 2**64 - 1)
_HOOK = {"path": str, "args": [str], "env": [str], "timeout": Number(1, 2**31 - 1)}
_MAP = {"containerID": _U32, "hostID": _U32, "size": _U32}

#: `str`, `bool`, Number, Table, `[shape]` for a list, a dict for an object; a key that is not named may hold anything.
CONFIG: dict[str, Any] = {
    "process": {
        "terminal": bool,
        "user": {"uid": _ID, "gid": _ID, "umask": Number(0, 0o7777), "additionalGids": [_ID]},
        "args": [str],
        "env": [str],
        "cwd": str,
        "capabilities": {key: [str] for key in ("bounding", "permitted", "effective", "inheritable", "ambient")},
        "rlimits": [{"type": str, "soft": _U64, "hard": _U64}],
        "noNewPrivileges": bool,
    },
    "root": {"path": str, "readonly": bool},
    "hostname": str,
    "domainname": str,
    "mounts": [{"type": str, "source": str, "destination": str, "options": [str]}],
    "annotations": Table(str),
    "hooks": Table([_HOOK]),
    "linux": {
        "namespaces": [{"type": str, "path": str}],
        "uidMappings": [_MAP],
        "gidMappings": [_MAP],
        "rootfsPropagation": str,
        "cgroupsPath": str,
        "devices": [
            {
                "path": str,
                "type": str,
                "major": Number(-1, 2**31 - 1),
                "minor": Number(-1, 2**31 - 1),
                "fileMode": _U32,
                "uid": _ID,
                "gid": _ID,
            }
        ],
        "sysctl": Table(str),
        "readonlyPaths": [str],
        "maskedPaths": [str],
        "seccomp": {},  # a long one, see SECCOMP
    },
}

#: `linux.seccomp`, checked only where it is used: see `sense.check_filter`.
SECCOMP: dict[str, Any] = {
    "defaultAction": str,
    "defaultErrnoRet": _U32,
    "architectures": [str],
    "listenerPath": str,
    "syscalls": [
        {
            "names": [str],
            "action": str,
            "errnoRet": _U32,
            "args": [{"index": Number(0, 5), "value": _U64, "valueTwo": _U64, "op": str}],
        }
    ],
}


def check(value: Any, shape: Any = CONFIG, where: str = "") -> None:
    """InvalidError that names the field when `value` does not have this shape; a null is as good as nothing there."""
    if value is None and where:
        return
    if isinstance(shape, Number):
        if type(value) is not int or not shape.low <= value <= shape.high:
            raise _wrong(where, f"a number from {shape.low} to {shape.high}", value)
    elif shape is bool:
        if type(value) is not bool:
            raise _wrong(where, "true or false", value)
    elif shape is str:
        if not isinstance(value, str) or not _is_text(value):
            raise _wrong(where, "text without null bytes", value)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise _wrong(where, "a list", value)
        for number, item in enumerate(value):
            if item is None:
                raise _wrong(f"{where}[{number}]", "something", item)
            check(item, shape[0], f"{where}[{number}]")
    elif not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    elif isinstance(shape, Table):
        for key, item in value.items():
            check(key, str, f"{where}: key")
            check(item, shape.value, f"{where}.{key}")
    else:
        for key in shape.keys() & value.keys():
            check(value[key], shape[key], f"{where}.{key}".lstrip("."))


def _is_text(value: str) -> bool:
    try:
        # As names of files are encoded: bytes that are no UTF-8 are lone surrogates here (PEP 383).
        return b"\0" not in value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False


def _wrong(where: str, expected: str, value: Any) -> InvalidError:
    return InvalidError(f"{where or 'the document'}: expected {expected}, not {ascii(value)[:100]}")
