"""Commands that take several names: each is tried, failures are told one by one, as Docker does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import click

from ..errors import CmanagerError
from .output.safe import printable


def for_each(words: Iterable[str], act: Callable[[str], object]) -> int:
    """Call `act` for every word, printing what it returns (None: the word); returns 1 when one failed, else 0."""
    code = 0
    for word in words:
        try:
            answer = act(word)
            for line in (word if answer is None else str(answer)).split("\n"):
                click.echo(printable(line))
        except CmanagerError as error:
            print(f"cmanager: {printable(str(error))}", file=sys.stderr)
            code = 1
    return code
