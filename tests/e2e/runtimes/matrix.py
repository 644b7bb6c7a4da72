"""What the matrix is made of: a runtime and what it announced, and cases that hold on all that announced enough."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import field, frozen

from ...support import Cli, Snapshot
from ...turns import alone

#: The rows of the matrix. One that is not there is skipped and says why.
NAMES = ("native", "runc", "crun", "lxc", "nspawn", "chroot")


@frozen
class Runtime:
    """A runtime that is there.

    abilities: what it announced; notes: what it says of itself; config: a plugins.toml that makes it the default.
    """

    name: str
    abilities: frozenset[str]
    notes: str
    config: Path

    def able(self, *needs: str) -> bool:
        """Whether it announced all of these."""
        return self.abilities.issuperset(needs)

    @classmethod
    def of(cls, name: str, config: Path) -> Runtime:
        """From its row of the capability table."""
        config.write_text(f'[defaults]\nruntime = "{name}"\n')
        return cls(name, abilities(name), "\n".join(table()[name]["Notes"]), config)


@frozen
class Case:
    """Options of `run`, a script for `sh -c` inside, what it prints and its exit code.

    needs: abilities without which these options are refused.
    """

    options: tuple[str, ...]
    script: str
    answer: str = ""
    code: int = 0
    needs: tuple[str, ...] = field(default=(), kw_only=True)


def check(cli: Cli, runtime: Runtime, case: Case) -> None:
    """It holds, or is refused as announced."""
    words = ("run", "--rm", *case.options, "busybox", "sh", "-c", case.script)
    if not runtime.able(*case.needs):
        refused(cli, runtime, *words)
        return
    done = cli(*words)
    assert (done.returncode, done.stdout.strip()) == (case.code, case.answer), done.stderr


def refused(cli: Cli, runtime: Runtime, *words: str) -> None:
    """One line that names one of the flags and the runtime, code 125, and nothing was made."""
    flags = [word for word in words[: words.index("busybox")] if word.startswith("--") and word != "--rm"]
    with alone():
        before, names = Snapshot.take(), cli.names()
        done = cli(*words)
        assert Snapshot.take().beyond(before) == {}
    assert (done.returncode, done.stdout) == (125, ""), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"runtime {runtime.name} " in done.stderr
    assert any(flag in done.stderr for flag in flags), f"none of {flags} in {done.stderr}"
    assert cli.names() == names


def sheet(scripts: dict[str, str]) -> tuple[str, ...]:
    """A command that runs several scripts in a row, each in a shell of its own; `answers` takes its output apart."""
    return ("sh", "-c", "\n".join(f"echo; echo '== {name}'; ({script}) 2>&1" for name, script in scripts.items()))


def answers(output: str) -> dict[str, str]:
    """What each script of a sheet printed."""
    parts = (part.partition("\n") for part in f"\n{output}".split("\n== ")[1:])
    return {name: text.strip() for name, _, text in parts}


def own(kind: str) -> str:
    """A script that says whether a namespace is the tests' own or not: "own" to the container, or "shared"."""
    return f"[ $(readlink /proc/self/ns/{kind}) = {os.readlink(f'/proc/self/ns/{kind}')} ] && echo shared || echo own"


def status(field: str) -> str:
    """A script that prints a field of its own /proc/self/status."""
    return f"sed -n 's/^{field}:\t//p' /proc/self/status"


@cache
def table() -> dict[str, dict[str, Any]]:
    """The capability table of `cmanager info`: what each runtime can do on this host."""
    with TemporaryDirectory() as directory:
        cli = Cli(Path(directory, "root"), Path(directory, "run"))
        found: dict[str, dict[str, Any]] = json.loads(cli.ok("info", "-f", "json"))["Runtimes"]
    return found


def absent(name: str) -> str:
    """Why a runtime is not there, in one line; "" if it is."""
    if name not in table():
        return f"runtime {name}: no such plugin"
    error: str = table()[name]["Error"]
    return error and f"runtime {name}: {error.removeprefix(f'runtime {name} ')}"


def abilities(name: str) -> frozenset[str]:
    """What a runtime announced: its options, "KIND namespace" for each kind that it makes, and "exec" if it can."""
    row = table()[name]
    kinds = (f"{kind} namespace" for kind in row["Namespaces"])
    return frozenset([*row["Options"], *kinds, *(["exec"] if row["Exec"] else [])])
