"""Slots for the containers of one engine (`cmanager.supervisor.slots`): taken where one is ready, asked for, and given
up for who needs what they have."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from typing import TYPE_CHECKING

from ..errors import CmanagerError
from ..linux import seal
from ..model.container import Container, RunRequest

if TYPE_CHECKING:
    from ..supervisor.slots import Berth, Berths
    from .engine import Engine


class Berthing:
    """berths: where slots are kept ready, None for a program's own, those of its starter, and for a command that has no
    server. network: the name of the provider that a request would have; config: path of the engine's configuration,
    "" for the usual search."""

    def __init__(
        self, engine: Engine, berths: Berths | None, network: Callable[[RunRequest], str], config: str
    ) -> None:
        self._engine, self._berths, self._network, self._config = engine, berths, network, config
        if berths is None and not seal.sealed():
            from ..supervisor.starter import ProgramBerths

            self._berths = ProgramBerths(config)

    def claimed(self, request: RunRequest) -> AbstractContextManager[Berth | None]:
        """A berth for a container such as this one, where one is kept; whatever was not launched there is undone."""
        if self._berths is None:
            return nullcontext()
        from ..supervisor.slots import Manager, plain

        if plain(request, network := self._network(request)):
            with suppress(OSError):  # its configuration has been removed
                berth = self._berths.claim(Manager.here(self._engine.paths, self._config), network)
                return closing(berth) if berth else nullcontext()
        return nullcontext()

    def want(self, container: Container) -> None:
        """The next container may be like this one."""
        if self._berths is None:
            return
        from ..supervisor.slots import Manager, kind_of

        with suppress(OSError, CmanagerError):  # it runs, whatever becomes of the next
            manager = Manager.here(self._engine.paths, self._config)
            if kind := kind_of(container, self._engine.plugins, manager):
                self._berths.want(kind)

    def give_up(self) -> bool:
        """Have every slot undone, whoever keeps it; whether there was one."""
        from ..supervisor.slots import dismiss

        return bool(dismiss(self._engine.paths))
