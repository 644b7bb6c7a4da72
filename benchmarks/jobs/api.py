"""The Python API: one process that starts a container after the other."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from ..commands import Refused, seconds
from ..measuring import Contestant, Rounds
from ..peers import BRIDGE, NONE, TRUE, Peer
from ..results import Row
from . import Bench, Job

_PROGRAM = Path(__file__).parent.parent / "engine.py"


def _api(bench: Bench) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    program = _Program(bench)
    bench.stack.callback(program.end)
    contestants = [
        Contestant("Engine, bridge", partial(program.ask, BRIDGE)),
        Contestant("Engine, no network", partial(program.ask, NONE)),
    ]
    if bare := bench.peers.named("bare runc"):
        contestants.append(Contestant(bare.name, partial(_milliseconds, bare)))
    return bench.measure(contestants), ()


class _Program:
    """One that uses the API of the installed cmanager, until `end`."""

    def __init__(self, bench: Bench) -> None:
        theirs, ours = os.pipe(), os.pipe()
        words = (str(_PROGRAM), bench.ours.root, bench.ours.run_root, bench.ours.config)
        self._process = subprocess.Popen(
            [sys.executable, "-P", *words], stdin=theirs[0], stdout=ours[1], start_new_session=True
        )
        os.close(theirs[0])
        os.close(ours[1])
        self._questions, self._answers = os.fdopen(theirs[1], "w"), os.fdopen(ours[0])

    def ask(self, network: str) -> float:
        """Milliseconds that one container took. Raises Refused."""
        try:
            self._questions.write(f"{network}\n")
            self._questions.flush()
            return float(self._answers.readline()) * 1000
        except (OSError, ValueError) as error:
            raise Refused(f"the program that uses Engine failed: {error}") from None

    def end(self) -> None:
        """Let it end, and wait for that."""
        self._questions.close()
        self._answers.close()
        self._process.wait(30)


def _milliseconds(peer: Peer) -> float:
    return seconds(peer.run(NONE, TRUE)) * 1000


JOBS = (Job("api", "Engine.run of busybox true in one Python process", "ms", _api, Rounds(30, warm_up=3)),)
