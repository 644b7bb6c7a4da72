"""`--device HOST[:CONTAINER[:rwm]]`: nodes for the container, and the rules that let it use them."""

from __future__ import annotations

import os
import re
import stat

from ..errors import HostError, InvalidError
from ..linux.values import frozen
from ..model.limits import DeviceRule

_ACCESS = re.compile(r"r?w?m?")


@frozen
class Device:
    """A device node. path: inside the container; type: "b" or "c"; major, minor, mode, uid, gid: int; access: "rwm"."""

    path: str
    type: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int
    access: str

    @property
    def rule(self) -> DeviceRule:
        """The rule that allows it."""
        return DeviceRule(True, self.type, self.major, self.minor, self.access)


def parse(text: str) -> tuple[Device, ...]:
    """One `--device` value; a directory stands for every device below it. InvalidError when it is none."""
    source, *rest = text.split(":")
    target = rest.pop(0) if rest and rest[0].startswith("/") else source
    access = rest.pop(0) if rest else "rwm"
    if rest or not access or not _ACCESS.fullmatch(access) or not source.startswith("/") or ".." in target.split("/"):
        raise InvalidError(f"invalid device {text!r}, expected HOST_PATH[:CONTAINER_PATH[:rwm]]")
    try:
        info = os.stat(source)
        if stat.S_ISDIR(info.st_mode):
            found = []
            for entry in sorted(os.listdir(source)):
                path = f"{source}/{entry}"
                if (mode := os.stat(path).st_mode) and (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)):
                    found.append(_device(os.stat(path), f"{target}/{entry}", access))
            return tuple(found)
    except OSError as error:
        raise HostError.of("use device", source, error) from None
    if not (stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode)):
        raise InvalidError(f"{source} is not a device")
    return (_device(info, target, access),)


def host_devices() -> tuple[Device, ...]:
    """Every device node in the host's /dev but its terminals, for `--privileged`."""
    found = []
    for directory, names, files in os.walk("/dev"):
        if directory == "/dev":
            names[:] = [n for n in names if n not in ("pts", "shm", "mqueue", "hugepages", "fd")]
        for name in files:
            path = f"{directory}/{name}"
            info = os.lstat(path)
            if (stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode)) and name not in ("console", "ptmx"):
                found.append(_device(info, path, "rwm"))
    return tuple(sorted(found, key=lambda device: device.path))


def _device(info: os.stat_result, path: str, access: str) -> Device:
    kind = "c" if stat.S_ISCHR(info.st_mode) else "b"
    rdev = info.st_rdev
    mode = stat.S_IMODE(info.st_mode)
    return Device(path, kind, os.major(rdev), os.minor(rdev), mode, info.st_uid, info.st_gid, access)
