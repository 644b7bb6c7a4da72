"""From the command line's words to a RunRequest; every mistake names its flag."""

from __future__ import annotations

import os
from typing import Any

from ..errors import InvalidError
from ..model import Limits, Mount, Namespaces, RunRequest, Ulimit
from .output.human import parse_size
from .ports import exposed, published

_BIND_FLAGS = {"ro", "rw", "nosuid", "nodev", "noexec", "suid", "dev", "exec"}
_PROPAGATION = {"private", "rprivate", "slave", "rslave", "shared", "rshared"}


def build(image: str, command: tuple[str, ...], **given: Any) -> RunRequest:
    """The request for the options of `options.container_options`."""
    return RunRequest(
        image=image,
        command=command,
        entrypoint=None if given["entrypoint"] is None else tuple(filter(None, [given["entrypoint"]])),
        name=given["name"],
        env=environment(given["env_file"], given["env"]),
        labels=dict(_pair(label) for label in given["label"]),
        hostname=given["hostname"],
        user=given["user"],
        workdir=given["workdir"],
        interactive=given["interactive"],
        remove=given["remove"],
        init=given["init"],
        privileged=given["privileged"],
        read_only=given["read_only"],
        mounts=(
            *(volume(text) for text in given["volume"]),
            *(mount(text) for text in given["mount"]),
            *(tmpfs(text) for text in given["tmpfs"]),
        ),
        devices=given["device"],
        cap_add=given["cap_add"],
        cap_drop=given["cap_drop"],
        security=given["security_opt"],
        sysctls=dict(_assignment(text, "--sysctl") for text in given["sysctl"]),
        ulimits=tuple(ulimit(text) for text in given["ulimit"]),
        limits=Limits(
            memory=parse_size(given["memory"], "--memory") if given["memory"] else None,
            cpus=given["cpus"],
            cpu_shares=given["cpu_shares"],
            pids=given["pids_limit"],
            cpuset_cpus=given["cpuset_cpus"],
        ),
        namespaces=Namespaces(
            pid=given["pid"],
            ipc=given["ipc"],
            uts=given["uts"],
            cgroup=given["cgroupns"],
            user=given["userns"],
            time=given["timens"],
        ),
        network=given["network"],
        runtime=given["runtime"],
        dns=given["dns"],
        add_hosts=given["add_host"],
        stop_signal=given["stop_signal"],
        stop_timeout=given["stop_timeout"],
        shm_size=parse_size(given["shm_size"], "--shm-size"),
        pull=given["pull"],
        publish=tuple(mapping for text in given["publish"] for mapping in published(text)),
        publish_all=given["publish_all"],
        expose=tuple(port for text in given["expose"] for port in exposed(text)),
    )


def environment(files: tuple[str, ...], entries: tuple[str, ...]) -> tuple[str, ...]:
    """Files first, then -e; a bare NAME takes the caller's value and is left out when the caller has none."""
    found = []
    for path in files:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                lines = [line.rstrip("\n").lstrip() for line in file]
        except OSError as error:
            raise InvalidError(f"cannot read --env-file {path}: {(error.strerror or '').lower()}") from None
        found += [line for line in lines if line and not line.startswith("#")]
    result = []
    for entry in (*found, *entries):
        name, equals, _ = entry.partition("=")
        if not name or any(c.isspace() for c in name):
            raise InvalidError(f"invalid environment variable {entry[:100]!r}, expected NAME[=VALUE]")
        if equals:
            result.append(entry)
        elif name in os.environ:
            result.append(f"{name}={os.environ[name]}")
    return tuple(result)


