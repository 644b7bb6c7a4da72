"""The options that every list has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--format", "template", default="", help="json for an object a line, or a Go template."),
    click.option(
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        help="json for one typed document with a schema version.",
    ),
    click.option("--noheading", is_flag=True, help="No titles above the table."),
)


def list_options(function: F) -> F:
    """Decorate a command with --format, --output and --noheading; see `typed` and `print_rows`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def typed(output: str, template: str = "", quiet: bool = False) -> bool:
    """Whether a document is asked for; InvalidError where that excludes another option that was given."""
    from ..errors import InvalidError

    if output == "json" and (template or quiet):
        raise InvalidError(f"--output json and {'--format' if template else '--quiet'} exclude each other, give one")
    return output == "json"
