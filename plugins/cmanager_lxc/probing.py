"""What the installed lxc can do: asked of its own programs, and kept for each file, since asking costs processes."""

from __future__ import annotations

import os
import re

from cmanager.errors import HostError, UnsupportedError
from cmanager.linux import programs, syscalls
from cmanager.model import Features
from cmanager.model.codec import from_data, to_data

from .place import Place

_TRIED = "5."
#: What LXC has a word for, or needs none for since it is made before lxc begins; without hooks, whose moments it does
#: not have, user namespaces, whose root cannot walk to a bundle, and an exact environment: it adds a variable.
_OPTIONS = (
    *("init", "capabilities", "no_new_privileges", "rlimits", "sysctl", "masked_paths", "devices", "user", "network"),
    *("terminal", "umask", "cgroup_mount"),
)
_KINDS = ("mount", "pid", "ipc", "uts", "network", "cgroup")
#: Every key that a configuration of ours may hold: a program that does not know one cannot do what we announce.
_KEYS = (
    *("lxc.rootfs.path = dir:/", "lxc.rootfs.mount = /", "lxc.autodev = 0", "lxc.tty.max = 0", "lxc.pty.max = 0"),
    *("lxc.console.path = none", "lxc.apparmor.profile = unconfined", "lxc.namespace.clone = mnt pid ipc uts cgroup"),
    *("lxc.namespace.share.net = /proc/self/ns/net", "lxc.uts.name = box", "lxc.init.uid = 0", "lxc.init.gid = 0"),
    *("lxc.init.groups = 1,2", "lxc.init.cwd = /", "lxc.cap.keep = none", "lxc.no_new_privs = 1"),
    *("lxc.prlimit.core = 0:0", "lxc.environment = A=", "lxc.seccomp.profile = /", "lxc.seccomp.allow_nesting = 1"),
    "lxc.mount.entry = proc proc proc defaults 0 0",
)
_NOTES = (
    "PID 1 is lxc's init, the command is process 2",
    "the variable container=lxc is set for the program",
    "exec gives no supplementary groups nor new privileges, and needs a shell for a working directory but /",
    "the host's cgroup namespace can be had with --network host alone",
)


def find(name: str) -> str:
    """The path of a program of lxc's; UnsupportedError without it."""
    try:
        return programs.find(name)
    except FileNotFoundError:
        raise UnsupportedError(f"runtime lxc needs the program {name}, install lxc (Debian: lxc)") from None


def probed(state: str, place: Place) -> Features:
    """The features of the programs, from a file in `state` when they were asked before. Raises UnsupportedError.

    place: where one of no container may lie for a moment.
    """
    execute, attach = find("lxc-execute"), find("lxc-attach")
    # What is made of the answers counts too: those that another version of this file kept are not used.
    also = [os.uname().release, [*_OPTIONS, *_KINDS, *_NOTES, *_KEYS]]
    try:
        answer = programs.remembered(
            f"{state}/features.json", [execute, attach], also, lambda: to_data(_ask(execute, attach, place))
        )
    except OSError as error:
        raise HostError.of("ask what it can do of", execute, error) from None
    return from_data(Features, answer)


def _ask(execute: str, attach: str, place: Place) -> Features:
    version = programs.run([execute, "--version"]).out.strip()
    unknown = _unknown_key(attach, place)
    if unknown:
        raise UnsupportedError(f"runtime lxc: {execute} {version} does not know {unknown!r}, 5.0 and later do")
    # The loader's own trace (ld.so(8)): nothing of the program is executed.
    linked = programs.run([execute], env={"PATH": programs.SYSTEM_PATH, "LD_TRACE_LOADED_OBJECTS": "1"}).out
    options = (*_OPTIONS, "seccomp") if "libseccomp" in linked else _OPTIONS
    warnings = (
        () if version.startswith(_TRIED) else (f"runtime lxc was tried with lxc {_TRIED}x, and this is {version}",)
    )
    kinds = tuple(kind for kind in _KINDS if os.path.exists(f"/proc/self/ns/{syscalls.NAMESPACES[kind][1]}"))
    return Features(kinds, options, version=version, notes=_NOTES, warnings=warnings)


def _unknown_key(attach: str, place: Place) -> str:
    """The first line of `_KEYS` that the parser does not take; a container that there is not is asked for."""
    place.make()
    try:
        with open(place.config, "w", encoding="ascii") as file:
            file.write("\n".join(_KEYS) + "\n")
        words = [attach, "-n", place.id, "-P", place.above, "-f", place.config, "-o", place.log, "-q", "--", "true"]
        programs.run(words)
        found = re.search(r'Failed to parse config file .* at line "(.*)"', place.said())
        return found[1] if found else ""
    finally:
        place.remove()
