"""Every verb in every state, under every runtime; docs/lifecycle.md says the same, and is read here too."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from ...support import CHECKOUT, PATIENCE, Cli, wait_until
from .matrix import Runtime

pytestmark = pytest.mark.root

#: Seconds until its next life in which a command can find it waiting.
_LONG = 0.6 * PATIENCE
STATES = ("created", "running", "paused", "restarting", "exited", "lost")
_SCRIPT = "[ -e /mnt/failing ] && exit 1; exec sleep 1000"
_STAYS = "stays"
_GONE = "gone"

#: Of each verb that changes something: exit code and next state in each of the STATES.
CHANGING: dict[str, tuple[tuple[str, ...], tuple[tuple[int, str], ...]]] = {
    "start": (
        ("start", "it"),
        ((0, "running"), (0, _STAYS), (1, _STAYS), (0, _STAYS), (0, "running"), (0, "running")),
    ),
    "stop": (
        ("stop", "-t", "0", "it"),
        ((0, _STAYS), (0, "exited"), (0, "exited"), (0, "exited"), (0, _STAYS), (0, _STAYS)),
    ),
    "restart": (("restart", "-t", "0", "it"), ((0, "running"),) * 6),
    "kill": (
        ("kill", "it"),
        ((1, _STAYS), (0, "exited"), (0, "exited"), (0, "exited"), (1, _STAYS), (1, _STAYS)),
    ),
    "pause": (
        ("pause", "it"),
        ((1, _STAYS), (0, "paused"), (1, _STAYS), (1, _STAYS), (1, _STAYS), (1, _STAYS)),
    ),
    "unpause": (
        ("unpause", "it"),
        ((1, _STAYS), (1, _STAYS), (0, "running"), (1, _STAYS), (1, _STAYS), (1, _STAYS)),
    ),
    "rm": (
        ("rm", "it"),
        ((0, _GONE), (1, _STAYS), (1, _STAYS), (1, _STAYS), (0, _GONE), (0, _GONE)),
    ),
    "rm -f": (("rm", "-f", "it"), ((0, _GONE),) * 6),
    "container prune": (
        ("container", "prune", "-f"),
        ((0, _GONE), (0, _STAYS), (0, _STAYS), (0, _STAYS), (0, _GONE), (0, _GONE)),
    ),
}
#: Exit codes of those that leave the state as it is; None where they wait for what comes.
LOOKING: dict[str, tuple[tuple[str, ...], tuple[int | None, ...]]] = {
    "wait": (("wait", "it"), (None, None, None, None, 0, 0)),
    "attach": (("attach", "it"), (125, None, None, 125, 125, 125)),
    "exec": (("exec", "it", "true"), (125, 0, 125, 125, 125, 125)),
    "top": (("top", "it"), (125, 0, 0, 125, 125, 125)),
    "update": (("update", "--pids-limit", "99", "it"), (0,) * 6),
    "rename": (("rename", "it", "that"), (0,) * 6),
    "cp": (("cp", "that:/etc/passwd", "-"), (0,) * 6),
    "diff": (("diff", "that"), (0,) * 6),
    "export": (("export", "that"), (0,) * 6),
    "commit": (("commit", "that", "states:latest"), (0,) * 6),
    "logs": (("logs", "that"), (0,) * 6),
    "port": (("port", "that"), (0,) * 6),
    "inspect": (("inspect", "that"), (0,) * 6),
    "ps": (("ps", "-a"), (0,) * 6),
    "volume rm": (("volume", "rm", "states"), (1,) * 6),
}


def state(cli: Cli) -> str:
    """The only container's state, in the words of STATES; `_GONE` without one."""
    items = json.loads(cli.ok("ps", "-a", "--output", "json"))["items"]
    if not items:
        return _GONE
    return "lost" if items[0]["lost"] else str(items[0]["state"])


def supervisor(cli: Cli) -> int:
    """Pid of the only container's."""
    (record,) = (cli.root / "containers").glob("*/status.json")
    found: int = json.loads(record.read_text())["supervisor"]["pid"]
    return found


