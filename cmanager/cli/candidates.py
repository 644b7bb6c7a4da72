"""What may stand at a place of the command line: names that exist, and words that options know.

Read-only, and silent: whatever fails here completes nothing. Records are read as they are; only images and providers
cost an import.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from .main import COMMANDS

if TYPE_CHECKING:
    from ..model import Container
    from ..plugins import Plugins

#: From the context and what was typed so far to the candidates, each with a line about it or "".
Complete = Callable[[click.Context, str], Iterable[tuple[str, str]]]

_POLICIES = ("no", "always", "unless-stopped", "on-failure")
_LIVE, _ENDED = ("running", "paused"), ("created", "stopped", "lost")
#: States of the containers that a command is for; all where it does not stand here.
_STATES = {
    "start": _ENDED,
    "stop": _LIVE,
    "kill": _LIVE,
    "restart": (*_LIVE, *_ENDED),
    "pause": ("running",),
    "unpause": ("paused",),
    "exec": ("running",),
    "attach": ("running",),
    "top": _LIVE,
    "stats": _LIVE,
    "port": _LIVE,
}


def attach(command: click.Command) -> None:
    """Let every parameter of a command, and of those below it, complete what it takes."""
    if isinstance(command, click.Group):
        for below in command.commands.values():
            attach(below)
    for param in command.params:
        complete = _PARAMETERS.get(param.name or "")
        if complete:
            # The method is click's way of asking; ours hides it for this one parameter.
            setattr(param, "shell_complete", partial(_items, complete))  # noqa: B010


def _items(complete: Complete | str, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
    if isinstance(complete, str):
        return [CompletionItem(incomplete, type=complete)]
    try:
        found = [*complete(ctx, incomplete)]
    except Exception:
        return []
    items = [CompletionItem(word, help=about or None) for word, about in found if word.startswith(incomplete)]
    # A place of the host's may stand where a volume may.
    return [*items, CompletionItem(incomplete, type="file")] if complete is _sources else items


def _words(*words: str) -> Complete:
    return lambda ctx, incomplete: [(word, "") for word in words]


def _command(ctx: click.Context) -> str:
    """ "registry build"; "stop" also for "container stop"."""
    words = ctx.command_path.split(" ")[1:]
    if words[0] in ("container", "image", "system") and len(words) > 1 and words[1] in COMMANDS:
        del words[0]
    return " ".join(words)


def _records(ctx: click.Context) -> list[Container]:
    from ..state import Paths, Store

    given = ctx.find_root().params
    return Store(Paths(given["root"], given["run_root"])).all()


def _plugins(ctx: click.Context) -> Plugins:
    from ..plugins import Plugins, load_config

    given = ctx.find_root().params
    return Plugins(load_config(given["config"]), given["root"], given["run_root"])


def _containers(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    states = _STATES.get(_command(ctx))
    taken = [word for value in ctx.params.values() if isinstance(value, tuple) for word in value]
    for container in _records(ctx):
        if (states is None or container.status.state in states) and container.name not in taken:
            yield container.name, f"{container.status.state}, {container.request.image}"
            if incomplete:
                yield container.id[:12], container.name


def _images(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    plugins = _plugins(ctx)
    for entry in plugins.get("image", plugins.default("image")).entries():
        if entry.reference:
            yield entry.reference.removesuffix(":latest"), ""
        if incomplete:
            yield from ((name, "") for name in (entry.reference, entry.image.id[7:19]) if name)


def _pods(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    from ..state import Paths, Store
    from ..state.pods import PodStore

    given = ctx.find_root().params
    taken = ctx.params.get("pods") or ()
    for pod in PodStore(Store(Paths(given["root"], given["run_root"]))).all():
        if pod.name not in taken:
            yield pod.name, f"pod, {pod.request.network}"
            if incomplete:
                yield pod.id[:12], pod.name


def _pod(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    return [*_pods(ctx, incomplete), ("new:", "a new pod of that name")]


def _names(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    plugins = _plugins(ctx)
    images = plugins.get("image", plugins.default("image"))
    if _command(ctx).startswith("volume "):
        yield from _volumes(ctx, incomplete)
    elif _command(ctx) == "pull":
        yield from ((entry.reference, "") for entry in images.repositories())
    elif _command(ctx) == "registry build":
        yield from images.recipes().items()
    else:
        yield from _containers(ctx, incomplete)
        yield from _images(ctx, incomplete)


def _volumes(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    from ..engine import Engine

    given = ctx.find_root().params
    listed = Engine(given["root"], given["run_root"], given["config"]).volumes.entries()
    return [(volume.name, volume.driver) for volume in listed.volumes]


def _sources(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    if incomplete.startswith(("/", ".", "~")):
        return []
    return [(f"{name}:", "volume") for name, _ in _volumes(ctx, incomplete)]


def _storages(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    plugins = _plugins(ctx)
    return [(name, "") for name in (*plugins.names("storage"), *plugins.families("storage"))]


def _runtimes(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    return [(name, "") for name in _plugins(ctx).names("runtime")]


def _networks(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    if incomplete.startswith("container:"):
        return _shared(ctx)
    return [*((name, "") for name in _plugins(ctx).names("network")), ("container:", "that of another container")]


def _modes(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    if incomplete.startswith("container:"):
        return _shared(ctx)
    return [("private", ""), ("host", ""), ("auto", ""), ("container:", "that of another container"), ("ns:", "")]


def _shared(ctx: click.Context) -> list[tuple[str, str]]:
    return [(f"container:{c.name}", c.request.image) for c in _records(ctx) if c.status.state in _LIVE]


def _capabilities(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    from ..linux.capabilities import NUMBERS

    return [("ALL", "every one"), *((name.removeprefix("CAP_"), "") for name in sorted(NUMBERS))]


def _signals(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    import signal

    names = [found.name for found in signal.Signals]
    return [(name, "") for name in (*names, *(name.removeprefix("SIG") for name in names))]


def _filters(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    from .output import eventlines, pods, rows, volumes

    prunes: Iterable[str] = ("label", "until")
    keys = {
        "images": rows.IMAGE_FILTER_KEYS,
        "events": eventlines.FILTER_KEYS,
        "pod ls": pods.FILTER_KEYS,
        "volume ls": volumes.FILTER_KEYS,
        "volume prune": ("label",),
        **dict.fromkeys(("container prune", "image prune", "system prune"), prunes),
    }.get(_command(ctx))
    key, equals, _ = incomplete.partition("=")
    if not equals:
        return [(f"{key}=", "") for key in keys or rows.CONTAINER_FILTER_KEYS]
    values: Iterable[tuple[str, str]] = ()
    if key == "pod" or (_command(ctx) == "pod ls" and key == "name"):
        values = _pods(ctx, "")
    elif key == "status" and _command(ctx) == "pod ls":
        values = [(state, "") for state in pods.STATES]
    elif key == "status":
        values = [(state, "") for state in ("created", "running", "paused", "restarting", "exited")]
    elif key == "health":
        values = [(state, "") for state in ("starting", "healthy", "unhealthy", "none")]
    elif key == "restart-policy":
        values = [(policy, "") for policy in _POLICIES]
    elif key == "volume":
        values = _volumes(ctx, "")
    elif key in ("name", "before", "since", "container"):
        values = [(c.name, "") for c in _records(ctx)]
    elif key in ("ancestor", "reference", "image"):
        values = _images(ctx, "")
    elif key == "runtime":
        values = _runtimes(ctx, "")
    elif key == "network":
        values = [(name, "") for name in _plugins(ctx).names("network")]
    return [(f"{key}={value}", about) for value, about in values]


def _sort(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    from .output import rows, volumes

    own: dict[str, Iterable[str]] = {"images": rows.IMAGE_KEYS, "volume ls": volumes.KEYS}
    known = own.get(_command(ctx), rows.CONTAINER_KEYS)
    return [(key + order, "") for key in known for order in ("", ":desc")]


def _labels(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    return [(key, "") for key in sorted({key for found in _records(ctx) for key in found.request.labels})]


def _variables(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    return [(name, "") for name in os.environ]


def _disks(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    return [(f"/dev/{name.replace('!', '/')}:", "") for name in sorted(os.listdir("/sys/block"))]


def _page_sizes(ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    names = sorted(os.listdir("/sys/kernel/mm/hugepages"))
    sizes = [int(name.removeprefix("hugepages-").removesuffix("kB")) for name in names]
    return [(f"{size >> 20}g:" if size >= 1 << 20 else f"{size >> 10}m:", "") for size in sizes]


_PARAMETERS: dict[str, Any] = {
    **dict.fromkeys(("container", "containers", "volumes_from"), _containers),
    "pods": _pods,
    "pod": _pod,
    "share": _words("net", "ipc", "uts", "none", "net,ipc,uts"),
    **dict.fromkeys(("image", "images", "reference", "source"), _images),
    "names": _names,
    "runtime": _runtimes,
    "network": _networks,
    **dict.fromkeys(("pid", "ipc", "uts", "cgroupns", "userns", "timens"), _modes),
    **dict.fromkeys(("cap_add", "cap_drop"), _capabilities),
    **dict.fromkeys(("signal", "signal_name", "stop_signal"), _signals),
    **dict.fromkeys(("blkio_weight_device", "device_read_bps", "device_write_bps"), _disks),
    **dict.fromkeys(("device_read_iops", "device_write_iops"), _disks),
    "hugetlb": _page_sizes,
    "network_rate": _words("receive=", "send=", "10mbit", "100mbit"),
    "memory_swap": _words("-1"),
    "device_cgroup_rule": _words("c ", "b ", "a *:* rwm"),
    "filters": _filters,
    "sort": _sort,
    "env": _variables,
    "by_label": _labels,
    "template": _words("json", "table"),
    "restart": _words(*_POLICIES),
    "on_unhealthy": _words("none", "kill", "restart", "stop"),
    "streams": _words("stdin", "stdout", "stderr"),
    "security_opt": _words("no-new-privileges", "seccomp=", "systempaths=unconfined"),
    "mount": _words("type=volume,", "type=bind,", "type=tmpfs,"),
    "volume": _sources,
    **dict.fromkeys(("driver", "volume_driver"), _storages),
    "tail": _words("all"),
    "log_driver": _words("json-file", "local", "none", "syslog", "journald"),
    "log_opt": _words("max-size=", "max-file=", "labels=", "env="),
    "log_sink": _words("json:/", "file:/", "program:/", "syslog:", "syslog:unix:/", "syslog:udp:", "journald"),
    **dict.fromkeys(("env_file", "label_file", "cidfile", "device", "config"), "file"),
    **dict.fromkeys(("root", "run_root", "directory"), "dir"),
}
