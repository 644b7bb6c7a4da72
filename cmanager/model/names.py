"""Ids and names: their grammar, and how new ones are made."""

from __future__ import annotations

import os
import re

from ..errors import InvalidError

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
ID = re.compile(r"[0-9a-f]{64}")

_ADJECTIVES = (
    "agile amber bold brisk calm clever crisp deft eager early fair fleet gentle glad golden hardy jolly keen "
    "kind lively lucid lucky mellow merry neat nimble patient plucky proud quick quiet rapid ready silent sleek "
    "sober solid spry steady sturdy subtle sunny swift tidy upbeat vivid warm wise witty zesty"
).split()
_SURNAMES = (
    "allen babbage backus bell boole bose cerf church codd cray curie darwin dijkstra easley euler faraday "
    "feynman franklin galois gauss germain goldberg hamilton hopper johnson kay kernighan kilby knuth lamarr "
    "lamport liskov lovelace maxwell mccarthy meitner milner minsky moore naur newton noether pascal perlman "
    "postel ritchie shannon thompson torvalds turing wilkes wirth"
).split()


def check_name(text: str, what: str) -> str:
    """`text` if it may name a container, image, network or plugin, else InvalidError naming `what`."""
    # fullmatch: `$` would let a trailing newline through.
    if not NAME.fullmatch(text):
        raise InvalidError(
            f"invalid {what} {text[:140]!r}, allowed are 1 to 128 of [a-zA-Z0-9_.-], the first a letter or digit"
        )
    return text


def new_id() -> str:
    """64 random hex digits, as Docker's."""
    return os.urandom(32).hex()


def new_name() -> str:
    """adjective_surname; may be taken."""
    number = int.from_bytes(os.urandom(8))
    return f"{_ADJECTIVES[number % len(_ADJECTIVES)]}_{_SURNAMES[number // len(_ADJECTIVES) % len(_SURNAMES)]}"
