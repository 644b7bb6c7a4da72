"""`cmanager doctor`."""

from __future__ import annotations

import click


@click.command()
@click.option("--format", "template", default="", help="json, or a Go template.")
def command(template: str) -> int:
    """Show what this host offers to containers, and what each lack costs."""
    from ..linux import doctor
    from .output.listing import print_rows

    findings = doctor.examine()
    rows = [{"What": f.what, "State": f.state, "Found": f.found, "Cost": f.cost} for f in findings]
    headers = {key: key.upper() for key in ("What", "State", "Found", "Cost")}
    print_rows(rows, tuple(headers), headers, template)
    return 1 if any(f.state == "missing" and f.needed for f in findings) else 0
