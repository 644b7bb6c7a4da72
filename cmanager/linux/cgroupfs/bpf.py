"""The device list on cgroup v2: a BPF program of type CGROUP_DEVICE (cgroup-v2.rst, bpf(2))."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

from ...errors import HostError
from .. import syscalls
from .rules import DeviceRule

_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH, _PROG_GET_FD_BY_ID, _PROG_QUERY = 5, 8, 9, 13, 16
_TYPE_CGROUP_DEVICE, _ATTACH_CGROUP_DEVICE = 15, 6
_ALLOW_MULTI, _REPLACE = 2, 4
_MOST_PROGRAMS = 64  # BPF_CGROUP_MAX_PROGS
_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}
_ANY_ACCESS = 7
_LOAD_WORD, _COPY, _SET, _AND, _SHIFT, _IF_NOT, _IF, _EXIT = 0x61, 0xBF, 0xB7, 0x54, 0x74, 0x55, 0x15, 0x95
_RESULT, _SCRATCH, _KIND, _WISH, _MAJOR, _MINOR = 0, 1, 2, 3, 4, 5


def set_devices(directory: str, rules: Iterable[DeviceRule]) -> None:
    """Attach the rules to the cgroup at `directory`, in place of those it has. Raises HostError."""
    try:
        program = _load(compile_rules(tuple(rules)))
        target = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _attach(target, program)
        finally:
            os.close(target)
            os.close(program)
    except OSError as error:
        raise HostError.of("set device rules of", directory, error) from None


def compile_rules(rules: tuple[DeviceRule, ...]) -> bytes:
    """The program: the last rule that matches decides, as in v1; no rule at all allows everything."""
    made = [
        _instruction(_LOAD_WORD, _KIND, _SCRATCH, offset=0),
        _instruction(_COPY, _WISH, _KIND),
        _instruction(_AND, _KIND, value=0xFFFF),
        _instruction(_SHIFT, _WISH, value=16),
        _instruction(_LOAD_WORD, _MAJOR, _SCRATCH, offset=4),
        _instruction(_LOAD_WORD, _MINOR, _SCRATCH, offset=8),
    ]
    for rule in reversed(rules):
        made += _rule(rule)
        if rule.type == "a":
            # It always matches, and the kernel refuses a program with instructions nothing can reach.
            return b"".join(made)
    return b"".join((*made, _instruction(_SET, _RESULT, value=1), _instruction(_EXIT)))


def _rule(rule: DeviceRule) -> list[bytes]:
    """Tests that lead past this rule where it does not match, then its answer; type "a" always matches."""
    made = [_instruction(_SET, _RESULT, value=int(rule.allow)), _instruction(_EXIT)]

    def unless(code: int, register: int, value: int) -> None:
        made.insert(0, _instruction(code, register, offset=len(made), value=value))

    if rule.type == "a":
        return made
    access = sum(_ACCESS[letter] for letter in set(rule.access))
    if access != _ANY_ACCESS:
        # Allowed is who wishes for nothing else, denied who wishes for any of it.
        unless(_IF_NOT if rule.allow else _IF, _SCRATCH, 0)
        made.insert(0, _instruction(_AND, _SCRATCH, value=~access & _ANY_ACCESS if rule.allow else access))
        made.insert(0, _instruction(_COPY, _SCRATCH, _WISH))
    for register, number in ((_MINOR, rule.minor), (_MAJOR, rule.major), (_KIND, _TYPES[rule.type])):
        if number is not None:
            unless(_IF_NOT, register, number)
    return made


def _instruction(code: int, target: int = 0, source: int = 0, *, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | target, offset, value)


def _load(program: bytes) -> int:
    instructions = ctypes.create_string_buffer(program, len(program))
    license_text = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "IIQQIIQII",
        *(_TYPE_CGROUP_DEVICE, len(program) // 8, ctypes.addressof(instructions), ctypes.addressof(license_text)),
        *(0, 0, 0, 0, 0),
    )
    return syscalls.bpf(_PROG_LOAD, attributes)


def _attach(target: int, program: int) -> None:
    old = _attached(target)
    # Multi: a container that is a manager itself may add rules of its own below.
    flags = _ALLOW_MULTI | (_REPLACE if old else 0)
    try:
        fields = (target, program, _ATTACH_CGROUP_DEVICE, flags, old[0] if old else 0)
        syscalls.bpf(_PROG_ATTACH, struct.pack("IIIII", *fields))
        for other in old[1:]:
            # A runtime's own: all that are attached must allow a device.
            syscalls.bpf(_PROG_DETACH, struct.pack("IIIII", target, other, _ATTACH_CGROUP_DEVICE, 0, 0))
    finally:
        for fd in old:
            os.close(fd)


def _attached(target: int) -> list[int]:
    """The programs that are attached already; the caller closes them."""
    ids = (ctypes.c_uint32 * _MOST_PROGRAMS)()
    attributes = ctypes.create_string_buffer(
        struct.pack("IIIIQII", target, _ATTACH_CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), _MOST_PROGRAMS, 0), 32
    )
    syscalls.bpf(_PROG_QUERY, attributes)
    (count,) = struct.unpack_from("I", attributes, 24)
    return [syscalls.bpf(_PROG_GET_FD_BY_ID, struct.pack("III", id, 0, 0)) for id in ids[:count]]
