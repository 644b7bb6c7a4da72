"""`cmanager exec`."""

from __future__ import annotations

import click

from .main import Settings
from .options import CONTEXT, detach_option


@click.command(context_settings=CONTEXT)
@click.option("-d", "--detach", is_flag=True, help="Leave it running in the background.")
@click.option("-i", "--interactive", is_flag=True, help="Keep stdin open.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Set an environment variable.")
@click.option("--env-file", multiple=True, metavar="FILE", help="Read environment variables from a file.")
@click.option("-w", "--workdir", default="", help="Working directory inside.")
@click.option("-u", "--user", default="", metavar="NAME|UID[:GROUP|GID]", help="Who the program runs as.")
@click.option("--privileged", is_flag=True, help="Give it all capabilities.")
@detach_option
@click.argument("container")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND [ARG]...")
@click.pass_obj
def command(
    settings: Settings,
    detach: bool,
    interactive: bool,
    tty: bool,
    env: tuple[str, ...],
    env_file: tuple[str, ...],
    workdir: str,
    user: str,
    privileged: bool,
    detach_keys: bytes,
    container: str,
    program: tuple[str, ...],
) -> int:
    """Run COMMAND in the running CONTAINER."""
    from ..model import ExecRequest
    from .attached import pump, window
    from .request import environment

    request = ExecRequest(program, environment(env_file, env), user, workdir, interactive, tty, privileged)
    size = window(tty=tty and not detach, interactive=interactive)
    session = settings.engine().exec(container, request, attached=not detach, window=size)
    if session is None:
        return 0
    return pump(settings, session, interactive=interactive, detach_keys=detach_keys, sig_proxy=False)
