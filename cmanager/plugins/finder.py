"""Where plugins are: by seam and name, in plugins.toml or among the entry points of installed packages."""

from __future__ import annotations

import re

from ..errors import NotFoundError, PluginError
from ..linux.values import frozen
from .config import GROUP, Config, nearest

#: What a plugin's code may raise although no contract says so; not what a person does (KeyboardInterrupt).
STRAY = (Exception, SystemExit)
#: A member of a family; the rest becomes part of paths.
_MEMBER = re.compile(r"[\w-]+:[a-zA-Z0-9][\w.-]{0,127}", re.ASCII)
_TARGET = re.compile(r"([A-Za-z_][\w.]*)(?::([\w.-]+))?\s*\[api(\d+)\]")


@frozen
class Found:
    """Where a plugin is. target: "module[:provider] [apiN]"; origin: "NAME VERSION" of its distribution, or a file."""

    target: str
    origin: str


class Finder:
    """Finds plugins by seam and name and imports none. Seam "hooks" is that of plugins that take part.

    No entry point is scanned by the constructor.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
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
        found = self._entry_points().get(self.listed(seam, name))
        return found.origin if found else ""

    def there(self, seam: str, name: str) -> bool:
        """Whether the plugin is installed; one that does not load is. Nothing of it is imported."""
        if not self._in_file(seam, name):
            return self.listed(seam, name) in self._entry_points()
        module = self._named(seam, name)
        if not module or module in self.config.builtin:
            return True
        from importlib.util import find_spec

        return find_spec(module.partition(".")[0]) is not None

    def module(self, seam: str, name: str) -> tuple[str, str]:
        """Module and provider of a target "MODULE[:PROVIDER] [apiN]"; provider is "" where it has the plugin's name.

        Raises PluginError for a target of another form or api, NotFoundError for an unknown plugin.
        """
        from ..seams import API

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
        key = self.listed(seam, name)
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
        return self.listed(seam, name) in self.config.plugins

    def listed(self, seam: str, name: str) -> str:
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


def why(error: BaseException) -> str:
    """A plugin's exception in one line."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
