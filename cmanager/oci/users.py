"""Who the container runs as: passwd(5) and group(5) of the image, read as untrusted files."""

from __future__ import annotations

import errno
import os

from ..errors import HostError, InvalidError
from ..linux import inroot
from ..linux.values import frozen

_FILE_LIMIT = 4 << 20
_MAX_ID = 2**31 - 1  # Docker's bound too: larger ids cannot be given to setuid(2) by a signed parser


@frozen
class User:
    """uid, gid: int; groups: supplementary gids; home: str, "/" when the image knows none."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def resolve(root: int, text: str, extra_groups: tuple[str, ...] = ()) -> User:
    """The user of `--user` or of the image: "", "name", "uid", "name:group", "uid:gid".

    root: the rootfs as an open directory. A number is a number even when a user has it as a name. Raises InvalidError
    for what does not exist or fit, HostError for a passwd file that is none.
    """
    name, colon, group = text.partition(":")
    if (text and not name) or (colon and not group):
        raise InvalidError(f"invalid user {text!r}, expected NAME|UID[:GROUP|GID]")
    passwd = _entries(root, "etc/passwd", 7)
    groups = _entries(root, "etc/group", 4)
    uid = _number(name, text) if name else 0
    if uid is None:
        entry = next((e for e in passwd if e[0] == name), None)
        if entry is None:
            raise InvalidError(f"user {name!r} is not in the image's /etc/passwd")
    else:
        entry = next((e for e in passwd if _id(e[2]) == uid), None)
    if entry is not None:
        uid = _id(entry[2])
    if uid is None:
        raise InvalidError(f"user {name!r} has no valid uid in the image's /etc/passwd")
    gid = _id(entry[3]) if entry else 0
    if group:
        gid = _group(groups, group, text)
    if gid is None:
        raise InvalidError(f"user {name!r} has no valid gid in the image's /etc/passwd")
    found: list[int] = []
    if entry and not group:
        found = [g for e in groups if entry[0] in e[3].split(",") and (g := _id(e[2])) is not None]
    found += [_group(groups, extra, extra) for extra in extra_groups]
    supplementary = tuple(dict.fromkeys(found)) or (gid,)
    home = entry[5] if entry and entry[5].startswith("/") else "/"
    return User(uid, gid, supplementary, home)


def _group(groups: list[list[str]], name: str, text: str) -> int:
    number = _number(name, text)
    if number is not None:
        return number
    entry = next((e for e in groups if e[0] == name), None)
    gid = _id(entry[2]) if entry else None
    if gid is None:
        raise InvalidError(f"group {name!r} is not in the image's /etc/group")
    return gid


def _number(word: str, text: str) -> int | None:
    if not (word.isascii() and word.isdigit()):
        return None
    value = int(word)
    if value > _MAX_ID:
        raise InvalidError(f"invalid user {text!r}, ids are 0 to {_MAX_ID}")
    return value


def _id(word: str) -> int | None:
    value = int(word) if word.isascii() and word.isdigit() and len(word) < 12 else -1
    return value if 0 <= value <= _MAX_ID else None


def _entries(root: int, path: str, width: int) -> list[list[str]]:
    try:
        content = inroot.read_regular(root, path, _FILE_LIMIT)
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            return []
        raise HostError.of("read the image's file", "/" + path, error) from None
    lines = (line.split(":") for line in os.fsdecode(content).split("\n"))
    return [line for line in lines if len(line) >= width]
