"""Reading and writing cgroupfs, with the file in every error."""

from __future__ import annotations

import os
import re

from ...errors import HostError

#: What stands in a line of a device that has none.
_UNSET = {"io.max": "rbps=max wbps=max riops=max wiops=max"}


def read(path: str) -> str:
    """The content without its last newline; raises HostError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = b""
            while chunk := os.read(fd, 65536):  # of cgroup.procs, a page at a time
                found += chunk
            return found.decode("ascii", "replace").rstrip("\n")
        finally:
            os.close(fd)
    except OSError as error:
        raise HostError.of("read", path, error) from None


def read_or(path: str, default: str) -> str:
    """The same, `default` when it cannot be read: the cgroup is gone, or this kernel has no such file."""
    try:
        return read(path)
    except HostError:
        return default


def write(path: str, value: str) -> None:
    """One write(2), which is how the kernel takes it; raises HostError naming the value."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode("ascii"))
        finally:
            os.close(fd)
    except OSError as error:
        raise HostError.of(f"write {value!r} to", path, error) from None


def previous(path: str, value: str) -> str:
    """What to write to have a file as it is now back after `value` was written; raises HostError.

    A file with a line for each device changes in the line that `value` begins with, others change as a whole.
    """
    text, name = read(path), os.path.basename(path)
    device = re.match(r"\d+:\d+ ", value)
    if device:
        line = next((line for line in text.splitlines() if line.startswith(device[0])), "")
        return line or device[0] + _UNSET.get(name, "0" if ".throttle." in name else "default")
    if name == "memory.oom_control":
        return str(flat(text).get("oom_kill_disable", 0))
    # Nothing at all is not taken for a write; a line end is, as an empty value (cgroup-v2.rst, cpuset.cpus).
    return text.partition("\n")[0] or "\n"


def mkdir(path: str) -> None:
    """A new cgroup; FileExistsError, or HostError."""
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        raise
    except OSError as error:
        raise HostError.of("make cgroup", path, error) from None


def number(text: str) -> int | None:
    """A counter, None when it is none."""
    return int(text) if text.isdigit() else None


def flat(text: str) -> dict[str, int]:
    """A flat-keyed file, "key value" a line."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
