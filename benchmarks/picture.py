"""Figures as a picture (SVG): a bar for each median, a line over the middle half of the samples."""

from __future__ import annotations

from xml.sax.saxutils import escape

from .results import Report, Result, Row
from .table import figure

_WIDTH, _NAMES, _FIGURES, _LINE, _GAP = 860, 270, 170, 20, 46
#: How the names of rows begin that are no cmanager.
_PEERS = ("docker", "podman", "bare runc", "lxc-execute", "tar", "daemons of docker")
_STYLE = """
text { font: 12px sans-serif; fill: #222 } .title { font-weight: bold } .small { font-size: 11px; fill: #666 }
.ours { fill: #2a78b8 } .theirs { fill: #b9bec4 } .spread { stroke: #222; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #ddd } .small { fill: #999 } .ours { fill: #5aa9e6 } .theirs { fill: #5b626a } .spread { stroke: #ddd } }
"""


def draw(report: Report) -> str:
    """A panel for each job; at its foot what was measured with."""
    parts, top = [], 10
    for result in report.results:
        panel, height = _panel(result, top)
        parts += panel
        top += height + _GAP
    for name, value in (*report.versions.items(), *report.machine.items()):
        parts.append(_text(10, top, f"{name}: {value}", "small"))
        top += 16
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}" viewBox="0 0 {_WIDTH} {top}">'
    return "\n".join((head, f"<style>{_STYLE}</style>", *parts, "</svg>", ""))


def _panel(result: Result, top: int) -> tuple[list[str], int]:
    title = f"{result.about}: {result.unit}, {result.better} is better"
    parts = [_text(10, top + 12, title, "title")]
    most = max((row.quartiles[1] for row in result.rows), default=0) or 1
    unit = (_WIDTH - _NAMES - _FIGURES) / most
    for number, row in enumerate(result.rows):
        parts += _bar(result, row, top + 24 + number * _LINE, unit)
    return parts, 24 + len(result.rows) * _LINE


def _bar(result: Result, row: Row, top: int, unit: float) -> list[str]:
    low, high = (_NAMES + value * unit for value in row.quartiles)
    middle, width = top + _LINE / 2, max(row.median * unit, 1)
    whose = "theirs" if row.name.startswith(_PEERS) else "ours"
    ratio = result.ratio(row)
    said = f"{figure(row.median)} {result.unit}" + ("" if ratio is None else f", ratio {ratio:.2f}")
    return [
        _text(_NAMES - 8, middle + 4, row.name, anchor="end"),
        f'<rect class="{whose}" x="{_NAMES}" y="{top + 3}" width="{width:.1f}" height="{_LINE - 6}"/>',
        f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>',
        _text(max(high, _NAMES + width) + 8, middle + 4, said, "small"),
    ]


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
