"""Asking a container whether it is well, at intervals, without ever waiting for the answer."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs

from ..errors import CmanagerError
from ..linux.process import Process, children, reap
from ..model.container import Check, ExecRequest, Health, Healthcheck
from ..model.runtime import Bundle, Stdio
from ..oci import execution, health
from .background import detach

_OUTPUT = 4096
_KEPT = 5
_TIMED_OUT = 124  # as timeout(1) has it


class Monitor:
    """The health of one life of a container.

    check: as `oci.health.effective` gives it; runtime: one that has exec. The owner polls `fd` (-1: nothing runs),
    calls `tick` when `due` seconds have passed or `fd` is readable, and `close` at the end; child: the process that
    asks, 0 for none, which is reaped here.
    """

    def __init__(self, check: Healthcheck, runtime: Any, bundle: Bundle, init: Process) -> None:
        self._check, self._runtime, self._bundle, self._init = check, runtime, bundle, init
        self._began = time.monotonic()
        self._next = self._began + self._interval(Health())
        self.child = 0
        self._asked = 0.0
        self.fd = -1
        self.health = Health()

    @property
    def due(self) -> float | None:
        """Seconds until `tick` is wanted; None while an answer is awaited."""
        return None if self.child else max(0.0, self._next - time.monotonic())

    def tick(self, paused: Callable[[], bool]) -> bool:
        """Ask, or take the answer; True when `health` has changed. paused: a frozen container is not asked."""
        if self.child:
            return self._collect()
        if time.monotonic() >= self._next:
            if paused():
                self._next = time.monotonic() + self._interval(self.health)
            else:
                self._ask()
        return False

    def close(self) -> None:
        """End a check that still runs."""
        if self.child:
            os.kill(self.child, signal.SIGKILL)
            os.waitpid(self.child, 0)
            os.close(self.fd)
            self.child, self.fd = 0, -1

    def _interval(self, now: Health) -> float:
        check = self._check
        if now.status == "starting" and time.monotonic() - self._began < (check.start_period or 0):
            return check.start_interval or 0
        return check.interval or 0

    def _ask(self) -> None:
        self._asked = time.time()
        try:
            self.fd, write = os.pipe()
            self.child = os.fork()
        except OSError:
            # Out of processes or descriptors: no answer, which says nothing of the container. The next time will do.
            self._next = time.monotonic() + self._interval(self.health)
            return
        if self.child == 0:
            try:
                detach({write})
                answer = self._run()
            except BaseException as error:
                answer = {"code": getattr(error, "exit_code", 125), "output": f"{error}"[:_OUTPUT]}
            with suppress(OSError):
                os.write(write, json.dumps(answer).encode())
            os._exit(0)
        os.close(write)

    def _collect(self) -> bool:
        data = b""
        while chunk := os.read(self.fd, 65536):
            data += chunk
        os.waitpid(self.child, 0)
        os.close(self.fd)
        self.child, self.fd = 0, -1
        answer = json.loads(data or b'{"code": 125, "output": "the check was killed"}')
        check = Check(self._asked, time.time(), answer["code"], answer["output"])
        before = self.health
        self.health = self._judged(before, check)
        self._next = time.monotonic() + self._interval(self.health)
        return True

    def _judged(self, before: Health, check: Check) -> Health:
        checks = (*before.checks, check)[-_KEPT:]
        if check.exit_code == 0:
            return Health("healthy", 0, checks)
        if before.status == "starting" and time.monotonic() - self._began < (self._check.start_period or 0):
            return attrs.evolve(before, checks=checks)
        failures = before.failures + 1
        unhealthy = failures >= (self._check.retries or 1)
        return Health("unhealthy" if unhealthy else before.status, failures, checks)

    def _run(self) -> dict[str, Any]:
        """In a child: run the program for at most the timeout; its exit code and what it said."""
        process = execution.process(self._bundle.path, self._init, ExecRequest(health.argv(self._check)))
        read, write = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            pid = self._runtime.exec(self._bundle, self._init, process, Stdio(null, write, write))
        except CmanagerError as error:
            return {"code": error.exit_code, "output": str(error)[:_OUTPUT]}
        os.close(write)
        ended = os.pidfd_open(pid)
        poller = select.poll()
        poller.register(ended, select.POLLIN)
        poller.register(read, select.POLLIN)
        deadline, output = time.monotonic() + (self._check.timeout or 0), b""
        while (left := deadline - time.monotonic()) > 0:
            ready = dict(poller.poll(min(left * 1000, 10**8)))
            if read in ready:
                chunk = os.read(read, 65536)
                output = (output + chunk)[: 4 * _OUTPUT]
                if not chunk:
                    poller.unregister(read)
            elif ended in ready:
                break
        else:
            # A runtime's tool may stand between: its end would not be the program's.
            for child in children(pid):
                os.kill(child, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return {"code": _TIMED_OUT, "output": f"health check exceeded its timeout ({self._check.timeout:g} s)"}
        code = reap(pid)
        text = output.decode("utf-8", "replace")[:_OUTPUT]
        return {"code": code, "output": text}
