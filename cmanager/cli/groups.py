"""Groups such as `container` and `image`: Docker's longer names of commands, and what only they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .flags import Group
from .main import COMMANDS, load


class Nouns(Group):
    """Commands of its own, and others under further names.

    others: the name here to the command's name; those that there are none of are left out.
    """

    def __init__(self, *arguments: Any, others: Mapping[str, str] = {}, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._others = {name: target for name, target in others.items() if target in COMMANDS}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted((*self.commands, *self._others))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is None and cmd_name in self._others:
            return load(self._others[cmd_name])
        return own

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        lines = {name: COMMANDS[target] for name, target in self._others.items()}
        lines |= {name: command.get_short_help_str() for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(lines.items()))
