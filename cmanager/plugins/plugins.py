"""Plugins by seam and name: each in the process and under the policy that the configuration gives it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import evolve

from ..errors import CmanagerError, InvalidError, PluginError
from .config import Config
from .faults import Faults
from .finder import STRAY, Finder, Found, why
from .policy import NEUTRAL, Policy

if TYPE_CHECKING:
    from ..model.plugin import Amendment, Event
    from .calls import Call
    from .loader import Loader


class PluginRow(NamedTuple):
    """One line of `cmanager plugin ls`: state is "ok" or "failed", reason says why; isolation: where it runs."""

    seam: str
    name: str
    module: str
    origin: str
    default: bool
    state: str
    reason: str
    isolation: str


def _unheard(warning: str) -> None:
    """The warning that nobody reads."""


class Plugins:
    """Providers by seam and name, made once per process and only when asked for.

    root, run_root: the manager's state roots. warn: called with a line for each fault that its policy passes over; may
    be set anew. Nothing is imported, no process made and no entry point scanned by the constructor. After a fork
    processes of plugins belong to the process that made them, and the child makes its own.
    """

    def __init__(self, config: Config, root: str, run_root: str, warn: Callable[[str], None] = _unheard) -> None:
        self.config, self.warn = config, warn
        self._root, self._run_root = root, run_root
        self._finder = Finder(config)
        self._faults = Faults(f"{run_root}/plugins")
        self._instances: dict[tuple[str, str], Any] = {}
        self._isolated: dict[tuple[str, str], Any] = {}
        self._there: dict[tuple[str, str], bool] = {}

    @cached_property
    def _loader(self) -> Loader:
        from .loader import Loader  # only who needs a provider pays for it

        return Loader(self._finder, self._root, self._run_root)

    def default(self, seam: str) -> str:
        """Name of the provider that fills a seam unless the request names another."""
        try:
            return self.config.defaults[seam]
        except KeyError:
            raise InvalidError(f"{self.config.where('defaults')}: no default for the {seam} seam") from None

    def names(self, seam: str) -> list[str]:
        """Every known provider of a seam, working or not: nothing is imported, entry points are scanned.

        One that answers for a family of names ("docker:*") is not among them, see `families`.
        """
        return [name for name in self._finder.names(seam) if not name.endswith("*")]

    def families(self, seam: str) -> list[str]:
        """What the names begin with that one provider answers for: "docker:" where "docker:*" is known."""
        return [name[:-1] for name in self._finder.names(seam) if name.endswith("*")]

    def version(self, seam: str, name: str) -> str:
        """ "NAME VERSION" of the distribution that a plugin was installed with, "" where it is none."""
        return self._finder.version(seam, name)

    def there(self, seam: str, name: str) -> bool:
        """Whether a plugin is installed, working or not; one that the configuration does not name costs a scan."""
        key = (seam, name)
        if key not in self._there:
            self._there[key] = self._finder.there(seam, name)
        return self._there[key]

    def get(self, seam: str, name: str) -> Any:
        """The provider: an object with the methods of its seam, and of what it can do besides (`seams.ABILITIES`).

        A method raises what its contract says, PluginError for every other fault of the plugin. `get` raises
        NotFoundError for an unknown name, PluginError for a broken plugin, InvalidError for its options.
        """
        key = (seam, name)
        if key not in self._instances:
            self._instances[key] = self._make(seam, name)
        return self._instances[key]

    def begin(self, seam: str, name: str) -> None:
        """Start loading a plugin that has a process of its own, and do not wait: its time runs from here on.

        So of many that are wanted, one that hangs costs the others nothing. Errors come with `get`.
        """
        with suppress(CmanagerError):
            self._allowed(seam, name)
            if self._policy(seam, name).isolation == "process":
                self._alone(seam, name).begin()

    def prepare(self, seam: str, name: str) -> None:
        """Make a plugin that runs in this process, so that those forked from it need not; others are left alone.

        Errors come with `get`.
        """
        with suppress(CmanagerError):
            if self._policy(seam, name).isolation == "inline":
                self.get(seam, name)

    def renew(self, seam: str, name: str) -> None:
        """From its next call on, run it in a process made by this one as it is now: in its mount namespace."""
        if isolated := self._isolated.get((seam, name)):
            isolated.end()

    def amend(self, spec: dict[str, Any]) -> list[tuple[str, Amendment]]:
        """What the plugins listed under `[hooks] amend` want to add, each with the plugin's name.

        Raises PluginError, naming the plugin, for one that fails or refuses the container.
        """
        found = []
        for name in self._listed("amend"):
            try:
                answer = self.get("hooks", name).cmanager_amend(spec=spec)
            except PluginError:
                raise
            except CmanagerError as error:
                raise PluginError(f"plugin {name!r} refused the container: {error}") from None
            if answer is not None:
                found.append((name, answer))
        return found

    def announce(self, event: Event) -> list[str]:
        """Tell the plugins listed under `[hooks] event`; returns a warning for each that failed."""
        warnings: list[str] = []
        for name in self._listed("event"):
            before, self.warn = self.warn, warnings.append
            try:
                self.get("hooks", name).cmanager_event(event=event)
            except CmanagerError as error:
                if self.config.mode == "strict":
                    raise
                warnings.append(str(error))
            finally:
                self.warn = before
        return warnings

    def rows(self) -> list[PluginRow]:
        """Every known provider and hook plugin, loaded (not run) to see whether it works; broken ones say why.

        One that plugins.toml has a policy for is among them, installed or not.
        """
        known = dict.fromkeys(self.config.policies, Found("", "plugins.toml")) | self._finder.known()
        for key in known:
            self.begin(*key.split(".", 1))
        rows = []
        for key, found in sorted(known.items(), key=lambda item: item[0]):
            seam, _, name = key.partition(".")
            isolation = self._policy(seam, name).isolation
            try:
                self._allowed(seam, name)
                if isolation == "process":
                    self._alone(seam, name).load()
                else:
                    self._loader.check(seam, name)
                state, reason = "ok", self._faults.last(seam, name)
            except CmanagerError as error:
                state, reason = "failed", str(error)
            default = self.config.defaults.get(seam) == name or (
                seam == "hooks" and any(name in names for names in self.config.hooks.values())
            )
            rows.append(PluginRow(seam, name, found.target, found.origin, default, state, reason, isolation))
        return rows

    def _listed(self, kind: str) -> tuple[str, ...]:
        names = self.config.hooks[kind]
        return tuple(n for n in names if self._finder.builtin("hooks", n)) if self.config.mode == "off" else names

    def _policy(self, seam: str, name: str) -> Policy:
        policy = self.config.policies.get(f"{seam}.{name}", Policy())
        if policy.isolation:
            return policy
        return evolve(policy, isolation="inline" if self._finder.builtin(seam, name) else "process")

    def _allowed(self, seam: str, name: str) -> None:
        if self.config.mode == "off" and not self._finder.builtin(seam, name):
            self._finder.module(seam, name)
            raise PluginError(f"{self._finder.called(seam, name)} is switched off by CMANAGER_PLUGINS=off")

    def _make(self, seam: str, name: str) -> Any:
        from .calls import face

        self._allowed(seam, name)
        policy = self._policy(seam, name)
        plugin = (
            self._alone(seam, name)
            if policy.isolation == "process"
            else _Inline(self._loader, self._finder.called(seam, name), seam, name)
        )
        call = self._forgiving(seam, name, policy, plugin.call)
        if target := os.environ.get("CMANAGER_TRACE"):
            from .trace import traced

            call = traced(f"{seam}.{name}", call, target)
        if seam == "hooks":
            return face(seam, (), {}, call)
        try:
            about = plugin.describe()
        except PluginError as error:
            self._faults.note(seam, name, str(error))
            raise
        return face(seam, tuple(about["names"]), about["values"], call)

    def _alone(self, seam: str, name: str) -> Any:
        from .host import Job
        from .isolated import Isolated

        key = (seam, name)
        if key not in self._isolated:
            self._isolated[key] = Isolated(
                Job(self.config, self._root, self._run_root, seam, name),
                self._finder.called(seam, name),
                self._policy(seam, name),
                f"{self._root}/plugins/{seam}.{name}.log",
            )
        return self._isolated[key]

    def _forgiving(self, seam: str, name: str, policy: Policy, call: Call) -> Call:
        """The same call, whose faults are remembered, and passed over where the policy says so."""
        skipped = set() if self.config.mode == "strict" else policy.skipped(seam)

        def forgiving(method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
            if method in skipped and (resting := self._faults.resting(seam, name)):
                self.warn(f"{self._finder.called(seam, name)} {resting}, {method} is skipped")
                return NEUTRAL[f"{seam}.{method}"]
            try:
                answer = call(method, arguments, named)
            except PluginError as error:
                self._faults.note(seam, name, str(error))
                if method not in skipped:
                    raise
                self.warn(str(error) if method == "cmanager_event" else f"{error}, which is skipped")
                return NEUTRAL[f"{seam}.{method}"]
            if method in skipped:
                self._faults.forgive(seam, name)
            return answer

        return forgiving


class _Inline:
    """A plugin in this process, made when it is first needed. what: how messages call it."""

    def __init__(self, loader: Loader, what: str, seam: str, name: str) -> None:
        self._loader, self._what, self._seam, self._name = loader, what, seam, name
        self._made: Any = None

    def describe(self) -> dict[str, Any]:
        from .loader import describe

        return describe(self._seam, self._instance())

    def call(self, method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        instance = self._instance()
        try:
            return getattr(instance, method)(*arguments, **named)
        except CmanagerError:
            raise
        except STRAY as error:
            from .calls import methods

            if isinstance(error, OSError) and methods(self._seam)[method].writes:
                raise
            raise PluginError(f"{self._what} failed in {method}: {why(error)}") from error

    def _instance(self) -> Any:
        if self._made is None:
            self._made = self._loader.make(self._seam, self._name)
        return self._made
