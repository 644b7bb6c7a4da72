"""How a pull or a build shows while it goes on; always on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...model import Progress, PullEvent
from .safe import printable

_WORDS = {
    "waiting": "Waiting",
    "downloading": "Downloading",
    "verifying": "Verifying",
    "complete": "Pull complete",
    "exists": "Already exists",
    "building": "Building",
    "status": "",
}


@contextmanager
def shown(mode: str) -> Iterator[Progress]:
    """The callback for `mode`: auto (bars on a terminal, else plain), plain, json or none. Idle it costs nothing."""
    if mode == "none":
        yield lambda event: None
    elif mode == "json":
        yield _json
    elif mode == "plain" or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _Plain()
    else:
        bars = _Bars()
        try:
            yield bars
        finally:
            bars.stop()


def _json(event: PullEvent) -> None:
    data: dict[str, Any] = {"item": event.item, "action": event.action}
    data |= {key: value for key in ("done", "total", "text") if (value := getattr(event, key))}
    print(json.dumps(data), file=sys.stderr)


class _Plain:
    """One line per change of state."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def __call__(self, event: PullEvent) -> None:
        if event.action != "status" and self._last.get(event.item) == event.action:
            return
        self._last[event.item] = event.action
        print(_line(event), file=sys.stderr)


class _Bars:
    """A bar for everything whose size is known."""

    def __init__(self) -> None:
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def __call__(self, event: PullEvent) -> None:
        if self._progress is None:
            self._progress = self._start()
        if event.action == "status":
            self._progress.console.print(_line(event), markup=False, highlight=False)
            return
        task = self._tasks.get(event.item)
        word = printable(event.text or _WORDS.get(event.action, event.action))
        if task is None:
            task = self._tasks[event.item] = self._progress.add_task("", item=printable(event.item), total=None)
        done = event.action in ("complete", "exists")
        total = event.total or None
        self._progress.update(task, description=word, total=total or (1 if done else None))
        if total or done:
            self._progress.update(task, completed=(total or 1) if done else event.done)

    def stop(self) -> None:
        """Leave the bars as they are."""
        if self._progress is not None:
            self._progress.stop()

    def _start(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        texts = (TextColumn(text, markup=False) for text in ("{task.fields[item]}", "{task.description}"))
        columns = (*texts, BarColumn(), DownloadColumn())
        progress = Progress(*columns, console=Console(stderr=True))
        progress.start()
        return progress


def _line(event: PullEvent) -> str:
    word = event.text or _WORDS.get(event.action, event.action)
    return printable(f"{event.item}: {word}" if event.item else word)
