"""What is decided and refused before anything is made."""

from __future__ import annotations

import os
import platform
import resource
from typing import Any

import attrs

from ..errors import InvalidError, NotFoundError, UnsupportedError
from ..linux import capabilities, userns
from ..model.container import RunRequest, Ulimit
from ..model.limits import DeviceRule, Limits
from ..model.pod import SHM_SIZE
from ..model.runtime import Features
from ..oci import defaults, devices, security, signals
from ..supervisor import etc
from . import abilities, limiting

#: Podman's default; a fork bomb in one container must not stop the host (row D-17).
DEFAULT_PIDS = 2048

#: Files of /proc that may be covered, as lxcfs does; over anything else there a mount would lie to the manager (runc).
_COVERABLE = {
    f"/proc/{name}"
    for name in ("cpuinfo", "diskstats", "loadavg", "meminfo", "slabinfo", "stat", "swaps", "uptime", "net/dev")
}


def settle(request: RunRequest, features: Features, limiter: Any, name: str) -> tuple[RunRequest, tuple[str, ...]]:
    """The request with its defaults filled in, and warnings about what was degraded. name: the limiter's.

    Raises InvalidError or UnsupportedError for anything that could only fail later; changes nothing.
    """
    _check_modes(request)
    request, fitted = abilities.fit(request, features)
    _check_words(request)
    _check_sources(request)
    etc.check(request.dns, request.add_hosts, request.dns_search, request.dns_options)
    if request.no_hosts and request.add_hosts:
        raise InvalidError("--no-hosts and --add-host cannot be given together")
    security.decide(
        privileged=request.privileged,
        add=request.cap_add,
        drop=request.cap_drop,
        options=request.security,
        machine=platform.machine(),
    )
    _check_sysctls(request)
    _check_log(request)
    wanted = attrs.evolve(request.limits, devices=_device_rules(request))
    limits, without = limiting.fit(limiter, name, wanted, lax=request.lax)
    if limits.pids is None and request.limits.pids is None:
        limits = _default_pids(limits, limiter)
    ulimits, warnings = _clamp(request.ulimits)
    return attrs.evolve(request, limits=limits, ulimits=ulimits), (*fitted, *without, *warnings)


def _check_modes(request: RunRequest) -> None:
    for kind, flag in abilities.NAMESPACE_FLAGS.items():
        mode = getattr(request.namespaces, kind)
        special = ("host", "auto") if kind == "user" else ("host", "private")
        word, _, rest = mode.partition(":")
        if mode and mode not in special and not (word in ("container", "ns") and rest):
            raise InvalidError(f"invalid {flag} {mode!r}, expected {', '.join(special)}, container:NAME or ns:PATH")


def _check_words(request: RunRequest) -> None:
    if request.remove and request.restart.name != "no":
        raise InvalidError("--rm and --restart cannot be given together")
    for key in request.annotations:
        if key.startswith("dev.cmanager."):
            raise InvalidError(f"invalid --annotation {key}: names that begin with dev.cmanager. are the manager's")
    if request.stop_signal:
        signals.number_of(request.stop_signal)
    check_hostname(request.hostname)
    if request.hostname and request.namespaces.uts != "private" and not request.shares("uts"):
        raise InvalidError("--hostname needs a uts namespace of its own")
    if request.shm_size != SHM_SIZE and request.namespaces.ipc != "private" and not request.shares("ipc"):
        raise InvalidError("--shm-size needs an ipc namespace of its own")
    if request.namespaces.user == "auto" and not userns.available():
        raise UnsupportedError("--userns auto: no user namespace can be made here, see `cmanager doctor`")
    domain = request.domainname
    if domain and (len(domain) > 64 or not all(c.isascii() and (c.isalnum() or c in "-.") for c in domain)):
        raise InvalidError(f"invalid --domainname {domain!r}, allowed are 1 to 64 of [a-zA-Z0-9-.]")
    if domain and request.namespaces.uts != "private":
        raise InvalidError("--domainname needs a uts namespace of its own")
    if request.timeout < 0:
        raise InvalidError(f"invalid --timeout {request.timeout}, expected seconds, or 0 for none")
    if request.oom_score_adj is not None:
        _check_oom_score(request.oom_score_adj)
    if request.workdir and not request.workdir.startswith("/"):
        raise InvalidError(f"invalid working directory {request.workdir!r}, it must be absolute")
    check_targets([*(mount.target for mount in request.mounts), *(use.target for use in request.volumes)])


