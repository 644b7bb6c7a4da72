"""Ending a container from within its supervisor: asked first, killed when it does not listen."""

from __future__ import annotations

import time
from typing import Any

from ..linux.process import Process
from ..model.container import RunRequest
from ..oci.signals import number_of


class Stopping:
    """Carries out `--on-unhealthy` and `--timeout`. again: whether it shall start anew, whatever its policy says.

    The owner calls `tick` when `due` seconds have passed.
    """

    def __init__(self, runtime: Any, id: str, init: Process | None, request: RunRequest) -> None:
        self._runtime, self._id, self._init, self._request = runtime, id, init, request
        self._deadline = time.monotonic() + request.timeout if request.timeout else None
        self.again = False

    @property
    def due(self) -> float | None:
        """Seconds until its patience ends; None while nothing is to end."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def begin(self, action: str) -> None:
        """action: kill, stop or restart; anything else does nothing."""
        if action == "kill":
            self._signal(9)
        elif action in ("stop", "restart"):
            self.again = action == "restart"
            self._signal(number_of(self._request.stop_signal or "SIGTERM"))
            if self._request.stop_timeout >= 0:
                patience = time.monotonic() + self._request.stop_timeout
                self._deadline = patience if self._deadline is None else min(self._deadline, patience)

    def tick(self) -> None:
        """SIGKILL when the time is over."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._deadline = None
            self._signal(9)

    def _signal(self, number: int) -> None:
        if self._init:
            self._runtime.kill(self._id, self._init, number)
