"""`cmanager update`."""

from __future__ import annotations

import click

from .main import Settings


@click.command()
@click.option("-m", "--memory", default="", metavar="BYTES", help="Memory limit, such as 64m.")
@click.option("--cpus", type=float, default=None, help="Number of CPUs' worth of time.")
@click.option("-c", "--cpu-shares", type=int, default=None, help="Relative weight, 1024 is the default.")
@click.option("--pids-limit", type=int, default=None, help="Number of processes, -1 for no limit.")
@click.option("--cpuset-cpus", default=None, help="CPUs it may run on, such as 0-1,3.")
@click.option("--restart", default="", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped.")
@click.option("-f", "--force", is_flag=True, help="Also a memory limit below what is in use.")
@click.argument("containers", nargs=-1, required=True)
@click.pass_obj
def command(
    settings: Settings,
    memory: str,
    cpus: float | None,
    cpu_shares: int | None,
    pids_limit: int | None,
    cpuset_cpus: str | None,
    restart: str,
    force: bool,
    containers: tuple[str, ...],
) -> int:
    """Change limits and restart policy of CONTAINERS, at once where they run."""
    from ..engine import Update
    from ..errors import InvalidError
    from ..model import Limits
    from .many import for_each
    from .output.human import parse_size
    from .policies import restart_policy

    limits = Limits(
        memory=parse_size(memory, "--memory") if memory else None,
        cpus=cpus,
        cpu_shares=cpu_shares,
        pids=pids_limit,
        cpuset_cpus=cpuset_cpus,
    )
    if not limits.given() and not restart:
        raise InvalidError("update needs something to change, see cmanager update --help")
    change = Update(limits, restart_policy(restart) if restart else None)
    engine = settings.engine()
    return for_each(containers, lambda word: engine.update(word, change, force=force))
