"""From `linux.seccomp` of the runtime specification to a BPF program, compiled once (seccomp(2), libseccomp)."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import struct
from typing import Any

from cmanager.errors import InvalidError, UnsupportedError
from cmanager.linux import files
from cmanager.model import bundle

_CTL_OPTIMIZE = 8  # libseccomp 2.5: 2 asks for a binary tree instead of a list
#: Newer than the oldest libseccomp in use; since Linux 5.1 a number is the same on every architecture.
_NEW_CALLS = {
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
}
_HIGHEST_LOOKED_AT = 1000
_UNKNOWN = -1  # __NR_SCMP_ERROR
_X32_BIT = 0x40000000
_LD_NR, _JGE, _JGT, _JEQ, _RET = 0x20, 0x35, 0x25, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
#: Raised when the compilation changes: cached programs of older ones are not used.
_VERSION = 1


def compile_filter(policy: dict[str, Any], cache_dir: str | None) -> bytes:
    """The program for a policy, from `cache_dir` when it was compiled before.

    A call newer than libseccomp gets ENOSYS instead of the default action, so that programs fall back as on an older
    kernel. Raises InvalidError for a policy that makes no sense, UnsupportedError without libseccomp.
    """
    text = json.dumps([_VERSION, platform.machine(), policy], sort_keys=True)
    path = f"{cache_dir}/{hashlib.sha256(text.encode()).hexdigest()}" if cache_dir else ""
    if path:
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    bundle.check_filter(policy)
    program = _compile(policy)
    if path:
        files.write_atomic(path, program)
    return program


def _compile(policy: dict[str, Any]) -> bytes:
    try:
        import pyseccomp
    except (ImportError, RuntimeError):
        raise UnsupportedError(
            "seccomp needs the library libseccomp (Debian: libseccomp2), or --security-opt seccomp=unconfined"
        ) from None
    if policy.get("listenerPath"):
        raise UnsupportedError("seccomp: listenerPath is not supported by the native runtime")
    default = _action(pyseccomp, policy["defaultAction"], policy.get("defaultErrnoRet"))
    made = pyseccomp.SyscallFilter(default)
    made.set_attr(_CTL_OPTIMIZE, 2)
    native = pyseccomp.system_arch()
    for name in policy.get("architectures") or ():
        number = getattr(pyseccomp.Arch, name.removeprefix("SCMP_ARCH_"), None)
        if number is not None and number != native:
            made.add_arch(number)
    newest = _newest(pyseccomp, native)
    late = []
    for rule in policy.get("syscalls") or ():
        action = _action(pyseccomp, rule["action"], rule.get("errnoRet"))
        arguments = rule.get("args") or []
        for name in rule["names"]:
            number = _NEW_CALLS.get(name, 0)
            if number > newest:
                if action == pyseccomp.ALLOW and not arguments:
                    late.append(number)
            elif action != default:
                _add(pyseccomp, made, action, name, arguments)
    with os.fdopen(os.memfd_create("seccomp"), "w+b") as file:
        made.export_bpf(file)
        file.seek(0)
        program = file.read()
    return program if default == pyseccomp.ALLOW else _prologue(newest, sorted(set(late))) + program


def _add(library: Any, made: Any, action: int, name: str, arguments: list[dict[str, Any]]) -> None:
    number = library.resolve_syscall(library.Arch.NATIVE, name)
    if number == _UNKNOWN:
        return  # the library does not know it: the default action, as in runc
    conditions = [_condition(library, argument) for argument in arguments]
    # Two conditions on one argument cannot stand in one rule: each becomes a rule of its own, as in runc.
    apart = len({argument["index"] for argument in arguments}) < len(arguments)
    for group in [[condition] for condition in conditions] if apart else [conditions]:
        try:
            made.add_rule(action, number, *group)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise InvalidError(f"seccomp: cannot add a rule for {name}: {error}") from None


def _action(library: Any, word: str, number: int | None) -> int:
    plain = {
        "SCMP_ACT_ALLOW": library.ALLOW,
        "SCMP_ACT_KILL": library.KILL_THREAD,
        "SCMP_ACT_KILL_THREAD": library.KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS": library.KILL_PROCESS,
        "SCMP_ACT_TRAP": library.TRAP,
        "SCMP_ACT_LOG": library.LOG,
    }
    if word in plain:
        return int(plain[word])
    if word == "SCMP_ACT_ERRNO":
        return int(library.ERRNO(errno.EPERM if number is None else number))
    if word == "SCMP_ACT_TRACE":
        return int(library.TRACE(number or 0))
    known = ", ".join((*plain, "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"))
    raise InvalidError(f"seccomp: unknown action {word!r}, known are {known}")


def _condition(library: Any, argument: dict[str, Any]) -> Any:
    word = argument["op"].removeprefix("SCMP_CMP_")
    if word not in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"):
        raise InvalidError(f"seccomp: unknown operator {argument['op']!r}")
    operator = getattr(library, word)
    if word == "MASKED_EQ":
        return library.Arg(argument["index"], operator, argument["value"], argument.get("valueTwo", 0))
    return library.Arg(argument["index"], operator, argument["value"])


def _newest(library: Any, native: int) -> int:
    """The highest call that this libseccomp knows by name."""
    newest = 0
    for number in range(400, _HIGHEST_LOOKED_AT):
        try:
            if library.resolve_syscall(native, number):
                newest = number
        except (OSError, ValueError):
            continue
    return newest


def _prologue(newest: int, allowed: list[int]) -> bytes:
    """Instructions before the library's: calls it cannot know are allowed by number or get ENOSYS."""

    def instruction(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    rest = len(allowed) + 3  # what follows the first test
    made = [
        instruction(_LD_NR, 0, 0, 0),
        instruction(_JGE, rest, 0, _X32_BIT),
        instruction(_JGT, 0, rest - 1, newest),
    ]
    for position, number in enumerate(allowed):
        made.append(instruction(_JEQ, len(allowed) - position, 0, number))
    made.append(instruction(_RET, 0, 0, _ERRNO | errno.ENOSYS))
    made.append(instruction(_RET, 0, 0, _ALLOW))
    return b"".join(made)
