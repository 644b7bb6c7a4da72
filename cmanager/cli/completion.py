"""`cmanager completion`: the scripts, and the other side of what they ask."""

from __future__ import annotations

import os
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
)

from .main import COMPLETE

_BREAKS = "=:"
# Bash splits words at = and : as well, so we take the line as it was typed and give back what comes after those.
_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' type value
    COMPREPLY=()
    while IFS=',' read -r type value; do
        case $type in
        dir) compopt -o dirnames ;;
        file) compopt -o default ;;
        part) compopt -o nospace; COMPREPLY+=("$value") ;;
        plain) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}

complete -F %(complete_func)s %(prog_name)s
"""


class _Bash(BashComplete):
    source_template = _BASH

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._typed = ""

    def source(self) -> str:
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        from click.shell_completion import split_arg_string

        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)[1:]
        last = "" if line[-1:].isspace() or not words else words.pop()
        self._typed = last.partition("=")[2] if last.startswith("-") else last
        return words, last

    def format_completion(self, item: CompletionItem[Any]) -> str:
        kind, value = item.type, str(item.value)
        if kind == "plain" and value.endswith(tuple(_BREAKS)):
            kind = "part"
        start = max(self._typed.rfind(mark) for mark in _BREAKS) + 1
        return f"{kind},{value[start:] if value.startswith(self._typed[:start]) else value}"


class _WholeWords(ShellComplete):
    """For shells that replace the whole word: after `--option=` click answers with the value alone."""

    _option = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        words, last = super().get_completion_args()
        option, equals, _ = last.partition("=")
        self._option = option + equals if equals and option.startswith("-") else ""
        return words, last

    def format_completion(self, item: CompletionItem[Any]) -> str:
        if self._option and item.type == "plain":
            item = CompletionItem(self._option + str(item.value), help=item.help)
        return super().format_completion(item)


class _Zsh(_WholeWords, ZshComplete):
    pass


class _Fish(_WholeWords, FishComplete):
    pass


def prepare(cli: click.Group) -> None:
    """Before a completion is asked for: our shells, and what the global options take."""
    from .candidates import attach

    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell)
    attach(cli)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a script that completes commands, options and names: `source <(cmanager completion bash)`."""
    from .main import cli

    prepare(cli)
    found = get_completion_class(shell)
    assert found is not None, "one of the choices"
    click.echo(found(cli, {}, "cmanager", COMPLETE).source(), nl=False)
