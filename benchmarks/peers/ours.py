"""cmanager: the installed command on state directories of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import evolve, frozen

from .. import images
from ..commands import Command, Refused, run, seconds
from ..images import Image
from ..leaks import daemons, trees
from ..place import Place
from . import BRIDGE, HOST, NONE, said

#: Seconds in which a command server gets ready beside the first commands, or leaves.
_READY = 3.0


@frozen
class Cmanager:
    """command: the command's own words; place: whose directories it works on; runtime: a provider; warm: whether its
    command server may help. sources: directories of the code that the command runs."""

    name: str
    command: tuple[str, ...]
    place: Place
    sources: tuple[Path, ...]
    networks: tuple[str, ...] = (BRIDGE, NONE)
    runtime: str = "native"
    warm: bool = True
    config: str = ""

    @classmethod
    @contextmanager
    def open(cls, place: Place, command: Sequence[str]) -> Iterator[list[Cmanager]]:
        """Warm and cold, and warm through runc and lxc as far as those are there."""
        config = place.disk / "plugins.toml"
        config.write_text(f'[image.layers]\nregistry = "{images.registry(place)}"\n')
        config.chmod(0o600)
        warm = cls("cmanager", tuple(command), place, _sources(), config=str(config))
        run(warm._command("pull", "-q", images.BUSYBOX, says=None))
        found = [warm, evolve(warm, name="cmanager cold", warm=False)]
        there = warm.providers()
        found += [warm.through(name, there[name]) for name in ("runc", "lxc") if name in there]
        time.sleep(_READY)
        try:
            yield found
        finally:
            warm.clear()
            _end(daemons(place.above).get("cmanager", set()))

    def through(self, runtime: str, networks: tuple[str, ...]) -> Cmanager:
        """The same with another runtime provider."""
        return evolve(self, name=f"{self.name} by {runtime}", runtime=runtime, networks=networks)

    def providers(self) -> dict[str, tuple[str, ...]]:
        """The runtimes that work here, with the networks each can give."""
        table = json.loads(run(self._command("info", "-f", "json", says=None)))["Runtimes"]
        there = {name: found for name, found in table.items() if not found["Error"]}
        return {name: (BRIDGE, NONE) if "network" in found["Options"] else (HOST,) for name, found in there.items()}

    def version(self) -> str:
        facts = json.loads(run(self._command("version", "-f", "json", says=None)))
        return f"{facts['Version']} ({self.stamp()}), Python {facts['Python']}"

    def server(self) -> str:
        """Whether commands are served by the command server: "used", or what `doctor` says is in the way."""
        said = run(self._command("doctor", says=None)).splitlines()
        line = " ".join(next((line for line in said if line.startswith("command server")), "not there").split())
        return "used" if line.startswith("command server ok") else f"{line}: warm is cold here"

    def stamp(self) -> str:
        """A digest of its code."""
        digest = hashlib.sha256()
        for path in sorted(path for directory in self.sources for path in directory.rglob("*.py")):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:8]

    def run(self, network: str, words: Sequence[str], says: str = "") -> Command:
        return self._command("run", "--rm", *self._options(network), images.BUSYBOX, *words, says=says)

    def start(self, network: str, name: str) -> Command:
        options = ("-d", "--name", name, *self._options(network))
        return self._command("run", *options, images.BUSYBOX, "/bin/sleep", "1000000", says=None)

    def exec(self, name: str, words: Sequence[str]) -> Command:
        return self._command("exec", name, *words)

    def listing(self, count: int) -> Command:
        return self._command("ps", says=rf"(.*\n){{{count + 1}}}")

    def inspect(self, name: str) -> Command:
        return self._command("inspect", name, says=rf"(?s).*{name}.*")

    def remove(self, names: Sequence[str]) -> None:
        if names:
            run(self._command("rm", "-f", *names, says=None))

    def fetchers(self, image: Image) -> Mapping[str, Callable[[], float]]:
        return {"": self._fetch}

    def other(self, *words: str, config: str | None = None) -> Command:
        """Any other command, whatever it prints, with another configuration file where one is given."""
        return evolve(self, config=config if config is not None else self.config)._command(*words, says=None)

    def clear(self) -> None:
        """Remove every container."""
        self.remove(run(self._command("ps", "-aq", says=None)).split())

    @property
    def root(self) -> str:
        return str(self.place.disk / "root")

    @property
    def run_root(self) -> str:
        return str(self.place.memory / "cmanager")

    def _fetch(self) -> float:
        """A container that is made and not started: the image is fetched and unpacked."""
        root = self.place.disk / f"fetched-{time.monotonic_ns()}"
        there = {"CMANAGER_ROOT": str(root)}
        command = self._command("create", "--pull", "always", "--name", "fetched", images.BIG, says=None)
        try:
            took = seconds(evolve(command, variables={**command.variables, **there}))
            removing = self._command("rm", "fetched", says=None)
            run(evolve(removing, variables={**removing.variables, **there}))
        finally:
            shutil.rmtree(root, ignore_errors=True)
        return took

    def _options(self, network: str) -> tuple[str, ...]:
        return ("--runtime", self.runtime, *(() if network == BRIDGE else ("--network", network)))

    def _command(self, *words: str, says: str | None = "") -> Command:
        variables = {"CMANAGER_ROOT": self.root, "CMANAGER_RUN_ROOT": self.run_root, "CMANAGER_CONFIG": self.config}
        if not self.warm:
            variables["CMANAGER_WARM"] = "0"
        return Command((*self.command, *words), variables, says=says)


def _end(servers: set[int]) -> None:
    """Let them leave, for whoever runs no other container any more."""
    for pid in servers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _READY
    while trees(servers) and time.monotonic() < deadline:
        time.sleep(0.05)


def _sources() -> tuple[Path, ...]:
    """Where a program of this interpreter finds cmanager and its plugins."""
    asked = "import cmanager, cmanager_native; print(cmanager.__path__[0]); print(cmanager_native.__path__[0])"
    try:
        core, plugin = said(sys.executable, "-P", "-c", asked).split()
    except OSError as error:
        raise Refused(f"cannot ask {sys.executable} where cmanager is: {error}") from None
    return (Path(core), *sorted(Path(plugin).parent.glob("cmanager_*")))
