"""Capability names and masks (capabilities(7), include/uapi/linux/capability.h)."""

from __future__ import annotations

from collections.abc import Iterable

NAMES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
NUMBERS = {f"CAP_{name}": number for number, name in enumerate(NAMES)}


def mask(names: Iterable[str]) -> int:
    """The bit mask of full names such as "CAP_CHOWN"; unknown names raise KeyError."""
    return sum(1 << NUMBERS[name] for name in set(names))


def names(bits: int) -> tuple[str, ...]:
    """Full names of the bits in a mask, in the kernel's order; bits without a name are left out."""
    return tuple(name for name, number in NUMBERS.items() if bits >> number & 1)


def of_process(pid: int | str = "self") -> dict[str, int]:
    """The masks of a process by their names in /proc/PID/status: CapInh, CapPrm, CapEff, CapBnd, CapAmb."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return {line[:6]: int(line[8:], 16) for line in file if line.startswith("Cap")}
