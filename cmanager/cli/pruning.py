"""What the `prune` commands share: the question, the filters, the words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ..engine.prune import Pruned
    from ..model import Container, Image
    from .output.filters import Test

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("-f", "--force", is_flag=True, help="Do not ask."),
    click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only those: label, until."),
)


def prune_options(function: F) -> F:
    """Decorate a command with --force and --filter."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def confirmed(force: bool, what: Iterable[str]) -> bool:
    """Say what would go and ask, on stderr, unless `force` is given; what is no "y" is a no."""
    if force:
        return True
    lines = list(what)
    text = f" {lines[0]}." if len(lines) == 1 else ":\n" + "".join(f"  - {line}\n" for line in lines)
    print(f"WARNING! This will remove{text}\nAre you sure you want to continue? [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print(file=sys.stderr)
    return answer.strip().lower() in ("y", "yes")


def chosen_containers(filters: Iterable[str]) -> Test[Container]:
    """What --filter means for containers. InvalidError for an unknown key."""
    from .output import filters as parsing
    from .output.human import parse_time

    def until(value: str) -> Test[Container]:
        latest = parse_time(value, "--filter until")
        return lambda container: container.created_at <= latest

    def label(value: str) -> Test[Container]:
        matches = parsing.label(value)
        return lambda container: matches(container.request.labels)

    return parsing.parse(filters, {"until": until, "label": label})


def chosen_images(filters: Iterable[str]) -> Test[Image]:
    """The same for images; `until` is about when they were built."""
    from .output import filters as parsing
    from .output.human import parse_time
    from .output.rows import created_at

    def until(value: str) -> Test[Image]:
        latest = parse_time(value, "--filter until")
        return lambda image: (created_at(image.created) or 0) <= latest

    def label(value: str) -> Test[Image]:
        matches = parsing.label(value)
        return lambda image: matches(image.config.labels)

    return parsing.parse(filters, {"until": until, "label": label})


def tell(done: Iterable[tuple[str, Pruned]]) -> None:
    """Print what was removed, in Docker's words."""
    from .output.human import size
    from .output.safe import printable

    total = 0
    for title, pruned in done:
        total += pruned.bytes
        if pruned.removed:
            lines = [line[:1].lower() + line[1:] for line in pruned.removed]
            click.echo("\n".join([f"Deleted {title}:", *map(printable, lines), ""]))
    click.echo(f"Total reclaimed space: {size(total)}")