def _check_oom_score(value: int) -> None:
    """Only CAP_SYS_RESOURCE may go below what was set last with it (proc_pid_oom_score_adj(5))."""
    if not -1000 <= value <= 1000:
        raise InvalidError(f"invalid --oom-score-adj {value}, expected -1000 to 1000")
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        own = int(file.read())
    if value < own and not _has("CAP_SYS_RESOURCE"):
        raise UnsupportedError(f"--oom-score-adj {value} is below the manager's own {own}: no CAP_SYS_RESOURCE")


def _has(capability: str) -> bool:
    return bool(capabilities.of_process()["CapEff"] >> capabilities.NUMBERS[capability] & 1)


def check_hostname(host: str) -> None:
    """InvalidError for what cannot be one; "" is left to the default."""
    if host and (len(host) > 63 or not all(c.isascii() and (c.isalnum() or c in "-._") for c in host)):
        raise InvalidError(f"invalid hostname {host!r}, allowed are 1 to 63 of [a-zA-Z0-9-._]")


def check_targets(targets: list[str]) -> None:
    """InvalidError for a place inside where nothing may be mounted, and for one that is wanted twice."""
    seen = set()
    for target in targets:
        if not target.startswith("/") or ".." in target.split("/") or target.strip("/") == "":
            raise InvalidError(f"invalid mount target {target!r}, expected an absolute path below /")
        plain = "/" + os.path.normpath(target).lstrip("/")
        if plain.split("/")[1] == "proc" and plain not in _COVERABLE:
            raise InvalidError(f"invalid mount target {target!r}, nothing may be mounted over /proc")
        if plain in seen:
            raise InvalidError(f"two mounts at {plain}, give one")
        seen.add(plain)


def _check_sources(request: RunRequest) -> None:
    for mount in request.mounts:
        if shared := {"shared", "rshared"}.intersection(mount.options):
            said = "would show a container's mounts to the host, use rslave"
            raise UnsupportedError(f"mount at {mount.target}: propagation {min(shared)} {said}")
        if mount.is_bind and "X-mount.mkdir" not in mount.options and not os.path.exists(mount.source):
            raise NotFoundError(f"bind source {mount.source} does not exist")


def _check_sysctls(request: RunRequest) -> None:
    spaces, shares = request.namespaces, request.shares
    joined = request.network.startswith(("container:", "ns:"))
    for key in request.sysctls:
        defaults.check_sysctl(
            key,
            own_ipc=spaces.ipc == "private" and not shares("ipc"),
            own_net=request.network != "host" and not joined and not shares("network"),
            own_uts=spaces.uts == "private" and not shares("uts"),
        )


def _check_log(request: RunRequest) -> None:
    log = request.log
    if log.max_size < 0 or log.max_files < 1:
        raise InvalidError(f"invalid log of {log.max_files} files of {log.max_size} bytes")
    if log.max_files > 1 and not log.max_size:
        raise InvalidError("a log without a size limit is one file, give --log-opt max-size")
    if log.sinks:
        from ..supervisor import sinks  # only those who use them pay for it

        sinks.check(log.sinks)


def _device_rules(request: RunRequest) -> tuple[DeviceRule, ...]:
    if request.privileged:
        return (DeviceRule(True),)
    given = tuple(device.rule for text in request.devices for device in devices.parse(text))
    return (*defaults.DEFAULT_DEVICE_RULES, *given, *request.limits.devices)


def _default_pids(limits: Limits, limiter: Any) -> Limits:
    wanted = attrs.evolve(limits, pids=DEFAULT_PIDS)
    try:
        limiter.check(wanted)
    except UnsupportedError:
        return limits
    return wanted


def _clamp(ulimits: tuple[Ulimit, ...]) -> tuple[tuple[Ulimit, ...], tuple[str, ...]]:
    """Without CAP_SYS_RESOURCE a hard limit cannot be raised (setrlimit(2)): take the host's and say so."""
    may_raise = _has("CAP_SYS_RESOURCE")
    clamped, warnings = [], []
    for limit in ulimits:
        number = getattr(resource, f"RLIMIT_{limit.name.upper()}", None)
        if number is None:
            raise InvalidError(f"unknown ulimit {limit.name!r}")
        if limit.hard != -1 and (limit.soft == -1 or limit.soft > limit.hard):
            raise InvalidError(f"ulimit {limit.name}: the soft limit {limit.soft} is above the hard limit {limit.hard}")
        most = resource.getrlimit(number)[1]
        if not may_raise and most != resource.RLIM_INFINITY and (limit.hard == -1 or limit.hard > most):
            soft = most if limit.soft == -1 else min(limit.soft, most)
            warnings.append(f"ulimit {limit.name} clamped to the host's hard limit {most}: no CAP_SYS_RESOURCE")
            clamped.append(Ulimit(limit.name, soft, most))
        else:
            clamped.append(limit)
    return tuple(clamped), tuple(warnings)
