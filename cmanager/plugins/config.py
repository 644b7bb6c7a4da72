"""plugins.toml: which provider fills each seam, where it is found, and its options."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import tomli
from attrs import field

from ..errors import InvalidError
from ..linux.values import frozen
from .policy import Policy, parse

SEAM_NAMES = ("image", "storage", "network", "limiter", "runtime")
HOOKS = ("amend", "event")
#: Of the entry points by which installed packages offer plugins.
GROUP = "cmanager"
SYSTEM_CONFIG = "/etc/cmanager/plugins.toml"
_LIMIT = 1 << 20
#: "off": only plugins that came with cmanager; "strict": every fault of a plugin is an error.
MODE = "CMANAGER_PLUGINS"
_MODES = ("", "off", "strict")


@frozen
class Config:
    """The merged configuration.

    defaults: provider name per seam; plugins: "SEAM.NAME" to "module [apiN]"; hooks: plugin names per hook kind;
    options: "SEAM.NAME" and "hooks.NAME" to the keys of its table; files: every file that was read, the strongest
    first; policies: by "SEAM.NAME", for those that have one; builtin: modules that came with cmanager; mode: one of
    those of `MODE`.
    """

    defaults: dict[str, str]
    plugins: dict[str, str]
    hooks: dict[str, tuple[str, ...]]
    options: dict[str, dict[str, Any]] = field(factory=dict)
    files: tuple[str, ...] = ()
    policies: dict[str, Policy] = field(factory=dict)
    builtin: frozenset[str] = frozenset()
    mode: str = ""

    def where(self, key: str) -> str:
        """ "FILE line N" of the strongest file that sets `key`, for messages."""
        for path in self.files:
            number = _line_of(path, key)
            if number:
                return f"{path} line {number}"
        return self.files[0] if self.files else "configuration"


def shipped_directory() -> str:
    """Directory of the shipped plugins.toml and registry/: the checkout, or the copy inside the installed package."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    checkout = os.path.dirname(package)
    return checkout if os.path.exists(f"{checkout}/plugins.toml") else f"{package}/_shipped"


def load_config(path: str | None = None) -> Config:
    """The file given, else /etc/cmanager/plugins.toml, laid over the shipped one.

    Raises InvalidError naming file, line and the nearest known key.
    """
    chosen = path or (SYSTEM_CONFIG if os.path.exists(SYSTEM_CONFIG) else None)
    shipped = f"{shipped_directory()}/plugins.toml"
    files = [name for name in (chosen, shipped) if name]
    mode = os.environ.get(MODE, "")
    if mode not in _MODES:
        raise InvalidError(f"{MODE}={mode} in the environment is unknown, it may be {' or '.join(_MODES[1:])}")
    defaults: dict[str, str] = {}
    plugins: dict[str, str] = {}
    hooks: dict[str, tuple[str, ...]] = dict.fromkeys(HOOKS, ())
    options: dict[str, dict[str, Any]] = {}
    policies: dict[str, Policy] = {}
    builtin: frozenset[str] = frozenset()
    for name in reversed(files):
        data = _read(name)
        _known(name, data, ("defaults", "plugins", "hooks", *SEAM_NAMES))
        defaults |= _strings(name, data, "defaults", SEAM_NAMES)
        for kind, table in _table(name, data, "plugins", (*SEAM_NAMES, "hooks")).items():
            for key, value in table.items():
                target, policy = _plugin(name, kind, key, value)
                plugins |= {f"{kind}.{key}": target} if target else {}
                policies |= {f"{kind}.{key}": policy} if policy else {}
        if name == shipped:
            builtin = frozenset(target.partition(" ")[0].partition(":")[0] for target in plugins.values())
        for kind, value in _table(name, data, "hooks").items():
            if kind not in HOOKS and isinstance(value, dict):
                options[f"hooks.{kind}"] = options.get(f"hooks.{kind}", {}) | value
                continue
            _known(name, {kind: value}, HOOKS)
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise InvalidError(f"{_at(name, kind)}: {kind} must be a list of plugin names")
            hooks[kind] = tuple(value)
        for seam in SEAM_NAMES:
            for provider, table in _table(name, data, seam).items():
                if not isinstance(table, dict):
                    raise InvalidError(
                        f"{_at(name, provider)}: options of {provider} stand in a table [{seam}.{provider}]"
                    )
                options[f"{seam}.{provider}"] = options.get(f"{seam}.{provider}", {}) | table
    found = Config(defaults, plugins, hooks, options, tuple(files), policies, builtin, mode)
    _check_hook_options(found)
    return found


