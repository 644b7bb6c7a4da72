"""The loader: from a plugin's name to an instance in this process, with every mistake on the way told by name."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import attrs
import pluggy

from .. import hookspecs
from ..errors import CmanagerError, InvalidError, NotFoundError, PluginError
from ..model.plugin import Amendment, Context, Event, Provider
from ..seams import API, SEAMS
from .calls import attributes, protocols
from .config import nearest, shipped_directory
from .finder import STRAY, Finder, why

#: By module, for all loaders of this process: what was imported and found well-formed once is.
_MANAGERS: dict[ModuleType | None, pluggy.PluginManager] = {}


class Loader:
    """Imports plugins here. Seam "hooks" is that of plugins that take part.

    root, run_root: the manager's state roots; providers get directories of their own below them. Nothing is imported by
    the constructor.
    """

    def __init__(self, finder: Finder, root: str, run_root: str) -> None:
        self._finder, self._config = finder, finder.config
        self._root, self._run_root = root, run_root

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
            options = self._config.options.get(f"hooks.{name}", {})
            return _Hooks(self._load(seam, name), self._finder.called(seam, name), options)
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
            raise PluginError(f"{self._finder.called(seam, name)} failed to start: {why(error)}") from error
        kinds = SEAMS[seam][1]
        if not isinstance(instance, kinds):
            missing = [m for m in dir(kinds[0]) if not m.startswith("_") and not hasattr(instance, m)]
            raise PluginError(f"{self._finder.called(seam, name)} lacks {', '.join(missing)} of the {seam} seam")
        return instance

    def _provider(self, seam: str, name: str) -> Provider:
        manager = self._load(seam, name)
        hook = SEAMS[seam][0]
        try:
            answers: list[Any] = [provider for offered in getattr(manager.hook, hook)() for provider in offered]
        except STRAY as error:
            raise PluginError(f"{self._finder.called(seam, name)} failed in {hook}: {why(error)}") from error
        wanted = self._finder.module(seam, name)[1] or self._finder.listed(seam, name).partition(".")[2]
        found = [p for p in answers if isinstance(p, Provider) and p.name == wanted]
        if len(found) != 1:
            offered = ", ".join(sorted(getattr(p, "name", repr(p)) for p in answers)) or "nothing"
            raise PluginError(
                f"{self._finder.called(seam, name)}: {hook} offers {offered} instead of one provider {wanted!r}"
            )
        if found[0].api != API:
            raise PluginError(
                f"{self._finder.called(seam, name)} is written for api {found[0].api}, this cmanager has api {API}"
            )
        return found[0]

    def _options(self, seam: str, name: str, kind: type | None) -> Any:
        family = self._config.options.get(self._finder.listed(seam, name), {})
        given = family | self._config.options.get(f"{seam}.{name}", {})
        known = {f.alias for f in attrs.fields(kind)} if kind else set()
        for key in given:
            if key not in known:
                at = self._config.where(key)
                raise InvalidError(f"{at}: unknown option {key!r} of {seam} plugin {name!r}{nearest(key, known)}")
        if kind is None:
            return None
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
        try:
            return kind(**values)
        except (TypeError, ValueError, InvalidError) as error:
            at = self._config.where(next(iter(given), name))
            raise InvalidError(f"{at}: options of {seam} plugin {name!r}: {error}") from None

    def _load(self, seam: str, name: str) -> pluggy.PluginManager:
        """Import the module behind SEAM.NAME into a plugin manager of its own, so that none can harm another."""
        what = self._finder.called(seam, name)
        module_name = self._finder.module(seam, name)[0]
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
