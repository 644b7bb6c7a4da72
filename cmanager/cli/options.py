"""The options that `run`, `create` and `explain run` share, in Docker's words; some are Podman's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from . import limits

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: list[Callable[[Any], Any]] = [
    click.option("-i", "--interactive", is_flag=True, help="Keep stdin open."),
    click.option("-t", "--tty", is_flag=True, help="Give it a terminal."),
    click.option("--rm", "remove", is_flag=True, help="Remove the container when it ends."),
    click.option("--name", default="", help="Name of the container."),
    click.option("--replace", is_flag=True, help="Remove the container that has this name, running or not."),
    click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Set an environment variable."),
    click.option("--env-file", multiple=True, metavar="FILE", help="Read environment variables from a file."),
    click.option("--unsetenv", multiple=True, metavar="NAME", help="Leave out a variable of the image."),
    click.option("-v", "--volume", multiple=True, metavar="[HOST|VOLUME:]PATH[:OPTIONS]", help="Mount one there."),
    click.option("--volume-driver", default="", metavar="STORAGE", help="Storage plugin of the volumes of -v."),
    click.option("--volumes-from", multiple=True, metavar="CONTAINER[:ro|rw]", help="Mount what that one has mounted."),
    click.option("--mount", multiple=True, metavar="type=…,src=…,dst=…", help="Attach a volume, bind or tmpfs mount."),
    click.option("--tmpfs", multiple=True, metavar="PATH[:OPTIONS]", help="Mount a tmpfs."),
    click.option("-w", "--workdir", default="", help="Working directory inside."),
    click.option("-u", "--user", default="", metavar="NAME|UID[:GROUP|GID]", help="Who the program runs as."),
    click.option("--group-add", multiple=True, metavar="NAME|GID", help="Run it in one more group."),
    click.option("--umask", default="0022", metavar="OCTAL", help="Permissions that new files do not get."),
    click.option("-h", "--hostname", default="", help="Host name inside."),
    click.option("--domainname", default="", help="NIS domain name inside."),
    click.option("--tz", default="", metavar="AREA/CITY", help="Time zone: the host's file of that name, or local."),
    click.option("--entrypoint", default=None, help="Replace the image's entry point."),
    click.option("-l", "--label", multiple=True, metavar="KEY[=VALUE]", help="Set a label."),
    click.option("--label-file", multiple=True, metavar="FILE", help="Read labels from a file."),
    click.option("--annotation", multiple=True, metavar="KEY=VALUE", help="For the runtime and its hooks."),
    click.option("--read-only", is_flag=True, help="Mount the root file system read-only."),
    click.option("--cap-add", multiple=True, help="Add a capability."),
    click.option("--cap-drop", multiple=True, help="Drop a capability."),
    click.option("--security-opt", multiple=True, help="no-new-privileges=…, seccomp=…, systempaths=…"),
    click.option("--pod", default="", metavar="NAME|new:NAME", help="Put it into a pod, with new: into a new one."),
    click.option("--network", "--net", default="", help="bridge, host, none, container:NAME, ns:PATH or a plugin's."),
    click.option("-p", "--publish", multiple=True, metavar="[[IP:]HOST:]PORT[/tcp|udp]", help="Publish a port."),
    click.option("-P", "--publish-all", is_flag=True, help="Publish every exposed port on a free one of the host."),
    click.option("--expose", multiple=True, metavar="PORT[/PROTOCOL]", help="Name a port that it listens on."),
    click.option("--ip", default="", metavar="ADDRESS", help="Address on its network."),
    click.option("--mac-address", default="", metavar="MAC", help="Hardware address of its link."),
    click.option("--network-alias", multiple=True, metavar="NAME", help="One more name on its network."),
    click.option("--dns", multiple=True, help="Name server."),
    click.option("--dns-search", multiple=True, metavar="DOMAIN", help="Domain to look names up in, . for none."),
    click.option("--dns-option", "--dns-opt", multiple=True, metavar="OPTION", help="Option of resolv.conf."),
    click.option("--no-hosts", is_flag=True, help="Leave the image's /etc/hosts."),
    click.option("--no-hostname", is_flag=True, help="Leave the image's /etc/hostname."),
    click.option("--add-host", multiple=True, metavar="NAME:IP", help="Add a line to /etc/hosts."),
    *limits.OPTIONS,
    click.option("--cgroup-parent", default="", metavar="CGROUP", help="Put its cgroup below this one, such as /web."),
    click.option("--pid", "pid", default="", help="PID namespace: private, host, container:NAME or ns:PATH."),
    click.option("--ipc", default="", help="IPC namespace."),
    click.option("--uts", default="", help="UTS namespace."),
    click.option("--cgroupns", default="", help="Cgroup namespace."),
    click.option("--userns", default="", help="User namespace: host, auto, container:NAME or ns:PATH."),
    click.option("--timens", default="", help="Time namespace: host, private, container:NAME or ns:PATH."),
    click.option("--init", is_flag=True, help="Run an init as process 1 that forwards signals and reaps orphans."),
    click.option("--stop-signal", default="", help="Signal that asks the container to stop."),
    click.option("--stop-timeout", type=int, default=10, help="Seconds before it is killed."),
    click.option("--timeout", type=int, default=0, metavar="SECONDS", help="Kill it after so long."),
    click.option("--restart", default="no", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped."),
    click.option("--health-cmd", default="", metavar="TEXT", help="Shell command that asks whether it is well."),
    click.option("--health-interval", default="", metavar="TIME", help="Time between two checks, 30s by default."),
    click.option("--health-timeout", default="", metavar="TIME", help="Time that a check may take, 30s by default."),
    click.option("--health-retries", type=int, default=None, help="Failures that make it unhealthy, 3 by default."),
    click.option("--health-start-period", default="", metavar="TIME", help="Time in which failures do not count."),
    click.option("--health-start-interval", default="", metavar="TIME", help="Time between checks meanwhile."),
    click.option("--no-healthcheck", is_flag=True, help="Do not use the image's health check."),
    click.option(
        "--on-unhealthy",
        "--health-on-failure",
        default="none",
        metavar="ACTION",
        help="What happens when it is unhealthy: none, kill, restart or stop.",
    ),
    click.option("--log-driver", default="json-file", help="json-file, local, none, syslog or journald."),
    click.option("--log-opt", multiple=True, metavar="KEY=VALUE", help="max-size, max-file, labels, env."),
    click.option("--log-sink", multiple=True, metavar="KIND[:WHERE]", help="json:PATH, file:PATH, syslog:, journald."),
    click.option("--oom-score-adj", type=int, default=None, help="-1000 to 1000, the higher the earlier it is killed."),
    click.option("--ulimit", multiple=True, metavar="NAME=SOFT[:HARD]", help="Resource limit."),
    click.option("--sysctl", multiple=True, metavar="NAME=VALUE", help="Kernel parameter of a namespace of its own."),
    click.option("--device", multiple=True, metavar="HOST[:CONTAINER[:rwm]]", help="Let it use a host device."),
    click.option("--shm-size", default="64m", metavar="BYTES", help="Size of /dev/shm."),
    click.option("--privileged", is_flag=True, help="Give it all capabilities and devices."),
    click.option("--pull", type=click.Choice(["missing", "always", "never"]), default="missing", help="When to pull."),
    click.option("-q", "--quiet", is_flag=True, help="Show nothing of a pull."),
    click.option("--platform", default="", metavar="OS/ARCH", help="Refuse to run on any other."),
    click.option("--runtime", default="", help="Runtime plugin, see `cmanager plugin ls`."),
    click.argument("image"),
    click.argument("command", nargs=-1, type=click.UNPROCESSED),
]

#: Options end at the image: what follows belongs to the container's command.
CONTEXT = {"allow_interspersed_args": False, "help_option_names": ["--help"], "max_content_width": 120}


def container_options(function: F) -> F:
    """Decorate a command with all of them; it receives them as keywords, for `request.build`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def attach_options(function: F) -> F:
    """The options of commands that may stay attached, for `attached.pump`."""
    sig_proxy = click.option(
        "--sig-proxy/--no-sig-proxy", default=True, help="Pass signals on to a program that has no terminal."
    )
    return sig_proxy(detach_option(function))


def telling_option(flag: str, name: str, text: str) -> Callable[[F], F]:
    """An option that asks for more on stderr at the end, as text or as JSON; without it None arrives."""
    return click.option(
        flag,
        name,
        type=click.Choice(["text", "json"]),
        is_flag=False,
        flag_value="text",
        default=None,
        metavar="[text|json]",
        help=text,
    )


#: `--time`, for `Settings.keep_time`.
time_option = telling_option("--time", "timed", "Tell on stderr at the end where each millisecond went.")


def detach_option(function: F) -> F:
    """`--detach-keys`, which arrives as bytes."""
    text = "Keys that leave it running, ctrl-p,ctrl-q by default."
    return click.option("--detach-keys", default=None, help=text, callback=_parsed_keys)(function)


def _parsed_keys(ctx: click.Context, option: click.Parameter, text: str | None) -> bytes:
    from ..supervisor import keys

    return keys.parse(keys.DEFAULT if text is None else text)
