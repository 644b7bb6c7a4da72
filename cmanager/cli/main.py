"""The command group: finds a command's file when it is asked for, and turns every error into one line and a code."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from .flags import settled

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ..engine import Engine
    from ..supervisor.moving import Mover
    from ..supervisor.slots import Berths
    from ..supervisor.steps import Timeline

#: Set by the scripts of `cmanager completion` (click's protocol).
COMPLETE = "_CMANAGER_COMPLETE"
#: How many seconds the command server waits for another command, 0: it is not used.
WARM = "CMANAGER_WARM"
#: How many slots it keeps ready for containers to come: 0 for none, else one.
POOL = "CMANAGER_POOL"
#: Each command, the line `--help` shows for it; its file has the same name.
COMMANDS = {
    "run": "create a container and start it",
    "create": "create a container",
    "start": "start containers that were created or stopped",
    "exec": "run one more program in a running container",
    "attach": "attach to a running container",
    "stop": "stop containers",
    "restart": "stop and start containers",
    "pause": "freeze the processes of containers",
    "unpause": "let frozen containers go on",
    "kill": "send a signal to containers",
    "rename": "give a container another name",
    "update": "change limits and restart policy of containers",
    "top": "show the processes of a container",
    "stats": "show what containers use, again and again",
    "metrics": "print or serve what containers use, for Prometheus",
    "rm": "remove containers",
    "ps": "list containers",
    "port": "list the published ports of a container",
    "logs": "print the output of a container",
    "events": "follow what happens to containers and images",
    "inspect": "show everything known of containers, images, volumes and pods, as JSON",
    "wait": "wait until containers stop, print their exit codes",
    "pod": "make and handle pods, whose containers share a network",
    "volume": "make, list and remove volumes",
    "cp": "copy files between a container and the host",
    "diff": "list the files that a container added, changed and deleted",
    "export": "write a container's files as a tar archive",
    "commit": "make an image of a container",
    "images": "list images",
    "pull": "fetch images from a registry",
    "push": "put an image into the registry",
    "rmi": "remove images",
    "tag": "give an image another name",
    "container": "the same commands under longer names, and prune",
    "image": "the same for images",
    "registry": "build and list the images of the local registry directory",
    "plugin": "list plugins and whether they work, begin a new one",
    "completion": "print a script that completes commands, options and names",
    "explain": "show what a command would do, step by step, and change nothing",
    "system": "how much of the disk is taken, and how to have it back",
    "gc": "return whatever crashes left",
    "doctor": "what this host offers to containers, and what each lack costs",
    "info": "where things are and which plugins are used",
    "version": "print the versions of cmanager and of what it stands on",
}


class Call:
    """One command line that is run.

    mover: who moves the streams of attached programs, None: us; since: as of `run`; berths: where slots are kept ready
    for containers, None: nowhere; timeline: kept where `--time` asks for it, in this style, else None.
    """

    def __init__(self, mover: Mover | None, since: Sequence[tuple[str, int]], berths: Berths | None) -> None:
        self.mover, self.since, self.berths = mover, since, berths
        self.style = ""
        self.timeline: Timeline | None = None

    def keep_time(self, style: str) -> Timeline:
        """Take the time from here on, and say at the end where it went. style: "text" or "json"."""
        from ..supervisor.steps import Timeline

        self.style, self.timeline = style, Timeline("command")
        for name, moment in (*self.since, ("engine", time.monotonic_ns())):
            self.timeline(name, "do", moment / 10**9)
        return self.timeline

    def over(self) -> None:
        """Give out what was printed."""
        if self.timeline:
            self.timeline.part = "command"
            self.timeline("output", "do", time.monotonic())
        sys.stdout.flush()


class Settings:
    """The global options, and the engine they lead to."""

    def __init__(self, root: str, run_root: str, config: str | None, call: Call) -> None:
        self.root, self.run_root, self.config, self.call = root, run_root, config, call

    def keep_time(self, style: str | None, part: str) -> None:
        """Do what `--time` asks for. part: that the first steps belong to."""
        if style:
            self.call.keep_time(style).part = part

    def enter(self, part: str) -> None:
        """What follows belongs to another part of the timeline, if there is one."""
        if self.call.timeline:
            self.call.timeline.part = part

    def engine(self, **extra: Any) -> Engine:
        """The engine; only commands that need one pay for importing it."""
        from ..engine import Engine
        from ..errors import InvalidError

        if os.geteuid() != 0:
            raise InvalidError("cmanager needs root, try: sudo cmanager …")
        if self.call.timeline:
            extra["observe"] = self.call.timeline
        return Engine(self.root, self.run_root, self.config, warn=_Warnings(), berths=self.call.berths, **extra)


class _Warnings:
    """Lines on stderr about what stops nothing, each said once."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, warning: str) -> None:
        from .output.safe import printable

        if warning not in self._said:
            self._said.add(warning)
            print(f"cmanager: warning: {printable(' '.join(warning.split()))}", file=sys.stderr)


