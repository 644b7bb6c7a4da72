"""The loader: from a plugin's name to an instance in this process, with every mistake on the way told by name."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import attrs
import pluggy

from .. import hookspecs
from ..errors import CmanagerError, InvalidError, NotFoundError, PluginError
from ..linux.values import frozen
from ..model.plugin import Amendment, Context, Event, Provider
from ..seams import API, SEAMS
from .calls import attributes, protocols
from .config import GROUP, Config, nearest, shipped_directory

#: What a plugin's code may raise although no contract says so; not what a person does (KeyboardInterrupt).
STRAY = (Exception, SystemExit)
#: A member of a family; the rest becomes part of paths.
_MEMBER = re.compile(r"[\w-]+:[a-zA-Z0-9][\w.-]{0,127}", re.ASCII)
_TARGET = re.compile(r"([A-Za-z_][\w.]*)(?::([\w.-]+))?\s*\[api(\d+)\]")

#: By module, for all loaders of this process: what was imported and found well-formed once is.
_MANAGERS: dict[ModuleType | None, pluggy.PluginManager] = {}


@frozen
class Found:
    """Where a plugin is. target: "module[:provider] [apiN]"; origin: "NAME VERSION" of its distribution, or a file."""

    target: str
    origin: str


class Loader:
    """Finds plugins by seam and name, and imports them here. Seam "hooks" is that of plugins that take part.

    root, run_root: the manager's state roots; providers get directories of their own below them. Nothing is imported
    and no entry point is scanned by the constructor.
    """

    def __init__(self, config: Config, root: str, run_root: str) -> None:
        self.config = config
        self._root, self._run_root = root, run_root
        self._scanned: dict[str, Found] | None = None

    def known(self) -> dict[str, Found]:
        """Every plugin there is by "SEAM.NAME", working or not: nothing is imported, entry points are scanned."""
        listed = {key: Found(target, "plugins.toml") for key, target in self.config.plugins.items()}
        return dict(sorted((self._entry_points() | listed).items()))

    def names(self, seam: str) -> list[str]:
        """Of all plugins of a seam; "docker:*" stands for every name that begins with "docker:"."""
        return [key.partition(".")[2] for key in self.known() if key.startswith(f"{seam}.")]

    def builtin(self, seam: str, name: str) -> bool:
        """Whether it came with cmanager."""
        return self._in_file(seam, name) and self._named(seam, name) in self.config.builtin

    def called(self, seam: str, name: str) -> str:
        """How messages call it: with the distribution and its version where it was installed as one."""
        version = self.version(seam, name)
        return f"{seam} plugin {name!r}" + (f" ({version})" if version else "")

    def version(self, seam: str, name: str) -> str:
        """ "NAME VERSION" of the distribution that it was installed with, "" where it is none."""
        if self._in_file(seam, name):
            return ""
        found = self._entry_points().get(self._listed(seam, name))
        return found.origin if found else ""

    def there(self, seam: str, name: str) -> bool:
        """Whether the plugin is installed; one that does not load is. Nothing of it is imported."""
        if not self._in_file(seam, name):
            return self._listed(seam, name) in self._entry_points()
        module = self._named(seam, name)
        if not module or module in self.config.builtin:
            return True
        return importlib.util.find_spec(module.partition(".")[0]) is not None

    def check(self, seam: str, name: str) -> None:
        """Import it and see that it offers what it is there for. Raises PluginError, NotFoundError."""
        if seam == "hooks":
            self._load(seam, name)
        else:
            self._provider(seam, name)

    def make(self, seam: str, name: str) -> Any:
        """The provider's instance, or what has the hooks of a "hooks" plugin as methods.

        Raises NotFoundError for an unknown name, PluginError for a broken plugin, InvalidError for its options.
        """
        if seam == "hooks":
            options = self.config.options.get(f"hooks.{name}", {})
            return _Hooks(self._load(seam, name), self.called(seam, name), options)
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
        except STRAY as error:
            raise PluginError(f"{self.called(seam, name)} failed to start: {why(error)}") from error
        kinds = SEAMS[seam][1]
        if not isinstance(instance, kinds):
            missing = [m for m in dir(kinds[0]) if not m.startswith("_") and not hasattr(instance, m)]
            raise PluginError(f"{self.called(seam, name)} lacks {', '.join(missing)} of the {seam} seam")
        return instance

    def _provider(self, seam: str, name: str) -> Provider:
        manager = self._load(seam, name)
        hook = SEAMS[seam][0]
        try:
            answers: list[Any] = [provider for offered in getattr(manager.hook, hook)() for provider in offered]
        except STRAY as error:
            raise PluginError(f"{self.called(seam, name)} failed in {hook}: {why(error)}") from error
        wanted = self.module(seam, name)[1] or self._listed(seam, name).partition(".")[2]
        found = [p for p in answers if isinstance(p, Provider) and p.name == wanted]
        if len(found) != 1:
            offered = ", ".join(sorted(getattr(p, "name", repr(p)) for p in answers)) or "nothing"
            raise PluginError(f"{self.called(seam, name)}: {hook} offers {offered} instead of one provider {wanted!r}")
        if found[0].api != API:
            raise PluginError(
                f"{self.called(seam, name)} is written for api {found[0].api}, this cmanager has api {API}"
            )
        return found[0]

    def _options(self, seam: str, name: str, kind: type | None) -> Any:
        family = self.config.options.get(self._listed(seam, name), {})
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
        what = self.called(seam, name)
        module_name = self.module(seam, name)[0]
        if found := _MANAGERS.get(sys.modules.get(module_name)):
            return found
        _check_owner(module_name, what)
        try:
            module = importlib.import_module(module_name)
        except STRAY as error:
            raise PluginError(f"{what} does not load: {why(error)}") from error
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(module)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"{what}: {_misspelt(module) or str(error).lower().splitlines()[0]}") from None
        if misspelt := _misspelt(module):
            raise PluginError(f"{what}: {misspelt}")
        _MANAGERS[module] = manager
        return manager

    def module(self, seam: str, name: str) -> tuple[str, str]:
        """Module and provider of a target "MODULE[:PROVIDER] [apiN]"; provider is "" where it has the plugin's name.

        Raises PluginError for a target of another form or api, NotFoundError for an unknown plugin.
        """
        target = self._target(seam, name)
        match = _TARGET.fullmatch(target)
        if not match:
            raise PluginError(
                f"{self.called(seam, name)}: {target!r} is not of the form 'module [api{API}]' "
                f"or 'module:provider [api{API}]'"
            )
        module_name, provider, api = match[1], match[2] or "", int(match[3])
        if api != API:
            raise PluginError(f"{self.called(seam, name)} is written for api {api}, this cmanager has api {API}")
        return module_name, provider

    def _target(self, seam: str, name: str) -> str:
        key = self._listed(seam, name)
        if key in self.config.plugins:
            return self.config.plugins[key]
        if key in self._entry_points():
            return self._entry_points()[key].target
        raise NotFoundError(f"no {seam} plugin {name!r}{nearest(name, self.names(seam))}")

    def _named(self, seam: str, name: str) -> str:
        """The module of a target, of whatever api, "" for a target that makes no sense."""
        match = _TARGET.fullmatch(self._target(seam, name))
        return match[1] if match else ""

    def _in_file(self, seam: str, name: str) -> bool:
        return self._listed(seam, name) in self.config.plugins

    def _listed(self, seam: str, name: str) -> str:
        """The key under which a plugin is listed: its own, or that of the family it belongs to ("SEAM.docker:*")."""
        keys = [f"{seam}.{name}"]
        if _MEMBER.fullmatch(name):
            keys.append(f"{seam}.{name.partition(':')[0]}:*")
        for key in keys:
            if key in self.config.plugins:
                return key
        return next((key for key in keys if key in self._entry_points()), keys[0])

    def _entry_points(self) -> dict[str, Found]:
        """Plugins of installed packages; scanning costs a read per installed distribution, done on a miss."""
        if self._scanned is None:
            from importlib.metadata import entry_points

            self._scanned = {}
            for point in entry_points(group=GROUP):
                origin = f"{point.dist.name} {point.dist.version}" if point.dist else "?"
                other = self._scanned.get(point.name)
                if other and other.target != point.value:
                    both = f"both {other.origin} and {origin} provide it"
                    self._scanned[point.name] = Found(both, origin)
                    continue
                self._scanned[point.name] = Found(point.value, origin)
        return self._scanned


class _Hooks:
    """The hooks of one plugin as methods. what: how messages call it."""

    def __init__(self, manager: pluggy.PluginManager, what: str, options: dict[str, Any]) -> None:
        self._hook, self._what, self._options = manager.hook, what, options

    def cmanager_amend(self, spec: dict[str, Any]) -> Amendment | None:
        for answer in self._hook.cmanager_amend(spec=spec, options=copy.deepcopy(self._options)):
            if not isinstance(answer, Amendment):
                raise PluginError(f"{self._what} returned {type(answer).__name__} from cmanager_amend")
            return answer
        return None

    def cmanager_event(self, event: Event) -> None:
        self._hook.cmanager_event(event=event, options=copy.deepcopy(self._options))


def describe(seam: str, made: Any) -> dict[str, Any]:
    """Which Protocols a provider satisfies, and the values they ask for."""
    kinds = {} if seam == "hooks" else protocols(seam)
    names = [name for name, kind in kinds.items() if isinstance(made, kind)]
    values = {attribute: getattr(made, attribute) for name in names for attribute in attributes(kinds[name])}
    return {"names": names, "values": values}


def why(error: BaseException) -> str:
    """A plugin's exception in one line."""
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
        raise PluginError(f"{what} does not load: {why(error)}") from error
    if spec is None or not spec.origin or not os.path.exists(spec.origin):
        raise PluginError(f"{what} does not load: no module {module_name!r} in {len(sys.path)} import directories")
    trusted = {0, os.stat(__file__).st_uid}
    for path in (spec.origin, os.path.dirname(spec.origin)):
        info = os.stat(path)
        if info.st_uid not in trusted or info.st_mode & 0o002:
            raise PluginError(f"{what} is not trusted: {path} must belong to root and not be writable by others")
