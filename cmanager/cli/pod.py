"""`cmanager pod`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from .flags import Group
from .listoptions import list_options, typed
from .main import Settings

if TYPE_CHECKING:
    from ..engine.podcontrol import PodControl

_timeout = click.option("-t", "--time", "--timeout", "timeout", type=int, default=None, help="Seconds before a kill.")
_all = click.option("-a", "--all", "everything", is_flag=True, help="All pods.")
_pods = click.argument("pods", nargs=-1)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Make and handle pods: containers that share network, ipc and uts namespaces and /dev/shm."""


@command.command("create", context_settings={"help_option_names": ["--help"]})
@click.option("--name", default="", help="Name of the pod.")
@click.option("-h", "--hostname", default="", help="Host name inside, the pod's name by default.")
@click.option("--network", "--net", default="", help="bridge, host, none or a plugin's.")
@click.option("-p", "--publish", multiple=True, metavar="[[IP:]HOST:]PORT[/tcp|udp]", help="Publish a port.")
@click.option("--dns", multiple=True, help="Name server.")
@click.option("--add-host", multiple=True, metavar="NAME:IP", help="Add a line to /etc/hosts.")
@click.option("-l", "--label", multiple=True, metavar="KEY[=VALUE]", help="Set a label.")
@click.option("--shm-size", default="64m", metavar="BYTES", help="Size of the shared /dev/shm.")
@click.option("--share", default="net,ipc,uts", help="Of net, ipc and uts, or none.")
@click.pass_obj
def _create(
    settings: Settings,
    name: str,
    hostname: str,
    network: str,
    publish: tuple[str, ...],
    dns: tuple[str, ...],
    add_host: tuple[str, ...],
    label: tuple[str, ...],
    shm_size: str,
    share: str,
) -> None:
    """Make a pod without containers; `run --pod` puts some in. Prints its id."""
    from ..model import PodRequest
    from .output.human import parse_size
    from .podwords import shared
    from .ports import published
    from .request import pair

    request = PodRequest(
        name=name,
        hostname=hostname,
        labels=dict(pair(text) for text in label),
        network=network,
        publish=tuple(mapping for text in publish for mapping in published(text)),
        dns=dns,
        add_hosts=add_host,
        shm_size=parse_size(shm_size, "--shm-size"),
        share=shared(share),
    )
    click.echo(settings.engine().pods.create(request).id)


@command.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Show only those that match.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten.")
@list_options
@click.pass_obj
def _list(
    settings: Settings,
    quiet: bool,
    filters: tuple[str, ...],
    no_trunc: bool,
    template: str,
    output: str,
    noheading: bool,
) -> None:
    """List pods."""
    from .output import pods
    from .output.listing import print_document, print_rows

    in_json, chosen = typed(output, template, quiet), pods.pod_filters(filters)
    found = [entry for entry in settings.engine().pods.entries() if chosen(entry)]
    if in_json:
        print_document("pods", [pods.typed(entry) for entry in found])
        return
    rows = [pods.pod_row(entry, time.time(), trunc=not no_trunc) for entry in found]
    print_rows(
        rows,
        pods.COLUMNS,
        pods.HEADERS,
        template,
        quiet="ID" if quiet else "",
        heading=not noheading,
        fit=not no_trunc,
    )


@command.command("inspect")
@click.option("-f", "--format", "template", default="", help="json, or a Go template.")
@click.argument("pods", nargs=-1, required=True)
@click.pass_context
def _inspect(ctx: click.Context, template: str, pods: tuple[str, ...]) -> Any:
    """Show everything known of PODS, as a JSON array."""
    from .inspect import command as inspect

    return ctx.invoke(inspect, template=template, size=False, kind="pod", names=pods)


@command.command("rm")
@click.option("-f", "--force", is_flag=True, help="With the containers in it; what is missing is no error.")
@_all
@_pods
@click.pass_obj
def _remove(settings: Settings, force: bool, everything: bool, pods: tuple[str, ...]) -> int:
    """Remove PODS with what they share; refused for one that has containers."""
    from ..errors import NotFoundError
    from .many import for_each
    from .podwords import meant

    engine = settings.engine()

    def remove(word: str) -> None:
        try:
            engine.pods.remove(word, force=force)
        except NotFoundError:
            if not force:
                raise

    return for_each(meant(engine, "rm", pods, everything, corrupt=force), remove)


@command.command("start")
@_all
@_pods
@click.pass_obj
def _start(settings: Settings, everything: bool, pods: tuple[str, ...]) -> int:
    """Start the containers of PODS, in the order in which they were made."""
    return _each(settings, "start", pods, everything, lambda control, word: control.start(word))


@command.command("stop")
@_timeout
@_all
@_pods
@click.pass_obj
def _stop(settings: Settings, timeout: int | None, everything: bool, pods: tuple[str, ...]) -> int:
    """Stop the containers of PODS, the last one first."""
    return _each(settings, "stop", pods, everything, lambda control, word: control.stop(word, timeout))


@command.command("restart")
@_timeout
@_all
@_pods
@click.pass_obj
def _restart(settings: Settings, timeout: int | None, everything: bool, pods: tuple[str, ...]) -> int:
    """Stop the containers of PODS, if they run, and start them."""
    return _each(settings, "restart", pods, everything, lambda control, word: control.restart(word, timeout))


@command.command("kill")
@click.option("-s", "--signal", "signal_name", default="SIGKILL", help="Signal to send.")
@_all
@_pods
@click.pass_obj
def _kill(settings: Settings, signal_name: str, everything: bool, pods: tuple[str, ...]) -> int:
    """Send a signal to the containers of PODS."""
    return _each(settings, "kill", pods, everything, lambda control, word: control.kill(word, signal_name))


@command.command("pause")
@_all
@_pods
@click.pass_obj
def _pause(settings: Settings, everything: bool, pods: tuple[str, ...]) -> int:
    """Freeze the containers of PODS."""
    return _each(settings, "pause", pods, everything, lambda control, word: control.pause(word))


@command.command("unpause")
@_all
@_pods
@click.pass_obj
def _unpause(settings: Settings, everything: bool, pods: tuple[str, ...]) -> int:
    """Let the containers of PODS go on."""
    return _each(settings, "unpause", pods, everything, lambda control, word: control.unpause(word))


def _each(
    settings: Settings, verb: str, pods: tuple[str, ...], everything: bool, act: Callable[[PodControl, str], None]
) -> int:
    from .many import for_each
    from .podwords import meant

    engine = settings.engine()
    control = engine.pods.control
    return for_each(meant(engine, verb, pods, everything), lambda word: act(control, word))