def load(name: str) -> click.Command:
    """The command of a file of this directory."""
    command: click.Command = import_module(f".{name}", __package__).command
    if COMPLETE in os.environ:
        from .candidates import attach

        attach(command)
    return command


class _Commands(click.Group):
    """A group whose commands are imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return load(cmd_name) if cmd_name in COMMANDS else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        # Not the group's own: it imports every command for its help.
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f", did you mean {close[0]!r}" if close else ", see cmanager --help"
            raise Refused(f"{args[0][:100]!r} is not a cmanager command{hint}")
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, settled(command, rest) if command else rest


class Refused(click.ClickException):
    """What Docker answers with 1 and not with 125."""

    exit_code = 1


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option(
    "--root", default="/var/lib/cmanager", envvar="CMANAGER_ROOT", help="Directory of what survives a reboot."
)
@click.option("--run-root", default="/run/cmanager", envvar="CMANAGER_RUN_ROOT", help="Directory of what does not.")
@click.option("--config", default=None, envvar="CMANAGER_CONFIG", help="plugins.toml to lay over the shipped one.")
@click.option("--no-warm", is_flag=True, help="Use no command server, and start none.")
@click.pass_context
def cli(ctx: click.Context, root: str, run_root: str, config: str | None, no_warm: bool) -> None:
    """A pluggable, multi-runtime container manager for Linux."""
    # Whoever could have used a server has read --no-warm already: cmanager.warm.client.
    ctx.obj = Settings(root, run_root, config, ctx.obj)
    for name, what in ((WARM, "number of seconds"), (POOL, "number of slots, 0 for none")):
        value = os.environ.get(name) or "0"
        if not (value.isascii() and value.isdigit()):
            from ..errors import InvalidError

            raise InvalidError(f"{name}={value} in the environment is no whole {what}")


def run(
    arguments: list[str],
    mover: Mover | None = None,
    since: Sequence[tuple[str, int]] = (),
    berths: Berths | None = None,
) -> int:
    """Run one command line; returns its exit code. Every error is one line on stderr.

    mover: who moves the streams of attached programs; None for this process. since: what the command has done so far,
    one after the other, the last of it now, each with the moment it began (`time.monotonic_ns`). berths: where slots
    are kept ready for containers.
    """
    call = Call(mover, since, berths)
    code = _run(arguments, call)
    if call.timeline:
        from .output.timeline import tell

        tell(call.timeline, call.style)
    return code


def _run(arguments: list[str], call: Call) -> int:
    try:
        if COMPLETE in os.environ:
            from .completion import prepare

            prepare(cli)
        result = cli.main(arguments, prog_name="cmanager", standalone_mode=False, obj=call)
        call.over()
        return int(result or 0)
    except Refused as error:
        return _fail(error.message, 1)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.NoSuchOption as error:
        return _fail(_no_option(error), 125)
    except click.ClickException as error:
        return _fail(_lower(error.format_message()), 125)
    except click.Abort:
        return 130
    except click.exceptions.Exit as error:
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has left; nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _explain(error)


def _no_option(error: click.NoSuchOption) -> str:
    """What to say of an option that there is none of: why, where people know it from Docker or Podman."""
    name, command = error.option_name, error.ctx.command_path if error.ctx else "cmanager"
    if command.endswith((" run", " create")):
        from .refused import REASONS

        if name in REASONS:
            return f"{name} is not supported, {REASONS[name]}"
    close = " or ".join(sorted(error.possibilities or ()))
    return f"no such option {name}, {f'did you mean {close}' if close else f'see {command} --help'}"


def _explain(error: Exception) -> int:
    from ..errors import CmanagerError

    if os.environ.get("CMANAGER_DEBUG") == "1":
        import traceback

        traceback.print_exc()
    if isinstance(error, CmanagerError):
        return _fail(str(error), error.exit_code)
    return _fail(f"internal error: {type(error).__name__}: {error} (CMANAGER_DEBUG=1 shows where)", 125)


def _fail(text: str, code: int) -> int:
    from .output.safe import printable

    print(f"cmanager: {printable(' '.join(text.split()))}", file=sys.stderr)
    return code


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")
