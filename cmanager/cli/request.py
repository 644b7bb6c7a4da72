"""From the command line's words to a RunRequest; every mistake names its flag."""

from __future__ import annotations

import os
from typing import Any

from ..errors import InvalidError, UnsupportedError
from ..linux.mounts import Mount
from ..model import Namespaces, Rate, RunRequest, Ulimit
from ..model.names import check_name
from . import limits, logging, mounts
from .output.human import parse_size
from .podwords import check_defaults
from .policies import healthcheck, restart_policy
from .ports import exposed, published

_ZONES = "/usr/share/zoneinfo"
#: From uname(2) to the words of OCI images (GOARCH).
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def build(image: str, command: tuple[str, ...], **given: Any) -> RunRequest:
    """The request for the options of `options.container_options`."""
    check_defaults(given)
    places = mounts.parse(given["volume"], given["mount"], given["tmpfs"], given["volume_driver"])
    _check_platform(given["platform"])
    if given["replace"] and not given["name"]:
        raise InvalidError("--replace needs --name")
    return RunRequest(
        image=image,
        command=command,
        entrypoint=None if given["entrypoint"] is None else tuple(filter(None, [given["entrypoint"]])),
        name=given["name"],
        env=environment(given["env_file"], given["env"]),
        labels=dict(pair(label) for label in (*_lines(given["label_file"], "--label-file"), *given["label"])),
        hostname=given["hostname"],
        user=given["user"],
        workdir=given["workdir"],
        interactive=given["interactive"],
        tty=given["tty"],
        remove=given["remove"],
        init=given["init"],
        privileged=given["privileged"],
        read_only=given["read_only"],
        mounts=(*places[0], *time_zone(given["tz"])),
        volumes=places[1],
        volumes_from=given["volumes_from"],
        devices=given["device"],
        cap_add=given["cap_add"],
        cap_drop=given["cap_drop"],
        security=given["security_opt"],
        sysctls=dict(_assignment(text, "--sysctl") for text in given["sysctl"]),
        ulimits=tuple(ulimit(text) for text in given["ulimit"]),
        limits=limits.parsed(given),
        lax=given["limits"] == "lax",
        rate=Rate(**limits.rate(given["network_rate"])),
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
        restart=restart_policy(given["restart"]),
        health=healthcheck(given),
        publish=tuple(mapping for text in given["publish"] for mapping in published(text)),
        publish_all=given["publish_all"],
        pod=given["pod"],
        expose=tuple(port for text in given["expose"] for port in exposed(text)),
        log=logging.config(given["log_driver"], given["log_opt"], given["log_sink"]),
        groups=given["group_add"],
        umask=_umask(given["umask"]),
        unset_env=given["unsetenv"],
        domainname=given["domainname"],
        dns_search=given["dns_search"],
        dns_options=given["dns_option"],
        no_hosts=given["no_hosts"],
        no_hostname=given["no_hostname"],
        address=given["ip"],
        mac=given["mac_address"],
        aliases=tuple(check_name(name, "--network-alias") for name in given["network_alias"]),
        oom_score_adj=given["oom_score_adj"],
        timeout=given["timeout"],
        annotations=dict(_assignment(text, "--annotation") for text in given["annotation"]),
    )


def environment(files: tuple[str, ...], entries: tuple[str, ...]) -> tuple[str, ...]:
    """Files first, then -e, the last of a name wins; a bare NAME takes the caller's value and is left out when the
    caller has none."""
    result = {}
    for entry in (*_lines(files, "--env-file"), *entries):
        name, equals, _ = entry.partition("=")
        if not name or any(c.isspace() for c in name):
            raise InvalidError(f"invalid environment variable {entry[:100]!r}, expected NAME[=VALUE]")
        if equals:
            result[name] = entry
        elif name in os.environ:
            result[name] = f"{name}={os.environ[name]}"
    return tuple(result.values())


def _lines(files: tuple[str, ...], flag: str) -> list[str]:
    """What stands in files of one entry a line; lines that begin with # are for people."""
    found = []
    for path in files:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                lines = [line.rstrip("\n").lstrip() for line in file]
        except OSError as error:
            raise InvalidError(f"cannot read {flag} {path}: {(error.strerror or '').lower()}") from None
        found += [line for line in lines if line and not line.startswith("#")]
    return found


def time_zone(name: str) -> tuple[Mount, ...]:
    """`--tz`: the host's zone file at /etc/localtime. InvalidError for a zone that the host does not know."""
    if not name:
        return ()
    path = "/etc/localtime" if name == "local" else f"{_ZONES}/{name}"
    if ".." in name.split("/") or not os.path.isfile(path):
        raise InvalidError(f"invalid --tz {name!r}, expected local or a name below {_ZONES} such as Europe/Paris")
    return (Mount("bind", os.path.realpath(path), "/etc/localtime", ("bind", "ro", "rprivate")),)


def _umask(text: str) -> int:
    try:
        value = int(text, 8)
    except ValueError:
        value = -1
    if not 0 <= value <= 0o777:
        raise InvalidError(f"invalid --umask {text!r}, expected octal digits such as 0027")
    return value


def _check_platform(text: str) -> None:
    """UnsupportedError for what this machine is not: nothing is emulated here."""
    machine = os.uname().machine
    own = f"linux/{_ARCHITECTURES.get(machine, machine)}"
    if text and text.lower() not in (own, "linux", f"linux/{machine}"):
        raise UnsupportedError(f"--platform {text} cannot be run, this machine is {own}")


def ulimit(text: str) -> Ulimit:
    """`--ulimit NAME=SOFT[:HARD]`, -1 for unlimited."""
    name, value = _assignment(text, "--ulimit")
    soft, _, hard = value.partition(":")
    try:
        return Ulimit(name.lower(), int(soft), int(hard or soft))
    except ValueError:
        raise InvalidError(f"invalid --ulimit {text!r}, expected NAME=SOFT[:HARD]") from None


def pair(text: str) -> tuple[str, str]:
    """`--label KEY[=VALUE]`."""
    key, _, value = text.partition("=")
    if not key:
        raise InvalidError(f"invalid --label {text!r}, expected KEY[=VALUE]")
    return key, value


def _assignment(text: str, flag: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidError(f"invalid {flag} {text!r}, expected NAME=VALUE")
    return key, value
