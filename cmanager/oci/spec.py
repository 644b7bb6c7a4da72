"""The builder of config.json."""

from __future__ import annotations

import os
from typing import Any

from ..errors import InvalidError, PluginError
from ..linux.mounts import Mount
from ..linux.values import frozen
from ..model.container import RunRequest, Ulimit
from ..model.image import ImageConfig
from ..model.plugin import Amendment
from ..model.runtime import INIT_ANNOTATION
from . import defaults, devices
from .security import Security
from .users import User

#: Is there where nothing but cgroup v2 is mounted.
_UNIFIED = "/sys/fs/cgroup/cgroup.controllers"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@frozen
class Surroundings:
    """What the earlier steps made, as the configuration needs it.

    namespaces: kind to path, "" for a new one; kinds not named are the host's. etc: mounts of hosts, hostname and
    resolv.conf. cgroup: path for cgroupsPath. id_map: (first host id, count) of a new user namespace. shm: what is
    bound to /dev/shm where the ipc namespace is not a new one.
    """

    hostname: str
    namespaces: dict[str, str]
    cgroup: str
    etc: tuple[Mount, ...]
    id_map: tuple[int, int] | None = None
    shm: str = "/dev/shm"


def argv(request: RunRequest, image: ImageConfig) -> tuple[str, ...]:
    """What will be executed; InvalidError when neither the image nor the request says."""
    entrypoint = image.entrypoint if request.entrypoint is None else request.entrypoint
    # As in Docker: a new entry point makes the image's cmd meaningless.
    inherited = image.cmd if request.entrypoint is None else ()
    found = entrypoint + (request.command or inherited)
    if not found or not found[0]:
        raise InvalidError(f"image {request.image} names no command, give one after the image")
    return found


def build(
    id: str,
    request: RunRequest,
    image: ImageConfig,
    command: tuple[str, ...],
    user: User,
    security: Security,
    around: Surroundings,
) -> dict[str, Any]:
    """The OCI configuration of one container. Raises InvalidError for sysctls and limits that must not be set."""
    caps = list(security.capabilities)
    keep = caps if user.uid == 0 else []
    config: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": request.tty,
            "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups), "umask": request.umask},
            "args": list(command),
            "env": environment(request, image, user, around.hostname),
            "cwd": request.workdir or image.working_dir or "/",
            # Inheritable and ambient stay empty (CVE-2022-24769).
            "capabilities": {"bounding": caps, "permitted": keep, "effective": keep, "inheritable": [], "ambient": []},
            "rlimits": [_rlimit(limit) for limit in request.ulimits],
            "noNewPrivileges": security.no_new_privileges,
        },
        "root": {"path": "rootfs", "readonly": request.read_only},
        # One that is joined keeps the name that it has.
        "hostname": around.hostname if around.namespaces.get("uts", "joined") == "" else "",
        "mounts": [_mount(m) for m in _mounts(request, around)],
        "annotations": request.annotations | ({INIT_ANNOTATION: "true"} if request.init else {}),
        "hooks": {},
        "linux": {
            "namespaces": [{"type": kind, **({"path": p} if p else {})} for kind, p in around.namespaces.items()],
            "cgroupsPath": around.cgroup,
            "resources": {"devices": [_rule(rule) for rule in request.limits.devices]},
            "devices": [_device(device) for device in _nodes(request)],
            "maskedPaths": list(security.masked),
            "readonlyPaths": list(security.readonly),
            "sysctl": _sysctls(request, around),
        },
    }
    if any({"slave", "rslave"}.intersection(mount.options) for mount in request.mounts):
        # A bind cannot receive more than the mounts around it do (mount_namespaces(7)).
        config["linux"]["rootfsPropagation"] = "rslave"
    if not config["hostname"]:
        del config["hostname"]
    if security.seccomp is not None:
        config["linux"]["seccomp"] = security.seccomp
    _leave_out(config, request.without)
    if around.id_map and not around.namespaces.get("user"):
        first, count = around.id_map
        mapping = [{"containerID": 0, "hostID": first, "size": count}]
        config["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}
    return config


def _leave_out(config: dict[str, Any], options: tuple[str, ...]) -> None:
    """Take away what the defaults ask for, by the options of `Features` that stand for it."""
    process, linux = config["process"], config["linux"]
    for option, (table, key) in {
        "capabilities": (process, "capabilities"),
        "no_new_privileges": (process, "noNewPrivileges"),
        "seccomp": (linux, "seccomp"),
        "sysctl": (linux, "sysctl"),
    }.items():
        if option in options:
            table.pop(key, None)
    if "masked_paths" in options:
        linux |= {"maskedPaths": [], "readonlyPaths": []}
    if "cgroup_mount" in options:
        config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "cgroup"]


def environment(request: RunRequest, image: ImageConfig, user: User, hostname: str) -> list[str]:
    """PATH, HOSTNAME and HOME, then the image's, then the request's; the last of a name wins."""
    merged = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname, "HOME": user.home}
    if request.tty:
        merged["TERM"] = "xterm"
    merged |= _variables(image.env)
    for key in request.unset_env:
        merged.pop(key, None)
    return [f"{key}={value}" for key, value in (merged | _variables(request.env)).items()]


