"""`--restart` and `--health-…`: what happens to a container by itself."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidError
from ..model import Healthcheck, RestartPolicy
from .output.human import parse_duration

_ACTIONS = ("none", "kill", "restart", "stop")
_TIMES = ("interval", "timeout", "start_period", "start_interval")


def restart_policy(text: str) -> RestartPolicy:
    """`no`, `on-failure[:N]`, `always` or `unless-stopped`."""
    name, colon, count = text.partition(":")
    if name == "on-failure" and (not colon or (count.isascii() and count.isdigit())):
        return RestartPolicy("on-failure", int(count or 0))
    if not colon:
        if name == "no":
            return RestartPolicy("no")
        if name == "always":
            return RestartPolicy("always")
        if name == "unless-stopped":
            return RestartPolicy("unless-stopped")
    raise InvalidError(f"invalid --restart {text!r}, expected no, on-failure[:N], always or unless-stopped")


def healthcheck(given: dict[str, Any]) -> Healthcheck:
    """From the options of `options.container_options`."""
    command, none = given["health_cmd"], given["no_healthcheck"]
    settings = {name: given[f"health_{name}"] for name in _TIMES}
    retries = given["health_retries"]
    if none and (command or retries is not None or any(settings.values())):
        raise InvalidError("--no-healthcheck cannot be given together with --health options")
    if retries is not None and retries < 1:
        raise InvalidError(f"invalid --health-retries {retries}, expected at least 1")
    times = {name: _seconds(name, text) for name, text in settings.items() if text}
    action = given["on_unhealthy"]
    if action not in _ACTIONS:
        raise InvalidError(f"invalid --on-unhealthy {action!r}, expected one of {', '.join(_ACTIONS)}")
    test = ("NONE",) if none else ("CMD-SHELL", command) if command else ()
    return Healthcheck(test=test, retries=retries, on_unhealthy=action, **times)


def _seconds(name: str, text: str) -> float:
    flag = f"--health-{name.replace('_', '-')}"
    seconds = parse_duration(text, flag)
    if seconds < 0.001 and name != "start_period":
        raise InvalidError(f"invalid {flag} {text!r}, expected at least 1ms")
    return seconds