def volume(text: str) -> Mount:
    """`-v HOST:CONTAINER[:OPTIONS]`; a missing host directory is made."""
    fields = text.split(":")
    if len(fields) not in (2, 3) or not fields[0] or not fields[1]:
        raise InvalidError(f"invalid --volume {text!r}, expected HOST:CONTAINER[:OPTIONS]")
    if not fields[0].startswith(("/", "./", "../", "~")) and fields[0] not in (".", ".."):
        raise InvalidError(f"invalid --volume {text!r}: named volumes are unknown, give a path such as ./{fields[0]}")
    source = os.path.abspath(os.path.expanduser(fields[0]))
    options = [option for option in (fields[2].split(",") if len(fields) == 3 else []) if option]
    for option in options:
        if option not in _BIND_FLAGS | _PROPAGATION:
            known = ", ".join(sorted(_BIND_FLAGS | _PROPAGATION))
            raise InvalidError(f"invalid --volume {text!r}: unknown option {option!r}, known are {known}")
    propagation = [] if _PROPAGATION.intersection(options) else ["rprivate"]
    return Mount("bind", source, fields[1], ("rbind", *options, *propagation, "X-mount.mkdir"))


def mount(text: str) -> Mount:
    """`--mount type=bind|tmpfs,source=…,target=…[,readonly][,…]`."""
    given: dict[str, str] = {}
    for field in text.split(","):
        key, _, value = field.partition("=")
        key = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}.get(key, key)
        given[key] = value
    kind = given.pop("type", "volume")
    target = given.pop("target", "")
    if not target:
        raise InvalidError(f"invalid --mount {text!r}: target is missing")
    options = ["ro"] if given.pop("readonly", "false").lower() in ("", "true", "1") else []
    if kind == "bind":
        source = given.pop("source", "")
        if not source.startswith("/"):
            raise InvalidError(f"invalid --mount {text!r}: source must be an absolute path")
        propagation = given.pop("bind-propagation", "rprivate")
        if propagation not in _PROPAGATION:
            raise InvalidError(f"invalid --mount {text!r}: unknown bind-propagation {propagation!r}")
        recursive = given.pop("bind-nonrecursive", "false").lower() not in ("", "true", "1")
        found = Mount("bind", source, target, ("rbind" if recursive else "bind", *options, propagation))
    elif kind == "tmpfs":
        options += ["nosuid", "nodev", "noexec"]
        if "tmpfs-size" in given:
            options.append(f"size={parse_size(given.pop('tmpfs-size'), '--mount tmpfs-size')}")
        if "tmpfs-mode" in given:
            options.append(f"mode={_octal(given.pop('tmpfs-mode'), text)}")
        found = Mount("tmpfs", "tmpfs", target, tuple(options))
    else:
        raise InvalidError(f"invalid --mount {text!r}: type {kind!r} is unknown, known are bind, tmpfs")
    if given:
        raise InvalidError(f"invalid --mount {text!r}: unknown key {next(iter(given))!r}")
    return found


def tmpfs(text: str) -> Mount:
    """`--tmpfs PATH[:OPTIONS]`."""
    target, _, options = text.partition(":")
    given = []
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key == "size":
            given.append(f"size={parse_size(value, '--tmpfs size')}")
        elif key == "mode":
            given.append(f"mode={_octal(value, text)}")
        elif (key in ("uid", "gid", "nr_inodes") and value.isdigit()) or option in _BIND_FLAGS:
            given.append(option)
        else:
            raise InvalidError(f"invalid --tmpfs {text!r}: unknown option {option!r}")
    return Mount("tmpfs", "tmpfs", target, ("nosuid", "nodev", "noexec", *given))


def ulimit(text: str) -> Ulimit:
    """`--ulimit NAME=SOFT[:HARD]`, -1 for unlimited."""
    name, value = _assignment(text, "--ulimit")
    soft, _, hard = value.partition(":")
    try:
        return Ulimit(name.lower(), int(soft), int(hard or soft))
    except ValueError:
        raise InvalidError(f"invalid --ulimit {text!r}, expected NAME=SOFT[:HARD]") from None


def _octal(text: str, whole: str) -> str:
    try:
        return f"{int(text, 8) & 0o7777:o}"
    except ValueError:
        raise InvalidError(f"invalid mode {text!r} in {whole!r}, expected octal digits") from None


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key:
        raise InvalidError(f"invalid --label {text!r}, expected KEY[=VALUE]")
    return key, value


def _assignment(text: str, flag: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidError(f"invalid {flag} {text!r}, expected NAME=VALUE")
    return key, value
