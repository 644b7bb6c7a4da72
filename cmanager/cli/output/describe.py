"""`inspect`: a container or an image in the shape that Docker gives it."""

from __future__ import annotations

from typing import Any

from ...model import Container, Image
from . import ports
from .gofunctions import OpenMap
from .human import rfc3339
from .rows import split_reference, state_word


def container(found: Container) -> dict[str, Any]:
    """One element of `inspect`; what Docker has no word for stands under "Cmanager"."""
    request, status = found.request, found.status
    return {
        "Id": found.id,
        "Created": rfc3339(found.created_at),
        "Path": found.argv[0],
        "Args": list(found.argv[1:]),
        "State": _state(found),
        "Image": found.image_id,
        "Name": f"/{found.name}",
        "RestartCount": 0,
        "Driver": found.providers.storage,
        "Platform": "linux",
        "Runtime": found.providers.runtime,
        "Mounts": [
            {
                "Type": "bind" if mount.is_bind else mount.type,
                "Source": mount.source,
                "Destination": mount.target,
                "RW": "ro" not in mount.options,
            }
            for mount in request.mounts
        ],
        "HostConfig": _host_config(found),
        "Config": {
            "Hostname": request.hostname or found.id[:12],
            "User": request.user,
            "OpenStdin": request.interactive,
            "Tty": False,
            "Env": list(request.env),
            "Cmd": list(request.command),
            "ExposedPorts": OpenMap.fromkeys(request.expose, {}),
            "Entrypoint": None if request.entrypoint is None else list(request.entrypoint),
            "Image": request.image,
            "WorkingDir": request.workdir,
            "Labels": OpenMap(request.labels),
            "StopSignal": request.stop_signal,
            "StopTimeout": request.stop_timeout,
        },
        "NetworkSettings": _network(found),
        "Cmanager": {
            "ImageDigest": found.image_digest,
            "Network": found.providers.network,
            "Limiter": found.providers.limiter,
            "Cgroup": status.cgroup,
            "UserMap": list(found.user_map) if found.user_map else None,
            "Warnings": list(status.warnings),
            "Usage": _usage(found),
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


def _state(found: Container) -> dict[str, Any]:
    status = found.status
    running = status.state in ("running", "paused")
    return {
        "Status": state_word(found),
        "Running": running,
        "Paused": status.state == "paused",
        "Restarting": False,
        "OOMKilled": status.oom_killed,
        "Dead": False,
        "Pid": status.init.pid if running and status.init else 0,
        "ExitCode": status.exit_code or 0,
        "Error": status.error,
        "StartedAt": rfc3339(status.started_at),
        "FinishedAt": rfc3339(status.finished_at),
    }


def _host_config(found: Container) -> dict[str, Any]:
    request, spaces = found.request, found.request.namespaces
    limits = request.limits
    return {
        "NetworkMode": request.network,
        "PortBindings": OpenMap(ports.asked(found)),
        "PublishAllPorts": request.publish_all,
        "AutoRemove": request.remove,
        "CapAdd": list(request.cap_add),
        "CapDrop": list(request.cap_drop),
        "Dns": list(request.dns),
        "ExtraHosts": list(request.add_hosts),
        "Init": request.init,
        "Privileged": request.privileged,
        "ReadonlyRootfs": request.read_only,
        "SecurityOpt": list(request.security),
        "Sysctls": OpenMap(request.sysctls),
        "ShmSize": request.shm_size,
        "Runtime": found.providers.runtime,
        "PidMode": spaces.pid,
        "IpcMode": spaces.ipc,
        "UTSMode": spaces.uts,
        "CgroupnsMode": spaces.cgroup,
        "UsernsMode": spaces.user,
        "Memory": limits.memory or 0,
        "NanoCpus": round((limits.cpus or 0) * 1e9),
        "CpuShares": limits.cpu_shares or 0,
        "PidsLimit": limits.pids,
        "CpusetCpus": limits.cpuset_cpus or "",
        "Devices": list(request.devices),
        "Ulimits": [{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in request.ulimits],
    }


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


def _usage(found: Container) -> dict[str, Any] | None:
    usage = found.status.usage
    if usage is None:
        return None
    return {
        "CpuSeconds": usage.cpu_seconds,
        "MemoryPeakBytes": usage.memory_peak_bytes,
        "OOMKills": usage.oom_kills,
    }