def left(cli: Cli) -> float:
    """Seconds until the only container's next life, none while it lives or begins to."""
    (record,) = (cli.root / "containers").glob("*/status.json")
    found: float = json.loads(record.read_text()).get("restart_at", 0.0)
    return found - time.time()


@pytest.fixture
def make(cli: Cli, tmp_path: Path) -> Callable[..., None]:
    """Bring a container called `it` into a state."""
    failing = tmp_path / "failing"

    def made(wanted: str, *more: str) -> None:
        policy = "always" if wanted == "restarting" else "no"
        options = ("--name", "it", "--restart", policy, "-v", f"{tmp_path}:/mnt", *more)
        words = (*options, "busybox", "sh", "-c", _SCRIPT)
        if wanted == "created":
            cli.ok("create", *words)
            return
        if wanted == "restarting":
            failing.touch()
        cli.ok("run", "-d", *words)
        if wanted == "paused":
            cli.ok("pause", "it")
        elif wanted == "exited":
            cli.ok("stop", "-t", "0", "it")
        elif wanted == "lost":
            os.kill(supervisor(cli), signal.SIGKILL)
        elif wanted == "restarting":
            wait_until(lambda: left(cli) > _LONG, "it waits for long enough", 60)
        failing.unlink(missing_ok=True)
        assert state(cli) == wanted

    return made


def states(*everyday: str) -> list[ParameterSet]:
    """All of them; those not named are for full runs."""
    return [pytest.param(state, marks=[] if state in everyday else pytest.mark.slow) for state in STATES]


@pytest.mark.everyday("native")
@pytest.mark.parametrize("before", states("running", "paused", "exited"))
@pytest.mark.parametrize("verb", CHANGING)
def test_what_a_verb_makes_of_a_state(cli: Cli, make: Callable[..., None], verb: str, before: str) -> None:
    words, answers = CHANGING[verb]
    code, after = answers[STATES.index(before)]
    make(before)
    done = cli(*words)
    assert done.returncode == code, done.stderr
    assert bool(done.stderr) == (code != 0) or verb == "stop", done.stderr
    if before == "restarting" and after == _STAYS:
        after = "running"  # what it waits for: now nothing fails any more
    expected = before if after == _STAYS else after
    wait_until(lambda: state(cli) == expected, f"it is {expected}")


@pytest.mark.everyday("native")
@pytest.mark.parametrize("now", states("running", "exited"))
def test_what_changes_no_state(cli: Cli, runtime: Runtime, make: Callable[..., None], now: str) -> None:
    make(now, "-v", "states:/data")
    if now == "restarting":
        os.kill(supervisor(cli), signal.SIGSTOP)  # so that it stays there
    try:
        for verb, (words, codes) in LOOKING.items():
            code = codes[STATES.index(now)]
            if verb == "exec" and not runtime.able("exec"):
                code = 125
            if code is None:
                with pytest.raises(subprocess.TimeoutExpired):
                    cli(*words, timeout=1)
            else:
                done = cli(*words)
                assert done.returncode == code, f"{verb}: {done.stderr}"
                assert bool(done.stderr) == (code != 0), f"{verb}: {done.stderr}"
            assert state(cli) == now, verb
    finally:
        if now == "restarting":
            os.kill(supervisor(cli), signal.SIGCONT)
        cli("rmi", "-f", "states:latest")
        cli.ok("rm", "-af")
        cli.ok("volume", "rm", "-f", "states")


def test_the_page_says_the_same() -> None:
    page = (CHECKOUT / "docs/lifecycle.md").read_text()
    table = page.partition("| verb |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = {cells[1].strip(): cells[2:-1] for line in table if (cells := line.split("|"))}
    codes: dict[str, tuple[int | None, ...]] = {verb: known for verb, (_, known) in LOOKING.items()}
    codes |= {verb: tuple(code for code, _ in known) for verb, (_, known) in CHANGING.items()}
    assert set(rows) >= set(codes)
    for verb, known in codes.items():
        # Stopped and lost are one column.
        assert known[4] == known[5]
        said = ["error" if re.match(r"\s*error", cell) else "fine" for cell in rows[verb]]
        assert said == ["error" if code else "fine" for code in known[:5]], verb
