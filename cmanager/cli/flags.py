"""`--rm=true` and `-t=false`: Docker's flags may have a value (Go's pflag), click's may not.

An option that may go without its value has it after the sign alone: `--usage=json`, never `--usage json`.
"""

from __future__ import annotations

from typing import Any

import click

_VALUES = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


class Group(click.Group):
    """A group whose commands take flags with a value."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, settled(command, rest) if command else rest


def settled(command: click.Command, arguments: list[str]) -> list[str]:
    """The same arguments with no value at any flag: a flag that is true alone, one that is false as its opposite, or
    not at all; and with one at every option that may go without. What belongs to a container's command stays as it
    is."""
    options = {name: p for p in command.params if isinstance(p, click.Option) for name in p.opts}
    interspersed = command.context_settings.get("allow_interspersed_args", command.allow_interspersed_args)
    done: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--" or ((not word.startswith("-") or word == "-") and not interspersed):
            return [*done, word, *rest]
        name, equals, value = word.partition("=")
        option = options.get(name)
        if option and option.is_flag and equals and value.lower() in _VALUES:
            done = [earlier for earlier in done if earlier not in (*option.opts, *option.secondary_opts)]
            if _VALUES[value.lower()]:
                done.append(name)
            elif option.secondary_opts:
                done.append(option.secondary_opts[0])
            continue
        if option and not option.is_flag and isinstance(option.flag_value, str):
            done.append(word if equals else f"{name}={option.flag_value}")
            continue
        done.append(word)
        if rest and _wants_more(word, options):
            done.append(rest.pop(0))
    return done


def _wants_more(word: str, options: dict[str, click.Option]) -> bool:
    """Whether the next argument is this option's value."""
    if word.startswith("--"):
        return word in options and not options[word].is_flag
    for number, letter in enumerate(word[1:], 2):
        option = options.get(f"-{letter}")
        if option is None or not option.is_flag:
            return option is not None and number == len(word)
    return False
