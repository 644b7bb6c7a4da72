"""The worker: a fork of the server that becomes its caller, waits for the word to go, and runs the command."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from ..linux import interpreter, memory, syscalls
from ..linux.values import frozen
from ..supervisor import berths, passing
from ..supervisor.heir import Deceased
from ..supervisor.keeper import Claim
from ..supervisor.slots import Berth, Kind, Manager
from .become import become, inherit
from .caller import Standing, check_interpreter
from .handing import Hands, Typed
from .request import Refused, Request, handle, receive
from .server import LEAVE
from .stamp import Stamp
from .title import Title

#: What is shown of a worker that has nothing to do yet.
WAITING = "cmanager: waits for a command"
KEEPING = "cmanager: keeps a network and a cgroup for a container"
#: The ordinary `main()`; it gets what moves the streams of attached programs, what came before it, and where slots are
#: kept ready.
Main = Callable[..., None]


#: Seconds that a client has for its request.
_PATIENCE = 10.0


@frozen
class Work:
    """What every worker of a server starts from: the standing, environment and code that the server was started with.

    Calling it in a fork of the server, with an end of a socketpair, never returns: it waits for a connection from the
    other end, and ends when there comes none. ahead: there is time until then.
    """

    main: Main
    title: Title
    standing: Standing
    environment: dict[bytes, bytes]
    stamp: Stamp

    def __call__(self, waiting: socket.socket, ahead: bool) -> NoReturn:
        try:
            syscalls.close_all_but(waiting.fileno())
            self.title.set([WAITING])
            os.setsid()
            if ahead:
                memory.populate()
            with waiting:
                ends, offers = passing.receive_offers(waiting, 2)
            if ends:
                connection, wants = ends
                self._do(connection, wants, offers)
        finally:
            os._exit(0)

    def vouch(self, pid: int) -> None:
        """Raise Refused, or OSError, for a process that no worker stands in for."""
        self.standing.check(Standing.of(pid))

    def stand_in(self, claim: Claim | Deceased | None) -> None:
        """Be, in a keeper, what a child of a worker would have been (`cmanager.supervisor.keeper.StandIn`)."""
        if claim is None:
            self.title.set([KEEPING])
            return
        try:
            inherit(claim.pid, claim.groups)
        except Refused as refused:
            raise PermissionError(str(refused)) from None
        self.title.set(list(claim.words))

    def _do(self, connection: socket.socket, wants: socket.socket, offers: dict[bytes, socket.socket]) -> None:
        try:
            client = handle(connection)
            connection.settimeout(_PATIENCE)
            request = receive(connection)
            connection.settimeout(None)
            # Above all numbers that the caller's descriptors have.
            free = max(request.numbers) + 1
            connection = socket.socket(fileno=_lifted(connection.detach(), free))
            client = _lifted(client, free)
            _die_with(_lifted(request.lifeline, free))
            wants = socket.socket(fileno=_lifted(wants.detach(), free))
            offers = {kind: socket.socket(fileno=_lifted(end.detach(), free)) for kind, end in offers.items()}
            self._become(request)
            signal.pidfd_send_signal(client, 0)  # all that was looked at was his
            os.close(client)
        except Refused as refused:
            if refused.leave:
                os._exit(LEAVE)
            connection.send(b"c" + str(refused).encode())
            os._exit(0)
        except (EOFError, OSError, ValueError):
            os._exit(0)  # it has gone, or makes no sense
        connection.send(b"g%d" % os.getpid())
        if connection.recv(1) != b"g":
            os._exit(0)  # it was tired of waiting, and runs the command itself
        code = _run(self.main, self.title, request, connection, WarmBerths(request, wants, offers))
        # The command is over for whoever waits for its streams or locks before it is for the client.
        syscalls.close_all_but(connection.fileno())
        with suppress(OSError):
            connection.send(b"x%d" % code)
        os._exit(0)

    def _become(self, request: Request) -> None:
        if not self.stamp.holds():
            raise Refused("what it has read has changed", leave=True)
        caller = Standing.of(request.pid)
        self.standing.check(caller)
        check_interpreter(request, self.environment)
        become(request, caller)


class WarmBerths:
    """Implements `cmanager.supervisor.slots.Berths` for one request. wants: the way to the server; offers: those to
    keepers, by their kinds."""

    def __init__(self, request: Request, wants: socket.socket, offers: dict[bytes, socket.socket]) -> None:
        self._request, self._wants, self._offers = request, wants, offers

    def claim(self, manager: Manager, network: str) -> Berth | None:
        """See `Berths.claim`."""
        words = ("cmanager", *self._request.arguments)
        return berths.claim(self._offers, manager, network, self._request.pid, words)

    def want(self, kind: Kind) -> None:
        """See `Berths.want`."""
        berths.want(self._wants, kind)


def _lifted(fd: int, least: int) -> int:
    moved: int = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)
    os.close(fd)
    return moved


def _die_with(lifeline: int) -> None:
    """Be killed when the other end of this pipe is closed, which a client has for as long as it lives (fcntl(2))."""
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    poller = select.poll()
    poller.register(lifeline, 0)
    if poller.poll(0):
        raise EOFError  # it was closed before


def _run(main: Main, title: Title, request: Request, connection: socket.socket, berths: WarmBerths) -> int:
    """The command, to its exit code."""
    sys.argv[:] = [request.name, *request.arguments]
    title.set(["cmanager", *request.arguments])
    if os.isatty(0):
        sys.stdin = Typed(connection).text(*request.encoding.split())
    since = (("client", request.began), ("worker", request.asked))
    return interpreter.code_of(lambda: main(Hands(connection), since, berths))
