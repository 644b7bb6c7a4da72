"""What the specification says beyond types and ranges: required fields, known words, and what contradicts itself."""

from __future__ import annotations

import resource
from typing import Any

from ...errors import InvalidError
from ...linux import capabilities
from . import shape

HOOK_KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_FILTER_ACTIONS = ("ALLOW", "KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "LOG", "ERRNO", "TRACE", "NOTIFY")
_FILTER_OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")


def check(config: dict[str, Any]) -> None:
    """InvalidError, KeyError or TypeError for a configuration that is well formed and makes no sense."""
    linux = config.get("linux", {})
    check_process(config["process"])
    config["root"]["path"]
    for mount in config.get("mounts", ()):
        mount["destination"]
    kinds = {entry["type"]: entry.get("path") for entry in linux.get("namespaces", ())}
    for key in ("hostname", "domainname"):
        if config.get(key) and "uts" not in kinds:
            raise InvalidError(f"{key} is set, but without an uts namespace it would be the host's")
    if kinds.get("user", "none") in ("", None) and not (linux.get("uidMappings") and linux.get("gidMappings")):
        raise InvalidError("a new user namespace needs linux.uidMappings and linux.gidMappings")
    for device in linux.get("devices", ()):
        if device["type"] not in ("c", "u", "b", "p"):
            raise InvalidError(f"device {device['path']}: unknown type {device['type']!r}")
    for kind, hooks in config.get("hooks", {}).items():
        if kind not in HOOK_KINDS:
            raise InvalidError(f"unknown OCI hook kind {kind!r}, known are {', '.join(HOOK_KINDS)}")
        for hook in hooks:
            if not hook["path"].startswith("/"):
                raise InvalidError(f"OCI hook {hook['path']!r}: the path must be absolute")


def check_process(process: dict[str, Any]) -> None:
    """The same for a process object alone, as `exec` gets one; its shape is checked too."""
    shape.check(process, shape.CONFIG["process"], "process")
    if not process["args"]:
        raise InvalidError("process.args is empty, there is no program to run")
    if not process["cwd"].startswith("/"):
        raise InvalidError(f"process.cwd {process['cwd']!r} is not an absolute path")
    for names in process.get("capabilities", {}).values():
        for name in names:
            if name not in capabilities.NUMBERS:
                raise InvalidError(f"unknown capability {name!r}")
    for limit in process.get("rlimits", ()):
        if not limit["type"].startswith("RLIMIT_") or not hasattr(resource, limit["type"]):
            raise InvalidError(f"unknown rlimit {limit['type']!r}")


def check_filter(policy: dict[str, Any]) -> None:
    """InvalidError for a `linux.seccomp` that is none. It is a long object, so `read` leaves it alone."""
    shape.check(policy, shape.SECCOMP, "linux.seccomp")
    try:
        _check_words(policy)
    except KeyError as error:
        raise InvalidError(f"seccomp: a rule or the policy has no {error}") from None


def _check_words(policy: dict[str, Any]) -> None:
    _check_word("action", policy["defaultAction"], "SCMP_ACT_", _FILTER_ACTIONS)
    for rule in policy.get("syscalls", ()):
        if not rule["names"]:
            raise InvalidError("seccomp: a rule names no system call")
        _check_word("action", rule["action"], "SCMP_ACT_", _FILTER_ACTIONS)
        for argument in rule.get("args", ()):
            _check_word("operator", argument["op"], "SCMP_CMP_", _FILTER_OPERATORS)


def _check_word(what: str, word: str, prefix: str, known: tuple[str, ...]) -> None:
    if not word.startswith(prefix) or word.removeprefix(prefix) not in known:
        raise InvalidError(f"seccomp: unknown {what} {word!r}, known are {', '.join(prefix + name for name in known)}")
