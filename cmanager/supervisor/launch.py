"""From the engine's process to the supervisor's.

A sealed, single-threaded process (the command line) forks it, which costs a millisecond. Any other has it forked by a
starter beside it, which is given the same `Launch` (starter.py).
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

from ..errors import CmanagerError, CommandError, HostError
from ..linux import seal
from ..linux.mounts import Mount
from ..linux.process import Process, single_threaded
from ..linux.values import frozen
from ..model.container import Container
from ..model.image import ImageConfig
from ..model.volume import Volume
from ..plugins import Plugins
from ..state import Paths
from .steps import Observe

if TYPE_CHECKING:
    from .slots import Berth

#: The answer to a step that may go on; any other is why it fails.
GO = b"\0"


@frozen
class Launch:
    """Everything the supervisor needs, as plain data.

    config: path of the configuration file, "" for the usual search; rootfs: the storage provider's mounts; namespaces:
    kind to path; hosts: path of the hosts file; ipc_owner: first process of the container whose ipc is shared;
    observed: whether the starter wants to hear of every step, which waits for it; timed: whether it wants to hear
    afterwards when they began and ended; volumes: those of the container's request, in its order.
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
    timed: bool = False
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
    launch: Launch | ExecLaunch,
    plugins: Plugins,
    client: socket.socket | None,
    lock: int,
    observe: Observe,
    berth: Berth | None = None,
) -> None:
    """Start the supervisor and return when the program runs.

    plugins: the caller's, which a forked supervisor goes on using. client: the supervisor's end of an attach channel,
    or None; it is closed here. lock: descriptor of the container's lock, which the supervisor shares until then, or -1.
    observe: called around the supervisor's steps where `launch.observed`; what it raises fails the step. Where
    `launch.timed` it is called when all of them are over. berth: where a supervisor waits for this container.
    Raises what went wrong, with the exit code it stands for.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        if not (berth and isinstance(launch, Launch) and _moored(berth, launch, theirs, client, lock)):
            _have_forked(launch, plugins, theirs, client, lock)
    except OSError as error:
        raise HostError.of("start a supervisor for", launch.container.id[:12], error) from None
    finally:
        theirs.close()
        if client:
            client.close()
    with ours:
        report = _report(ours, observe)
    if report is None:
        raise CmanagerError(f"the supervisor of {launch.container.id[:12]} died while starting, see the kernel log")
    for mark in report.get("marks", ()):
        observe(*mark)
    if report.get("error"):
        code = report["code"]
        raise CommandError(report["error"], code) if code in (126, 127) else CmanagerError(report["error"])


def _moored(berth: Berth, launch: Launch, report: socket.socket, client: socket.socket | None, lock: int) -> bool:
    """Whether the supervisor that waits there has the container; it may have been killed."""
    try:
        berth.launch(launch, report, client, lock)
    except OSError:
        return False
    return True


def _have_forked(
    launch: Launch | ExecLaunch, plugins: Plugins, report: socket.socket, client: socket.socket | None, lock: int
) -> None:
    if seal.sealed() and single_threaded():
        fork(launch, plugins, report, client, lock)
    else:
        from . import starter

        starter.start(launch, report, client, lock)


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


def fork(
    launch: Launch | ExecLaunch, plugins: Plugins, report: socket.socket, client: socket.socket | None, lock: int
) -> None:
    """Fork the supervisor. Only a sealed process with one thread may do this; the descriptors stay the caller's.

    It is the caller's child, whom nobody waits for: a caller that lives long ignores SIGCHLD.
    """
    # Before the fork: whoever starts more than one loads them once.
    from . import execution, process

    if os.fork():
        return
    try:
        if isinstance(launch, Launch):
            process.supervise(launch, plugins, report, client, lock)
        execution.supervise(launch, plugins, report, client)
    finally:
        os._exit(0)
