"""`inspect`: a container or an image in the shape that Docker gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import InvalidError
from ...model import Container, Dropped, Health, Image, ImageConfig, LogConfig, RunRequest, Volume
from ...oci import health
from . import mounts, ports, usage
from .gofunctions import OpenMap
from .human import rfc3339
from .limits import described
from .rows import split_reference, state_word


def container(
    found: Container,
    image: ImageConfig | None = None,
    mountpoints: Mapping[str, str] | None = None,
    orphaned: tuple[str, ...] = (),
) -> dict[str, Any]:
    """One element of `inspect`; what Docker has no word for stands under "Cmanager".

    image: what its image says, None when that is gone: then the request alone is shown; mountpoints: where its volumes
    are, by name; orphaned: its plugins that are not installed, as "SEAM NAME".
    """
    status = found.status
    return {
        "Id": found.id,
        "Created": rfc3339(found.created_at),
        "Path": found.argv[0],
        "Args": list(found.argv[1:]),
        "State": _state(found) | {"Orphaned": list(orphaned)},
        "Image": found.image_id,
        "Name": f"/{found.name}",
        "RestartCount": status.restarts,
        "Driver": found.providers.storage,
        "Platform": "linux",
        "Runtime": found.providers.runtime,
        "Pod": found.request.pod,
        "Mounts": mounts.described(found, mountpoints or {}),
        "HostConfig": _host_config(found),
        "Config": _config(found, image or ImageConfig()),
        "NetworkSettings": _network(found),
        "Cmanager": {
            "ImageDigest": found.image_digest,
            "Network": found.providers.network,
            "Pod": found.request.member.name if found.request.member else "",
            "Limiter": found.providers.limiter,
            "Providers": {
                seam: {"Name": name, "Version": found.providers.versions.get(seam, "")}
                for seam, name in found.providers.named().items()
            },
            "Cgroup": status.cgroup,
            "UserMap": list(found.user_map) if found.user_map else None,
            "Warnings": list(status.warnings),
            "Usage": usage.described(status.usage) if status.usage else None,
            "LogSinks": _log_sinks(found),
        },
    }


def image(found: Image, references: list[str]) -> dict[str, Any]:
    """One element of `inspect` for an image. references: all its names."""
    config = found.config
    repositories = dict.fromkeys(split_reference(reference)[0] for reference in references)
    return {
        "Id": found.id,
        "RepoTags": references,
        "RepoDigests": [f"{name}@{found.digest}" for name in repositories],
        "Created": found.created,
        "Config": {
            "User": config.user,
            "ExposedPorts": OpenMap.fromkeys(config.exposed_ports, {}),
            "Env": list(config.env),
            "Entrypoint": list(config.entrypoint) or None,
            "Cmd": list(config.cmd) or None,
            "Volumes": OpenMap.fromkeys(config.volumes, {}),
            "WorkingDir": config.working_dir,
            "Labels": OpenMap(config.labels),
            "StopSignal": config.stop_signal,
        },
        "Architecture": found.architecture,
        "Os": found.os,
        "Size": found.size,
        "RootFS": {"Type": "layers", "Layers": [layer.diff_id for layer in found.layers]},
    }


def volume(found: Volume, status: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One element of `volume inspect`. status: what its driver says of it."""
    described = {
        "CreatedAt": rfc3339(found.created_at),
        "Driver": found.driver,
        "Labels": OpenMap(found.labels),
        "Mountpoint": found.mountpoint,
        "Name": found.name,
        "Options": OpenMap(found.options),
        "Scope": found.scope,
    }
    status = {"Error": found.problem} if found.problem else status
    return {**described, "Status": OpenMap(status)} if status else described


def _config(found: Container, image: ImageConfig) -> dict[str, Any]:
    """The request laid over the image, by Docker's rules."""
    request = found.request
    command = request.command
    if not command and request.entrypoint is None:
        command = image.cmd
    entrypoint = (image.entrypoint or None) if request.entrypoint is None else request.entrypoint
    return {
        "Hostname": request.hostname or found.id[:12],
        "Domainname": request.domainname,
        "User": request.user or image.user,
        "ExposedPorts": OpenMap.fromkeys((*image.exposed_ports, *request.expose), {}),
        "OpenStdin": request.interactive,
        "Tty": request.tty,
        "Env": _environment(request, image),
        "Cmd": list(command) or None,
        "Entrypoint": None if entrypoint is None else list(entrypoint),
        "Image": request.image,
        "Volumes": OpenMap.fromkeys(image.volumes, {}),
        "WorkingDir": request.workdir or image.working_dir,
        "Labels": OpenMap(image.labels | request.labels),
        **_healthcheck(request, image),
        "StopSignal": request.stop_signal,
        "StopTimeout": request.stop_timeout,
        "Timeout": request.timeout,
        "Umask": f"{request.umask:04o}",
    }