def _check_hook_options(config: Config) -> None:
    """Refuse options of a hook plugin that there is not; entry points are scanned only for one that is not listed."""
    named = [key for key in config.options if key.startswith("hooks.") and key not in config.plugins]
    if named:
        from importlib.metadata import entry_points

        known = {key for key in (*config.plugins, *entry_points(group=GROUP).names) if key.startswith("hooks.")}
        for key in named:
            if key not in known:
                name, names = key.partition(".")[2], {other.partition(".")[2] for other in known}
                raise InvalidError(
                    f"{config.where(name)}: options of an unknown hook plugin {name!r}{nearest(name, names)}"
                )


def nearest(word: str, known: Iterable[str]) -> str:
    """ ", did you mean …" for the closest known word, or a list of all when none is close."""
    import difflib  # only mistakes pay for it

    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1)
    if close:
        return f", did you mean {close[0]!r}"
    return f", known are {', '.join(choices)}" if choices else ""


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content = file.read(_LIMIT + 1)
    except OSError as error:
        raise InvalidError(f"cannot read {path}: {(error.strerror or '').lower()} (errno {error.errno})") from None
    if len(content) > _LIMIT:
        raise InvalidError(f"{path}: larger than {_LIMIT} bytes")
    try:
        return tomli.loads(content.decode())
    except (tomli.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(f"{path}: not TOML: {str(error).lower()}") from None


def _plugin(path: str, kind: str, name: str, value: Any) -> tuple[str, Policy | None]:
    """The target of a line under `[plugins]`, "" for the entry point's, and the policy that stands beside it."""
    if isinstance(value, str):
        return value, None
    if not isinstance(value, dict):
        raise InvalidError(f"{_at(path, name)}: {name} must be a string or a table")
    return parse(kind, value, lambda key: _at(path, key), nearest)


def _table(path: str, data: dict[str, Any], key: str, known: Iterable[str] | None = None) -> dict[str, Any]:
    table = data.get(key, {})
    if not isinstance(table, dict):
        raise InvalidError(f"{_at(path, key)}: {key} must be a table")
    if known is not None:
        _known(path, table, known)
    return table


def _strings(path: str, data: dict[str, Any], key: str, known: Iterable[str]) -> dict[str, str]:
    table = _table(path, data, key, known)
    for name, value in table.items():
        if not isinstance(value, str):
            raise InvalidError(f"{_at(path, name)}: {name} must be a string")
    return table


def _known(path: str, table: dict[str, Any], known: Iterable[str]) -> None:
    for key in table:
        if key not in known:
            raise InvalidError(f"{_at(path, key)}: unknown key {key!r}{nearest(key, known)}")


def _at(path: str, key: str) -> str:
    number = _line_of(path, key)
    return f"{path} line {number}" if number else path


def _line_of(path: str, key: str) -> int:
    # tomli gives no positions: the first line that sets the key or opens a table of that name.
    pattern = re.compile(rf"""\s*(\[.*)?(["']?[\w.-]+["']?\s*\.\s*)?["']?{re.escape(key)}["']?\s*(=|\.|\])""")
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return next((number for number, line in enumerate(file, 1) if pattern.match(line)), 0)
    except OSError:
        return 0
