"""The loader: from a provider's name to a working instance, with every mistake on the way told by name."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import attrs
import pluggy

from .. import hookspecs
from ..errors import CmanagerError, InvalidError, NotFoundError, PluginError
from ..model.plugin import Amendment, Context, Event, Provider
from ..seams import API, SEAMS
from .config import GROUP, Config, nearest, shipped_directory

#: A member of a family; the rest becomes part of paths.
_MEMBER = re.compile(r"[\w-]+:[a-zA-Z0-9][\w.-]{0,127}", re.ASCII)
_TARGET = re.compile(r"([A-Za-z_][\w.]*)(?::([\w.-]+))?\s*\[api(\d+)\]")


class PluginRow(NamedTuple):
    """One line of `cmanager plugin ls`: state is "ok" or "failed", reason says why."""

    seam: str
    name: str
    module: str
    origin: str
    default: bool
    state: str
    reason: str


class Plugins:
    """Providers by seam and name, made once per process and only when asked for.

    root, run_root: the manager's state roots; providers get directories of their own below them. Nothing is imported
    and no entry point is scanned by the constructor.
    """

    def __init__(self, config: Config, root: str, run_root: str) -> None:
        self.config = config
        self._root, self._run_root = root, run_root
        self._instances: dict[tuple[str, str], Any] = {}
        self._modules: dict[str, pluggy.PluginManager] = {}
        self._scanned: dict[str, tuple[str, str]] | None = None

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
        return sorted(name for name in self._known(seam) if not name.endswith("*"))

    def families(self, seam: str) -> list[str]:
        """What the names begin with that one provider answers for: "docker:" where "docker:*" is known."""
        return sorted(name[:-1] for name in self._known(seam) if name.endswith("*"))

    def get(self, seam: str, name: str) -> Any:
        """The provider's instance. Raises NotFoundError for an unknown name, PluginError for a broken plugin."""
        key = (seam, name)
        if key not in self._instances:
            self._instances[key] = self._make(seam, name)
        return self._instances[key]

    def amend(self, spec: dict[str, Any]) -> list[tuple[str, Amendment]]:
        """What the plugins listed under `[hooks] amend` want to add, each with the plugin's name.

        A plugin that raises fails the container: PluginError names it.
        """
        found = []
        for name in self.config.hooks["amend"]:
            manager = self._load("hooks", name)
            try:
                answers = manager.hook.cmanager_amend(spec=spec, options=self._hook_options(name))
            except CmanagerError as error:
                raise PluginError(f"plugin {name!r} refused the container: {error}") from None
            except Exception as error:
                raise PluginError(f"plugin {name!r} failed in cmanager_amend: {_why(error)}") from error
            for answer in answers:
                if not isinstance(answer, Amendment):
                    raise PluginError(f"plugin {name!r} returned {type(answer).__name__} from cmanager_amend")
                found.append((name, answer))
        return found

    def announce(self, event: Event) -> list[str]:
        """Tell the plugins listed under `[hooks] event`; returns a warning for each that failed."""
        warnings = []
        for name in self.config.hooks["event"]:
            try:
                self._load("hooks", name).hook.cmanager_event(event=event, options=self._hook_options(name))
            except Exception as error:
                warnings.append(f"plugin {name!r} failed in cmanager_event: {_why(error)}")
        return warnings

    def _hook_options(self, name: str) -> dict[str, Any]:
        """A copy, so that none can change what another is given."""
        return copy.deepcopy(self.config.options.get(f"hooks.{name}", {}))

    def rows(self) -> list[PluginRow]:
        """Every known provider and hook plugin, loaded (not run) to see whether it works; broken ones say why."""
        known = {key: (target, "plugins.toml") for key, target in self.config.plugins.items()}
        for key, (target, origin) in self._entry_points().items():
            known.setdefault(key, (target, origin))
        rows = []
        for key, (target, origin) in sorted(known.items()):
            seam, _, name = key.partition(".")
            try:
                if seam == "hooks":
                    self._load(seam, name)
                else:
                    self._provider(seam, name)
                state, reason = "ok", ""
            except CmanagerError as error:
                state, reason = "failed", str(error)
            default = self.config.defaults.get(seam) == name or (
                seam == "hooks" and any(name in names for names in self.config.hooks.values())
            )
            rows.append(PluginRow(seam, name, target, origin, default, state, reason))
        return rows

    def _make(self, seam: str, name: str) -> Any:
        if name.endswith("*"):
            raise NotFoundError(f"no {seam} plugin {name!r}: it stands for a family, give a name instead of the *")
        provider = self._provider(seam, name)
        options = self._options(seam, name, provider.options)
        context = Context(
            state_dir=f"{self._root}/{seam}/{name}",
            run_dir=f"{self._run_root}/{seam}/{name}",
            root=self._root,
            shipped=shipped_directory(),
            name=name,
        )
        try:
            instance = provider.factory(context, options)
        except CmanagerError:
            raise
        except Exception as error:
            raise PluginError(f"{seam} plugin {name!r} failed to start: {_why(error)}") from error
        protocols = SEAMS[seam][1]
        if not isinstance(instance, protocols):
            missing = [m for m in dir(protocols[0]) if not m.startswith("_") and not hasattr(instance, m)]
            raise PluginError(f"{seam} plugin {name!r} lacks {', '.join(missing)} of the {seam} seam")
        return instance

    def _provider(self, seam: str, name: str) -> Provider:
        manager = self._load(seam, name)
        hook = SEAMS[seam][0]
        try:
            answers: list[Any] = [provider for offered in getattr(manager.hook, hook)() for provider in offered]
        except Exception as error:
            raise PluginError(f"{seam} plugin {name!r} failed in {hook}: {_why(error)}") from error
        wanted = self._module(seam, name)[1] or self._listed(seam, name)
        found = [p for p in answers if isinstance(p, Provider) and p.name == wanted]
        if len(found) != 1:
            offered = ", ".join(sorted(getattr(p, "name", repr(p)) for p in answers)) or "nothing"
            raise PluginError(f"{seam} plugin {name!r}: {hook} offers {offered} instead of one provider {wanted!r}")
        if found[0].api != API:
            raise PluginError(f"{seam} plugin {name!r} is written for api {found[0].api}, this cmanager has api {API}")
        return found[0]

    def _options(self, seam: str, name: str, kind: type | None) -> Any:
        family = self.config.options.get(f"{seam}.{self._listed(seam, name)}", {})
        given = family | self.config.options.get(f"{seam}.{name}", {})
        known = {f.alias for f in attrs.fields(kind)} if kind else set()
        for key in given:
            if key not in known:
                at = self.config.where(key)
                raise InvalidError(f"{at}: unknown option {key!r} of {seam} plugin {name!r}{nearest(key, known)}")
        if kind is None:
            return None
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
        try:
            return kind(**values)
        except (TypeError, ValueError, InvalidError) as error:
            at = self.config.where(next(iter(given), name))
            raise InvalidError(f"{at}: options of {seam} plugin {name!r}: {error}") from None

    def _load(self, seam: str, name: str) -> pluggy.PluginManager:
        """Import the module behind SEAM.NAME into a plugin manager of its own, so that none can harm another."""
        what = f"{seam} plugin {name!r}"
        module_name = self._module(seam, name)[0]
        if module_name in self._modules:
            return self._modules[module_name]
        _check_owner(module_name, what)
        try:
            module = importlib.import_module(module_name)
        except Exception as error:
            raise PluginError(f"{what} does not load: {_why(error)}") from error
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(module)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"{what}: {_misspelt(module) or str(error).lower().splitlines()[0]}") from None
        if misspelt := _misspelt(module):
            raise PluginError(f"{what}: {misspelt}")
        self._modules[module_name] = manager
        return manager

    def _module(self, seam: str, name: str) -> tuple[str, str]:
        """Module and provider of a target "MODULE[:PROVIDER] [apiN]"; provider is "" where it has the plugin's name."""
        target = self._target(seam, name)
        match = _TARGET.fullmatch(target)
        what = f"{seam} plugin {name!r}"
        if not match:
            raise PluginError(
                f"{what}: {target!r} is not of the form 'module [api{API}]' or 'module:provider [api{API}]'"
            )
        module_name, provider, api = match[1], match[2] or "", int(match[3])
        if api != API:
            raise PluginError(f"{what} is written for api {api}, this cmanager has api {API}")
        return module_name, provider

    def _known(self, seam: str) -> set[str]:
        keys = {*self.config.plugins, *self._entry_points()}
        return {key.partition(".")[2] for key in keys if key.startswith(f"{seam}.")}

    def _target(self, seam: str, name: str) -> str:
        key = f"{seam}.{self._listed(seam, name)}"
        return self.config.plugins[key] if key in self.config.plugins else self._entry_points()[key][0]

    def _listed(self, seam: str, name: str) -> str:
        """The name under which a provider is listed: this one, or that of the family it belongs to ("docker:*")."""
        family = f"{name.partition(':')[0]}:*" if _MEMBER.fullmatch(name) else name
        for candidate in (name, family):
            if f"{seam}.{candidate}" in self.config.plugins:
                return candidate
        for candidate in (name, family):
            if f"{seam}.{candidate}" in self._entry_points():
                return candidate
        raise NotFoundError(f"no {seam} plugin {name!r}{nearest(name, self._known(seam))}")

    def _entry_points(self) -> dict[str, tuple[str, str]]:
        """ "SEAM.NAME" to (target, distribution); scanning costs a read per installed distribution, done on a miss."""
        if self._scanned is None:
            from importlib.metadata import entry_points

            self._scanned = {}
            for point in entry_points(group=GROUP):
                origin = f"{point.dist.name} {point.dist.version}" if point.dist else "?"
                if point.name in self._scanned and self._scanned[point.name][0] != point.value:
                    other = self._scanned[point.name][1]
                    self._scanned[point.name] = (f"both {other} and {origin} provide it", origin)
                    continue
                self._scanned[point.name] = (point.value, origin)
        return self._scanned


def _why(error: Exception) -> str:
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _misspelt(module: Any) -> str:
    known = {name for name in vars(hookspecs) if name.startswith("cmanager_")}
    for name, value in vars(module).items():
        marked: Callable[..., Any] | None = getattr(value, f"{hookspecs.PROJECT}_impl", None)
        if name not in known and (marked is not None or (name.startswith("cmanager_") and callable(value))):
            return f"unknown hook {name!r}{nearest(name, known)}"
    return ""


def _check_owner(module_name: str, what: str) -> None:
    """Refuse code that a stranger may change: we run it as root (its owner must be root or whoever owns cmanager)."""
    try:
        spec = importlib.util.find_spec(module_name)
    except Exception as error:
        raise PluginError(f"{what} does not load: {_why(error)}") from error
    if spec is None or not spec.origin or not os.path.exists(spec.origin):
        raise PluginError(f"{what} does not load: no module {module_name!r} in {len(sys.path)} import directories")
    trusted = {0, os.stat(__file__).st_uid}
    for path in (spec.origin, os.path.dirname(spec.origin)):
        info = os.stat(path)
        if info.st_uid not in trusted or info.st_mode & 0o002:
            raise PluginError(f"{what} is not trusted: {path} must belong to root and not be writable by others")