def _variables(entries: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for entry in entries:
        key, _, value = entry.partition("=")
        if not key or "\0" in entry:
            raise InvalidError(f"invalid environment variable {entry[:100]!r}, expected NAME=VALUE")
        found[key] = value
    return found


def amend(config: dict[str, Any], amendments: list[tuple[str, Amendment]]) -> None:
    """Add what plugins ask for; PluginError names both when a field is claimed twice."""
    owners: dict[str, str] = {}
    for entry in config["process"]["env"]:
        owners[f"env {entry.partition('=')[0]}"] = "the container"
    for mount in config["mounts"]:
        owners[f"mount {mount['destination']}"] = "the container"
    for key in config["annotations"]:
        owners[f"annotation {key}"] = "the container"

    def claim(what: str, plugin: str) -> None:
        if what in owners:
            raise PluginError(f"plugin {plugin!r} claims {what}, which {owners[what]} has set already")
        owners[what] = f"plugin {plugin!r}"

    for plugin, amendment in amendments:
        for key, value in amendment.env.items():
            claim(f"env {key}", plugin)
            config["process"]["env"].append(f"{key}={value}")
        for mount in amendment.mounts:
            claim(f"mount {mount.target}", plugin)
            config["mounts"].append(_mount(mount))
        for key, value in amendment.annotations.items():
            claim(f"annotation {key}", plugin)
            config["annotations"][key] = value
        for kind, hooks in amendment.hooks.items():
            config["hooks"].setdefault(kind, []).extend(hooks)


def _mounts(request: RunRequest, around: Surroundings) -> list[Mount]:
    mounts = list(defaults.default_mounts(request.shm_size))
    if "network" not in around.namespaces or around.namespaces.get("user"):
        # sysfs shows the network namespace it is mounted in, and needs privilege over it: the host's is bound instead.
        pass_through = Mount("bind", "/sys", "/sys", ("rbind", "ro", "nosuid", "nodev", "noexec"))
        if "network" not in around.namespaces and around.namespaces.get("user"):
            mounts = [pass_through if m.target == "/sys" else m for m in mounts]
    if around.shm != "/dev/shm" or "ipc" not in around.namespaces:
        shared = Mount("bind", around.shm, "/dev/shm", ("bind", "nosuid", "nodev", "noexec"))
        mounts = [shared if m.target == "/dev/shm" else m for m in mounts]
    if "cgroup" not in around.namespaces and "cgroup_mount" not in request.without and os.path.exists(_UNIFIED):
        # Mounted anew from the host's cgroup namespace, cgroup2 loses the options that the host has it mounted with.
        bound = ("bind", "ro", "nosuid", "nodev", "noexec")
        mounts = [Mount("bind", m.target, m.target, bound) if m.type == "cgroup" else m for m in mounts]
    if "ipc" not in around.namespaces and around.namespaces.get("user"):
        # Mounting mqueue needs privilege over the ipc namespace, which is the host's.
        mounts = [m for m in mounts if m.type != "mqueue"]
    if request.privileged:
        mounts = [_writable(m) if m.target.startswith("/sys") else m for m in mounts]
    own = {mount.target for mount in request.mounts}
    # A mount of the user's replaces ours at the same place; parents go before what lies in them.
    mounts = [m for m in (*mounts, *around.etc) if m.target not in own]
    return mounts + sorted(request.mounts, key=lambda m: m.target.rstrip("/").count("/"))


def _writable(mount: Mount) -> Mount:
    return Mount(mount.type, mount.source, mount.target, tuple(o for o in mount.options if o != "ro"))


def _mount(mount: Mount) -> dict[str, Any]:
    return {
        "destination": mount.target,
        "type": mount.type,
        "source": mount.source,
        # "X-" options are words between parts of the manager (mount(8)), no runtime knows them.
        "options": [option for option in mount.options if not option.startswith("X-")],
    }


def _nodes(request: RunRequest) -> tuple[devices.Device, ...]:
    if request.privileged:
        return devices.host_devices()
    return tuple(device for text in request.devices for device in devices.parse(text))


def _device(device: devices.Device) -> dict[str, Any]:
    return {
        "path": device.path,
        "type": device.type,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    }


def _rule(rule: Any) -> dict[str, Any]:
    data = {"allow": rule.allow, "type": rule.type, "access": rule.access}
    return data | {key: getattr(rule, key) for key in ("major", "minor") if getattr(rule, key) is not None}


def _rlimit(limit: Ulimit) -> dict[str, Any]:
    unlimited = 2**64 - 1
    soft, hard = (unlimited if value < 0 else value for value in (limit.soft, limit.hard))
    return {"type": f"RLIMIT_{limit.name.upper()}", "soft": soft, "hard": hard}


def _sysctls(request: RunRequest, around: Surroundings) -> dict[str, str]:
    own = around.namespaces
    values = {}
    if "network" in own and not own["network"].startswith("/proc/"):
        # Docker's defaults for a network namespace of one's own (row D-15).
        values = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
        if own.get("user"):
            values.pop("net.ipv4.ping_group_range")  # its range must exist in the user namespace's map
    # The runtime specification got a word for it late (1.1), and older runtimes know it by this one.
    domain = {"kernel.domainname": request.domainname} if request.domainname else {}
    for key, value in (domain | request.sysctls).items():
        defaults.check_sysctl(key, own_ipc="ipc" in own, own_net="network" in own, own_uts="uts" in own)
        values[key] = value
    return values
