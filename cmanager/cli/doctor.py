"""`cmanager doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .main import Settings

if TYPE_CHECKING:
    from ..linux.doctor import Finding


@click.command()
@click.option("--format", "template", default="", help="json, or a Go template.")
@click.pass_obj
def command(settings: Settings, template: str) -> int:
    """Show what this host offers to containers, and what each lack costs."""
    from ..linux import doctor
    from .output.listing import print_rows

    findings = (*doctor.examine(), _warm(settings))
    rows = [{"What": f.what, "State": f.state, "Found": f.found, "Cost": f.cost} for f in findings]
    headers = {key: key.upper() for key in ("What", "State", "Found", "Cost")}
    print_rows(rows, tuple(headers), headers, template)
    return 1 if any(f.state == "missing" and f.needed for f in findings) else 0


def _warm(settings: Settings) -> Finding:
    from ..linux.doctor import Finding
    from ..warm import status

    found = status.look(settings.run_root)
    if not found.why:
        return Finding("command server", "ok", f"used, process {found.server}")
    who = f"process {found.server}: " if found.server else ""
    cost = "each command starts an interpreter and imports its modules, see docs/warm.md"
    return Finding("command server", "degraded", f"not used, {who}{found.why}", cost)
