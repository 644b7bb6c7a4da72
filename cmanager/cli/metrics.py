"""`cmanager metrics`."""

from __future__ import annotations

import io
import signal
import sys
import threading
from typing import Any

import click

from .main import Settings

#: Seconds that a client has for its request.
_PATIENCE = 10


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--listen", default="", metavar="ADDRESS:PORT", help="Serve them there until it is ended.")
@click.option("--allow-remote", is_flag=True, help="Also at an address that other hosts reach.")
@click.pass_obj
def command(settings: Settings, listen: str, allow_remote: bool) -> None:
    """Print what running containers use as Prometheus metrics, with cAdvisor's names, or serve them over HTTP."""
    from ..errors import InvalidError

    if allow_remote and not listen:
        raise InvalidError("--allow-remote needs --listen")
    address = _address(listen, allow_remote) if listen else None
    engine = settings.engine()
    from prometheus_client import CollectorRegistry, generate_latest

    from .output.metrics import Containers

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Containers(engine, engine.plugins.warn))
    if address:
        _serve(registry, address, listen)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(generate_latest(registry))


def _address(text: str, allow_remote: bool) -> tuple[Any, int]:
    """The address and the port of `127.0.0.1:9090`, `[::1]:9090` or `localhost:9090`."""
    import ipaddress

    from ..errors import InvalidError

    host, colon, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        address = None
    if address is None or not colon or not port.isdecimal() or int(port) > 65535:
        raise InvalidError(f"invalid --listen {text!r}, expected an address and a port such as 127.0.0.1:9090")
    if not address.is_loopback and not allow_remote:
        raise InvalidError(
            f"--listen {text} can be reached from other hosts, where all could read names and labels of containers: "
            "use 127.0.0.1, or give --allow-remote too"
        )
    return address, int(port)


def _serve(registry: Any, address: tuple[Any, int], text: str) -> None:
    import socket
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    from prometheus_client import make_wsgi_app

    from ..errors import HostError

    class Server(WSGIServer):
        address_family = socket.AF_INET6 if address[0].version == 6 else socket.AF_INET

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that has left, or says nothing, is its own loss."""

    class Handler(WSGIRequestHandler):
        timeout = _PATIENCE

        def get_stderr(self) -> Any:
            """Where wsgiref puts tracebacks."""
            return io.StringIO()

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody wants a line for each look."""

    def ended(number: int, frame: object) -> None:
        # In a thread: it waits for the loop that it ends, which this interrupts.
        threading.Thread(target=server.shutdown).start()

    try:
        server = make_server(str(address[0]), address[1], make_wsgi_app(registry), Server, Handler)
    except OSError as error:
        raise HostError.of("listen at", text, error) from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ended)
    host, port = server.server_address[:2]
    shown = f"[{host!s}]" if address[0].version == 6 else f"{host!s}"
    try:
        print(f"cmanager: metrics at http://{shown}:{port}/metrics", file=sys.stderr, flush=True)
        server.serve_forever()
    finally:
        server.server_close()
