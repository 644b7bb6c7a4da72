"""One more program in a running container, through lxc-attach(1)."""

from __future__ import annotations

import fcntl
import os
import pty
import termios
from typing import Any

from cmanager.errors import CommandError, HostError, NotFoundError, UnsupportedError
from cmanager.linux import capabilities, cgroups, executable, mounts, programs, syscalls, terminals
from cmanager.linux.executable import Identity
from cmanager.linux.process import Process
from cmanager.model import Bundle, Stdio
from cmanager.model import bundle as bundles

from . import plan, probing, tree
from .place import Place

_SHELL = "/bin/sh"
#: lxc-attach knows no working directory: a shell goes there, and becomes the program.
_GO = 'cd -- "$0" && exec "$@"'


def start(bundle: Bundle, place: Place, init: Process, process: dict[str, Any], stdio: Stdio) -> int:
    """Run a process object's program where `init` lives; returns the pid of lxc-attach, a child of the caller.

    Raises CommandError, UnsupportedError, NotFoundError when the container is gone, HostError; then no process is left.
    """
    config = bundles.read(bundle.path)
    bundles.check_process(process)
    words = [probing.find("lxc-attach"), *_words(place, config["process"], process), "--"]
    who = bundles.identity(process)
    if not init.alive():
        raise NotFoundError(f"process {init.pid} of the container is gone")
    root = f"/proc/{init.pid}/root"
    _check(root, process["args"][0], who)
    if who.cwd.rstrip("/"):
        _check_shell(root, who)
        words += [_SHELL, "-c", _GO, who.cwd]
    words += process["args"]
    cgroup = config.get("linux", {}).get("cgroupsPath", "")
    umask = process.get("user", {}).get("umask", 0o022)
    return _started(words, init, cgroup, umask, bool(process.get("terminal")), stdio)


def _words(place: Place, first: dict[str, Any], process: dict[str, Any]) -> list[str]:
    """Arguments of lxc-attach before the command. first: the process object of the container's own program."""
    plan.refuse_capabilities(process)
    who = bundles.identity(process)
    # Those of the container's own user are left out, as the features say; others somebody has asked for.
    if set(who.groups) - {who.gid} and who.groups != bundles.identity(first).groups:
        raise UnsupportedError("runtime lxc cannot give supplementary groups to exec, use --user UID:GID")
    if process.get("rlimits", []) != first.get("rlimits", []):
        raise UnsupportedError("runtime lxc cannot give exec other resource limits than the container's")
    if bool(process.get("noNewPrivileges")) < bool(first.get("noNewPrivileges")):
        raise UnsupportedError("runtime lxc cannot give exec new privileges where the container has none")
    # Into the cgroup it goes on its own.
    elevated = "CGROUP" if _bounding(process) == _bounding(first) else "CGROUP|CAP"
    if elevated != "CGROUP" and _bounding(process) != capabilities.of_process()["CapBnd"]:
        raise UnsupportedError("runtime lxc can give exec the container's capabilities or all, no others")
    words = ["-n", place.id, "-P", place.above, "-f", place.attach_config, "-o", place.log, "-q"]
    words += [f"--elevated-privileges={elevated}", "--clear-env", "-u", str(who.uid), "-g", str(who.gid)]
    for entry in process.get("env", ()):
        words += ["-v", entry]
    return words


def _bounding(process: dict[str, Any]) -> int:
    return capabilities.mask(process.get("capabilities", {}).get("bounding", ()))


def _check(root: str, name: str, who: Identity) -> None:
    executable.check(root, (), name, who)


def _check_shell(root: str, who: Identity) -> None:
    try:
        executable.check(root, (), _SHELL, who)
    except CommandError:
        raise UnsupportedError(
            f"runtime lxc needs {_SHELL} in the container for exec in {who.cwd}, use --workdir /"
        ) from None


def _started(words: list[str], init: Process, cgroup: str, umask: int, terminal: bool, stdio: Stdio) -> int:
    peer = -1
    if terminal:
        master, peer = pty.openpty()
        terminals.send(stdio.console, master)
    three = (peer, peer, peer) if terminal else stdio.streams

    def prepare() -> None:
        if terminal:
            # lxc-attach makes a second one inside, and hears of a new size only in front of this one.
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            _see_terminals(init)
        cgroups.join_all(cgroup)
        _enter_cgroup_namespace(init)
        os.umask(umask)

    try:
        held = programs.Held(words, three, prepare=prepare)
        try:
            held.release()
        except OSError as error:
            raise HostError.of("execute", words[0], error) from None
        return held.pid
    finally:
        if peer >= 0:
            os.close(peer)


def _see_terminals(init: Process) -> None:
    """Let lxc-attach make its terminal in the container's devpts."""
    try:
        devpts = mounts.of_process(init, "/dev/pts")
        mounts.make_private_namespace()
        tree.see_terminals(devpts)
    except OSError as error:
        raise HostError.of("see the terminals of process", str(init.pid), error) from None


def _enter_cgroup_namespace(init: Process) -> None:
    """lxc-attach enters those that lxc-execute has made or joined, and it was in this one already."""
    path = f"/proc/{init.pid}/ns/cgroup"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        syscalls.setns(fd, syscalls.CLONE_NEWCGROUP)
        os.close(fd)
    except OSError as error:
        raise HostError.of("enter", path, error) from None
