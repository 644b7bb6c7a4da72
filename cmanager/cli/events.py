"""`cmanager events`."""

from __future__ import annotations

import click

from .main import Settings


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--since", default="", help="Begin with what happened then: RFC 3339, unix seconds or a duration ago.")
@click.option("--until", default="", help="End there; without it, go on until interrupted.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Show only those that match.")
@click.option("--format", "template", default="", help="json, or a Go template.")
@click.pass_obj
def command(settings: Settings, since: str, until: str, filters: tuple[str, ...], template: str) -> None:
    """Print what happens to containers and images, a line each, from now on or from a time in the past."""
    import json

    from .output import eventlines
    from .output.gotemplate import Template
    from .output.human import parse_time_ns
    from .output.safe import printable_lines

    wanted = eventlines.event_filters(filters)
    in_json = template in ("json", "{{json .}}")
    compiled = Template(template) if template and not in_json else None
    end = parse_time_ns(until, "--until") if until else None
    # As in Docker: an end without a beginning shows all that is known.
    begin = parse_time_ns(since, "--since") if since else 0 if until else None
    for entry in filter(wanted, settings.engine().events(begin, end)):
        if compiled:
            click.echo(printable_lines(compiled.render(eventlines.fields(entry))))
        else:
            click.echo(json.dumps(eventlines.document(entry)) if in_json else eventlines.line(entry))
