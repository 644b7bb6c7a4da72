"""How a pull shows on stderr."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from cmanager.cli.output.progress import shown
from cmanager.model import PullEvent

EVENTS = (
    PullEvent("", "status", text="busybox:latest: pulling"),
    PullEvent("4f4fb700ef54", "waiting", 0, 100),
    PullEvent("4f4fb700ef54", "downloading", 10, 100),
    PullEvent("4f4fb700ef54", "downloading", 90, 100),
    PullEvent("4f4fb700ef54", "complete", 100, 100),
    PullEvent("8d3ac3489996", "exists", 5, 5),
)
#: The same events through a process of its own, which may then say what it imported.
SCRIPT = """
import sys
from cmanager.cli.output.progress import shown
from cmanager.model import PullEvent
with shown("auto") as show:
    for item, action, done, total in eval(sys.argv[1]):
        show(PullEvent(item, action, done, total))
print("rich" in sys.modules)
"""
LINES = [(event.item, event.action, event.done, event.total) for event in EVENTS if event.item]


def show(mode: str, *events: PullEvent) -> None:
    with shown(mode) as callback:
        for event in events:
            callback(event)


@pytest.mark.parametrize("mode", ["plain", "auto"])
def test_plain_is_a_line_per_change_of_state(mode: str, capfd: pytest.CaptureFixture[str]) -> None:
    show(mode, *EVENTS)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "busybox:latest: pulling",
        "4f4fb700ef54: Waiting",
        "4f4fb700ef54: Downloading",
        "4f4fb700ef54: Pull complete",
        "8d3ac3489996: Already exists",
    ]


def test_plain_shows_nothing_a_terminal_would_act_on(capfd: pytest.CaptureFixture[str]) -> None:
    show("plain", PullEvent("\x1b[2J", "status", text="a\rb"))
    assert capfd.readouterr().err == "\\x1b[2J: a\\x0db\n"


def test_json_is_an_object_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    show("json", *EVENTS)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert lines[0] == {"item": "", "action": "status", "text": "busybox:latest: pulling"}
    assert lines[2] == {"item": "4f4fb700ef54", "action": "downloading", "done": 10, "total": 100}
    assert len(lines) == len(EVENTS)


def test_none_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    show("none", *EVENTS)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("term", "bars"), [("xterm", True), ("dumb", False)])
def test_a_terminal_gets_a_bar_a_layer(term: str, bars: bool) -> None:
    imported, seen = _on_terminal(LINES, term)
    assert imported == str(bars)
    assert ("\x1b[" in seen) == bars
    for word in ("4f4fb700ef54", "8d3ac3489996", "Pull complete", "Already exists"):
        assert word in seen


def test_a_terminal_costs_nothing_before_the_first_event() -> None:
    assert _on_terminal([], "xterm") == ("False", "")


def _on_terminal(lines: list[tuple[str, str, int, int]], term: str) -> tuple[str, str]:
    """What the script said, and what the terminal saw."""
    ours, theirs = pty.openpty()
    try:
        environment = {**os.environ, "TERM": term, "COLUMNS": "120"}
        command = [sys.executable, "-c", SCRIPT, repr(lines)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, text=True, check=True)
        os.set_blocking(ours, False)
        try:
            seen = os.read(ours, 1 << 16).decode()
        except BlockingIOError:
            seen = ""
    finally:
        os.close(ours)
        os.close(theirs)
    return done.stdout.strip(), seen
