"""From the engine's process to the supervisor's.

A sealed, single-threaded process (the command line) forks it, which costs a millisecond. Any other caller executes a
sealed interpreter that reads the same `Launch` from a memory file: a program with threads must not be forked, and one
that is not sealed must not become a container.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

from attrs import frozen

from ..errors import CmanagerError, CommandError, HostError
from ..linux import cgroups, seal, syscalls
from ..linux.mounts import Mount
from ..linux.process import Process, single_threaded
from ..model.codec import from_data, to_data
from ..model.container import Container
from ..model.image import ImageConfig
from ..model.volume import Volume
from ..plugins import Plugins, load_config
from ..state import Paths
from .steps import Observe

#: The answer to a step that may go on; any other is why it fails.
GO = b"\0"


@frozen
class Launch:
    """Everything the supervisor needs, as plain data.

    config: path of the configuration file, "" for the usual search; rootfs: the storage provider's mounts; namespaces:
    kind to path; hosts: path of the hosts file; ipc_owner: first process of the container whose ipc is shared;
    observed: whether the starter wants to hear of every step; volumes: those of the container's request, in its order.
    In a pod, resolver: path of its resolv.conf; shm: path of its /dev/shm; "" where those are not shared.
    """

    paths: Paths
    config: str
    container: Container
    image: ImageConfig
    rootfs: tuple[Mount, ...]
    namespaces: dict[str, str]
    hosts: str
    ipc_owner: Process | None = None
    observed: bool = False
    volumes: tuple[Volume, ...] = ()
    resolver: str = ""
    shm: str = ""


@frozen
class ExecLaunch:
    """One more program for a running container. process: the OCI process object; config: as in `Launch`."""

    paths: Paths
    config: str
    container: Container
    process: dict[str, Any]
    interactive: bool


def start(
    launch: Launch | ExecLaunch, plugins: Plugins, client: socket.socket | None, lock: int, observe: Observe
) -> None:
    """Start the supervisor and return when the program runs.

    plugins: the caller's, which a forked supervisor goes on using. client: the supervisor's end of an attach channel,
    or None; it is closed here. lock: descriptor of the container's lock, which the supervisor shares until then, or -1.
    observe: called around the supervisor's steps where `launch.observed`; what it raises fails the step.
    Raises what went wrong, with the exit code it stands for.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        middle = 0
        if seal.sealed() and single_threaded():
            middle = _fork(launch, plugins, theirs, client, lock)
        else:
            _execute(launch, theirs, client, lock)
    except OSError as error:
        raise HostError.of("start a supervisor for", launch.container.id[:12], error) from None
    finally:
        theirs.close()
        if client:
            client.close()
    try:
        report = _report(ours, observe)
    finally:
        ours.close()
        if middle:
            os.waitpid(middle, 0)
    if report is None:
        raise CmanagerError(f"the supervisor of {launch.container.id[:12]} died while starting, see the kernel log")
    if report.get("error"):
        code = report["code"]
        raise CommandError(report["error"], code) if code in (126, 127) else CmanagerError(report["error"])


def _report(channel: socket.socket, observe: Observe) -> dict[str, Any] | None:
    """The supervisor's last word, None when it died without one; each step on the way there waits for an answer."""
    while answer := channel.recv(1 << 16):
        report: dict[str, Any] = json.loads(answer)
        if "step" not in report:
            return report
        try:
            observe(*report["step"])
            channel.send(GO)
        except Exception as error:
            channel.send(str(error).encode())
    return None


def _fork(
    launch: Launch | ExecLaunch, plugins: Plugins, report: socket.socket, client: socket.socket | None, lock: int
) -> int:
    """Returns the pid of a child that is about to end, which the caller waits for."""
    # Before the fork: whoever starts more than one loads them once.
    from . import execution, process

    # Twice, so that the caller gets no child it does not know of.
    middle = os.fork()
    if middle:
        return middle
    try:
        if os.fork() == 0:
            if isinstance(launch, Launch):
                process.supervise(launch, plugins, report, client, lock)
            execution.supervise(launch, plugins, report, client)
        for fd in (report.detach(), client.detach() if client else -1, lock):
            if fd >= 0:
                os.close(fd)
        cgroups.hasten(launch.container.status.cgroup)
    finally:
        os._exit(0)


def _execute(launch: Launch | ExecLaunch, report: socket.socket, client: socket.socket | None, lock: int) -> None:
    data = os.memfd_create("launch")
    executable = seal.interpreter()
    try:
        os.write(data, json.dumps(to_data(launch)).encode())
        os.lseek(data, 0, os.SEEK_SET)
        passed = {"launch": data, "report": report.fileno(), "client": client.fileno() if client else -1, "lock": lock}
        import subprocess

        arguments = seal.command(
            "cmanager.supervisor.launch:executed", [type(launch).__name__, *map(str, passed.values())]
        )
        fds = [fd for fd in (*passed.values(), executable) if fd >= 0]
        subprocess.run(
            arguments,
            executable=f"/proc/self/fd/{executable}",
            pass_fds=fds,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    except subprocess.CalledProcessError as error:
        raise OSError(5, f"exit code {error.returncode}") from None
    finally:
        os.close(data)
        os.close(executable)


def executed() -> None:
    """The other side of `_execute`: read the launch and become the supervisor, twice forked."""
    kinds: dict[str, type[Launch] | type[ExecLaunch]] = {"Launch": Launch, "ExecLaunch": ExecLaunch}
    data, report, client, lock = map(int, sys.argv[2:])
    with os.fdopen(data) as file:
        launch: Launch | ExecLaunch = from_data(kinds[sys.argv[1]], json.load(file))
    for fd in (report, client, lock):
        if fd >= 0:
            os.set_inheritable(fd, False)
    syscalls.close_range(max(report, client, lock) + 1)
    kind = (socket.AF_UNIX, socket.SOCK_SEQPACKET, 0)
    plugins = Plugins(load_config(launch.config or None), launch.paths.root, launch.paths.run_root)
    attached = socket.socket(*kind, client) if client >= 0 else None
    os.waitpid(_fork(launch, plugins, socket.socket(*kind, report), attached, lock), 0)
