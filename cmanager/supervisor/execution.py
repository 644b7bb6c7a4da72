"""The supervisor of one `exec`: it owns the streams and the exit code of one more program in a running container."""

from __future__ import annotations

import os
import socket
from typing import NoReturn

from ..linux.process import reap
from ..model.runtime import Bundle
from ..plugins import Plugins
from ..state.journal import Journal
from .announce import Announcer, unheard
from .background import detach, say
from .launch import ExecLaunch
from .oom import set_oom_score
from .stdio import Streams


def supervise(launch: ExecLaunch, plugins: Plugins, report: socket.socket, client: socket.socket | None) -> NoReturn:
    """Run the program to its end, then exit. Never raises. The container's end ends it too, with its namespaces."""
    try:
        detach({report.fileno(), client.fileno() if client else -1})
        _run(launch, plugins, report, client)
    except BaseException as error:
        say(report, error)
    finally:
        os._exit(0)


def _run(launch: ExecLaunch, plugins: Plugins, report: socket.socket, client: socket.socket | None) -> None:
    container = launch.container
    assert container.status.init is not None, "it runs"
    runtime = plugins.get("runtime", container.providers.runtime)
    terminal = bool(launch.process["terminal"])
    streams = Streams(None, client, once=launch.interactive and not terminal)
    streams.make(interactive=launch.interactive, terminal=terminal)
    first, user = container.user_map[0] if container.user_map else 0, launch.process["user"]
    streams.own(first + user["uid"], first + user["gid"])
    bundle = Bundle(container.id, launch.paths.bundle(container.id))
    try:
        pid = runtime.exec(bundle, container.status.init, launch.process, streams.stdio)
        streams.given()
        set_oom_score(pid, container.request.oom_score_adj)
    except BaseException as error:
        say(report, error)
        streams.finish(getattr(error, "exit_code", 125))
        return
    say(report, None)
    while not streams.until_end(pid):
        continue
    code = reap(pid)
    Announcer(plugins, Journal(launch.paths.events), unheard).container("exec_die", container, exitCode=str(code))
    streams.finish(code)