def _healthcheck(request: RunRequest, image: ImageConfig) -> dict[str, Any]:
    """As in Docker only where there is one, times in nanoseconds."""
    try:
        check = health.effective(request.health, image.healthcheck)
    except InvalidError:
        return {}
    if check is None:
        return {}
    times = {
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
    }
    return {
        "Healthcheck": {
            "Test": list(check.test),
            **{name: round((seconds or 0) * 1e9) for name, seconds in times.items()},
            "Retries": check.retries,
            "OnUnhealthy": check.on_unhealthy,
        }
    }


def _environment(request: RunRequest, image: ImageConfig) -> list[str]:
    """The request's variables, then the image's that it does not set."""
    gone = {entry.partition("=")[0] for entry in request.env} | {*request.unset_env}
    return [*request.env, *(entry for entry in image.env if entry.partition("=")[0] not in gone)]


def _state(found: Container) -> dict[str, Any]:
    status = found.status
    running = status.active  # as in Docker also while it waits to be started again
    return {
        "Status": state_word(found),
        "Running": running,
        "Paused": status.state == "paused",
        "Restarting": status.restart_at > 0,
        "OOMKilled": status.oom_killed,
        "Dead": False,
        "Pid": status.init.pid if status.runs and status.init else 0,
        "ExitCode": status.exit_code or 0,
        "Error": status.error,
        "StartedAt": rfc3339(status.started_at),
        "FinishedAt": rfc3339(status.finished_at),
        **({"Health": _health(status.health)} if status.health else {}),
    }


def _health(health: Health) -> dict[str, Any]:
    return {
        "Status": health.status,
        "FailingStreak": health.failures,
        "Log": [
            {
                "Start": rfc3339(check.started),
                "End": rfc3339(check.ended),
                "ExitCode": check.exit_code,
                "Output": check.output,
            }
            for check in health.checks
        ],
    }


def _host_config(found: Container) -> dict[str, Any]:
    request, spaces = found.request, found.request.namespaces
    return {
        "LogConfig": _log_config(request.log),
        "NetworkMode": _mode(request, "network", request.network),
        "PortBindings": OpenMap(ports.asked(found)),
        "PublishAllPorts": request.publish_all,
        "AutoRemove": request.remove,
        "RestartPolicy": {"Name": request.restart.name, "MaximumRetryCount": request.restart.maximum},
        "CapAdd": list(request.cap_add),
        "CapDrop": list(request.cap_drop),
        "Dns": list(request.dns),
        "DnsSearch": list(request.dns_search),
        "DnsOptions": list(request.dns_options),
        "GroupAdd": list(request.groups),
        "OomScoreAdj": request.oom_score_adj or 0,
        "Annotations": OpenMap(request.annotations),
        "ExtraHosts": list(request.add_hosts),
        "Init": request.init,
        "Privileged": request.privileged,
        "ReadonlyRootfs": request.read_only,
        "VolumesFrom": list(request.volumes_from),
        "SecurityOpt": list(request.security),
        "Sysctls": OpenMap(request.sysctls),
        "ShmSize": request.shm_size,
        "Runtime": found.providers.runtime,
        "PidMode": spaces.pid,
        "IpcMode": _mode(request, "ipc", spaces.ipc),
        "UTSMode": _mode(request, "uts", spaces.uts),
        "CgroupnsMode": spaces.cgroup,
        "UsernsMode": spaces.user,
        **described(request.limits),
        "NetworkRate": {"Receive": request.rate.receive, "Send": request.rate.send},
        "Devices": list(request.devices),
        "Ulimits": [{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in request.ulimits],
    }


def _log_config(log: LogConfig) -> dict[str, Any]:
    settings = {
        "max-size": str(log.max_size or ""),
        "max-file": str(log.max_files if log.max_size else ""),
        "labels": ",".join(log.labels),
        "env": ",".join(log.env),
    }
    return {
        "Type": "json-file" if log.enabled else "none",
        "Config": OpenMap({key: value for key, value in settings.items() if value}),
    }


def _log_sinks(found: Container) -> list[dict[str, Any]]:
    """In the order they were given; nothing is dropped before it runs."""
    sinks = found.request.log.sinks
    counts = found.status.dropped or (Dropped(),) * len(sinks)
    return [
        {"Kind": sink.kind, "Target": sink.target, "Dropped": {"Lines": lost.lines, "Bytes": lost.bytes}}
        for sink, lost in zip(sinks, counts, strict=False)
    ]


def _mode(request: RunRequest, kind: str, otherwise: str) -> str:
    return f"pod:{request.member.name}" if request.member and request.shares(kind) else otherwise


def _network(found: Container) -> dict[str, Any]:
    link = found.status.attachment
    if link is None:
        facts = {"IPAddress": "", "IPPrefixLen": 0, "Gateway": "", "MacAddress": ""}
        return {**facts, "Ports": OpenMap(ports.settings(found)), "Networks": OpenMap()}
    address, _, prefix = (link.addresses[0] if link.addresses else "").partition("/")
    facts = {
        "IPAddress": address,
        "IPPrefixLen": int(prefix or 0),
        "Gateway": link.gateway,
        "MacAddress": link.mac,
    }
    return {
        **facts,
        "Ports": OpenMap(ports.settings(found)),
        "SandboxKey": found.status.netns,
        "Networks": OpenMap({found.request.network: facts}),
    }
