"""From `linux.seccomp` of the runtime specification to a policy in LXC's words (lxc.container.conf(5), version 2)."""

from __future__ import annotations

import errno
import platform
from typing import Any

from cmanager.errors import UnsupportedError
from cmanager.model import bundle

_ACTIONS = {"ALLOW": "allow", "KILL": "kill", "KILL_THREAD": "kill", "TRAP": "trap"}
#: uname -m to LXC's section for the calls of this architecture alone, and its name in the specification.
_NATIVE = {"x86_64": ("x86_64", "X86_64"), "aarch64": ("arm64", "AARCH64"), "s390x": ("s390x", "S390X")}


def translate(policy: dict[str, Any]) -> str:
    """The text of a policy. InvalidError for one that makes no sense, UnsupportedError for what LXC has no word for."""
    bundle.check_filter(policy)
    if policy.get("listenerPath") or policy.get("flags"):
        raise UnsupportedError("runtime lxc cannot honour linux.seccomp: listenerPath and flags have no word in LXC")
    default = _action(policy["defaultAction"], policy.get("defaultErrnoRet"))
    lines = ["2", f"{'denylist' if default == 'allow' else 'allowlist'} {default}", _section(policy)]
    for rule in policy.get("syscalls") or ():
        action = _action(rule["action"], rule.get("errnoRet"))
        # libseccomp refuses a rule that says what is done anyway.
        if action != default:
            conditions = _conditions(rule.get("args") or [])
            lines += [f"{name} {action}{group}" for name in rule["names"] for group in conditions]
    return "\n".join(lines) + "\n"


def _action(word: str, number: int | None) -> str:
    short = word.removeprefix("SCMP_ACT_")
    if short == "ERRNO":
        return f"errno {errno.EPERM if number is None else number}"
    if short not in _ACTIONS:
        raise UnsupportedError(f"runtime lxc cannot honour linux.seccomp: LXC has no action {word}")
    return _ACTIONS[short]


def _section(policy: dict[str, Any]) -> str:
    """Which architectures the rules are for: this one, or those that its processors run as well."""
    section, own = _NATIVE.get(platform.machine(), ("all", ""))
    others = {name.removeprefix("SCMP_ARCH_") for name in policy.get("architectures") or ()} - {own}
    return "[all]" if others else f"[{section}]"


def _conditions(arguments: list[dict[str, Any]]) -> list[str]:
    """Conditions that must all hold; two on one argument are rules of their own, as in runc."""
    made = [_condition(argument) for argument in arguments]
    apart = len({argument["index"] for argument in arguments}) < len(arguments)
    return [f" {one}" for one in made] if apart else [f" {' '.join(made)}" if made else ""]


def _condition(argument: dict[str, Any]) -> str:
    value, two = _signed(argument["value"]), _signed(argument.get("valueTwo", 0))
    # [index,value,operator,mask]; the specification has the mask as value, and what must come out as valueTwo.
    masked = argument["op"] == "SCMP_CMP_MASKED_EQ"
    return f"[{argument['index']},{two if masked else value},{argument['op']},{value if masked else 0}]"


def _signed(value: int) -> int:
    """As LXC reads numbers: %lli."""
    return value - (1 << 64) if value >= 1 << 63 else value
