"""System call policies: the default one from `seccomp.toml`, and profiles in Docker's JSON format."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

from ..errors import InvalidError

#: Machine (uname -m) to the architectures whose system calls it runs, the native one first.
ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "ppc64le": ("SCMP_ARCH_PPC64LE",),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
}
_DOCKER_ARCHITECTURES = {"x86_64": ("amd64", "x86", "x32"), "aarch64": ("arm64", "arm"), "s390x": ("s390x", "s390")}
_LIMIT = 4 << 20
_EPERM, _ENOSYS = 1, 38
_AF_ALG, _AF_VSOCK = 38, 40
#: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET: every namespace that clone(2) can make.
_NAMESPACE_FLAGS = 0x7E020000
#: personality(2): the default, Linux 32 bit, without randomisation, both, and the query.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)


def default_policy(capabilities: tuple[str, ...], machine: str) -> dict[str, Any]:
    """The default policy as `linux.seccomp` of the runtime specification, for these capabilities (full names)."""
    data = _policy()
    names = " ".join(data["allow"].values()).split() + data["machine"].get(machine, "").split()
    for capability, allowed in data["capability"].items():
        if capability in capabilities:
            names += allowed.split()
    rules: list[dict[str, Any]] = [_allow(sorted(set(names)))]
    rules += [_allow(["personality"], (0, value, "SCMP_CMP_EQ")) for value in _PERSONALITIES]
    # Kernel crypto and host sockets: in no namespace, and both were ways out.
    between = [(0, _AF_ALG, "SCMP_CMP_LT"), (0, _AF_VSOCK, "SCMP_CMP_GT"), (0, _AF_ALG + 1, "SCMP_CMP_EQ")]
    rules += [_allow(["socket"], condition) for condition in between]
    if "CAP_SYS_ADMIN" not in capabilities:
        # s390 passes the flags as second argument (clone(2)).
        argument = 1 if machine == "s390x" else 0
        rules.append(_allow(["clone"], (argument, _NAMESPACE_FLAGS, "SCMP_CMP_MASKED_EQ", 0)))
        # Its flags are behind a pointer that a filter cannot read: C libraries fall back to clone.
        rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS})
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _EPERM,
        "architectures": list(ARCHITECTURES.get(machine, ())),
        "syscalls": rules,
    }


def load_profile(path: str, capabilities: tuple[str, ...], machine: str) -> dict[str, Any]:
    """The profile at `path`, in Docker's JSON format, as the runtime specification's object.

    Blocks for other capabilities, architectures or newer kernels are left out. Raises InvalidError for a file that is
    none.
    """
    try:
        with open(path, "rb") as file:
            data = json.loads(file.read(_LIMIT))
        action = data["defaultAction"]
        rules = [_rule(rule) for rule in data.get("syscalls") or [] if _applies(rule, capabilities, machine)]
    except OSError as error:
        raise InvalidError(f"cannot read seccomp profile {path}: {(error.strerror or '').lower()}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidError(f"{path} is not a seccomp profile: {type(error).__name__.lower()} {error}") from None
    policy = {"defaultAction": action, "architectures": list(ARCHITECTURES.get(machine, ())), "syscalls": rules}
    if data.get("defaultErrnoRet") is not None:
        policy["defaultErrnoRet"] = int(data["defaultErrnoRet"])
    return policy


@cache
def _policy() -> dict[str, dict[str, str]]:
    import tomli

    with open(f"{os.path.dirname(__file__)}/seccomp.toml", "rb") as file:
        return tomli.load(file)


def _allow(names: list[str], *conditions: tuple[Any, ...]) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ALLOW"}
    if conditions:
        rule["args"] = [_condition(*condition) for condition in conditions]
    return rule


def _condition(index: int, value: int, operator: str, value_two: int = 0) -> dict[str, Any]:
    return {"index": index, "value": value, "valueTwo": value_two, "op": operator}


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    names = rule.get("names") or [rule["name"]]
    plain: dict[str, Any] = {"names": [str(name) for name in names], "action": rule["action"]}
    if rule.get("errnoRet") is not None:
        plain["errnoRet"] = int(rule["errnoRet"])
    if rule.get("args"):
        plain["args"] = [
            _condition(int(a["index"]), int(a["value"]), a["op"], int(a.get("valueTwo", 0))) for a in rule["args"]
        ]
    return plain


def _applies(rule: dict[str, Any], capabilities: tuple[str, ...], machine: str) -> bool:
    architectures = _DOCKER_ARCHITECTURES.get(machine, (machine,))
    wanted, unwanted = rule.get("includes") or {}, rule.get("excludes") or {}
    if not set(wanted.get("caps") or ()) <= set(capabilities) or set(unwanted.get("caps") or ()) & set(capabilities):
        return False
    if wanted.get("arches") and not set(wanted["arches"]) & set(architectures):
        return False
    if set(unwanted.get("arches") or ()) & set(architectures):
        return False
    return _kernel() >= _version(wanted.get("minKernel") or "0.0")


def _kernel() -> tuple[int, ...]:
    return _version(os.uname().release)


def _version(text: str) -> tuple[int, ...]:
    major, _, rest = text.partition(".")
    minor = "".join(c for c in rest.partition(".")[0] if c.isdigit())
    return (int(major), int(minor or 0))
