"""Rounds in which every contestant has its turn, so that a slow moment of the machine meets them all."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from .commands import Refused
from .results import Row

#: Does the work once; returns its figure, or several by what is put behind the contestant's name.
Act = Callable[[], float | Mapping[str, float]]
#: What must not change while things are compared, by whose it is.
Stamp = Callable[[], Mapping[str, object]]


@frozen
class Contestant:
    """One way to do a job. against: as in `Row`."""

    name: str
    act: Act
    against: str = ""


@frozen
class Rounds:
    """How often. warm_up: rounds that do not count; pause: seconds before each act, in which what the last one left to
    be done behind it is done, as between commands that a person types."""

    count: int
    warm_up: int = 1
    pause: float = 0.05


def interleave(contestants: Sequence[Contestant], rounds: Rounds, stamp: Stamp) -> tuple[Row, ...]:
    """A row for each figure, in the contestants' order.

    In every round each acts once, in another order, which is the same each time this is called. Raises Refused when one
    fails, or the stamp is another after a round.
    """
    samples: dict[str, list[float]] = {}
    against: dict[str, str] = {}
    before = stamp()
    for number in range(rounds.warm_up + rounds.count):
        found: dict[str, Mapping[str, float]] = {}
        for contestant in _order(contestants, number):
            time.sleep(rounds.pause)
            figures = contestant.act()
            found[contestant.name] = figures if isinstance(figures, Mapping) else {"": figures}
        compare(before, stamp())
        if number >= rounds.warm_up:
            for contestant in contestants:
                for suffix, figure in found[contestant.name].items():
                    samples.setdefault(contestant.name + suffix, []).append(figure)
                    against[contestant.name + suffix] = contestant.against and contestant.against + suffix
    return tuple(Row(name, tuple(figures), against[name]) for name, figures in samples.items())


def compare(before: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Raise Refused, naming whose, when anything of a stamp has changed."""
    for name, value in before.items():
        if now.get(name) != value:
            raise Refused(f"{name} changed between rounds: {value} became {now.get(name)}")


def _order(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    # Whoever always follows the same one always pays for what that one leaves to be done after it.
    order = list(contestants)
    random.Random(number).shuffle(order)
    return order
