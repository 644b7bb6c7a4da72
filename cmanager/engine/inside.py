"""A forked process that holds the root of a container's files and does one thing with it.

Running: the root is that of its first process, with everything mounted there. Otherwise the process makes a private
mount namespace and mounts what the storage provider prepared. In neither case does it change its own root or working
directory, so nothing is ever looked up in the container by accident (CVE-2019-14271).
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NoReturn

from ..errors import CmanagerError, ConflictError, HostError, InvalidError, retold, told
from ..linux import inroot, mounts, syscalls, userns
from ..linux.mounts import Mount
from ..linux.process import Process
from ..linux.values import frozen
from ..model.volume import Volume, VolumeMount
from ..supervisor import rootfs, volumes

_NOBODY = 65534  # /proc/sys/kernel/overflowuid
#: File systems that show the kernel's state rather than files: cp leaves their content out.
_KERNEL = {
    *("proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "securityfs", "debugfs", "tracefs", "bpf", "pstore"),
    *("configfs", "binfmt_misc", "efivarfs", "fusectl", "selinuxfs", "nsfs"),
}


@frozen
class Root:
    """What the action gets.

    fd: the root (O_PATH); foreign: devices whose content is left out; alive: raises ConflictError once a container that
    ran has ended; user_map: (first host id, count) of its user namespace, None without one.
    """

    fd: int
    foreign: frozenset[int]
    alive: Callable[[], None]
    user_map: tuple[int, int] | None

    def inward(self, number: int) -> int:
        """The host's id of an id inside; InvalidError for one that is not."""
        if self.user_map is None:
            return number
        if number >= self.user_map[1]:
            raise InvalidError(
                f"owner {number} is outside of the container's user namespace of {self.user_map[1]} ids, "
                "copy without -a or run it with --userns host"
            )
        return self.user_map[0] + number

    def outward(self, number: int) -> int:
        """The id inside of a host's id; the kernel's overflow id, as inside, for one that has none."""
        if self.user_map is None:
            return number
        first, count = self.user_map
        return number - first if first <= number < first + count else _NOBODY


@frozen
class Running:
    """Where the files of a running container are. own: also what is mounted in it, else its root file system alone."""

    init: Process
    supervisor: Process
    bundle: str
    user_map: tuple[int, int] | None
    mounted: bool = True

    def __call__(self) -> Root:
        watched = self.init if self.mounted else self.supervisor
        try:
            handle = os.pidfd_open(watched.pid)
        except ProcessLookupError:
            raise _ended() from None

        def alive() -> None:
            if select.select([handle], [], [], 0)[0]:
                raise _ended()

        # Believed only if the process is still the one that is meant after its root was opened.
        plain = self._open(f"/proc/{self.supervisor.pid}/root{self.bundle}/rootfs")
        fd, foreign = plain, frozenset[int]()
        if self.mounted:
            shown = self._open(f"/proc/{self.init.pid}/root")
            # A runtime's first process may be its monitor, in the host's root: only the container's own root will do.
            if os.path.samestat(os.fstat(shown), os.fstat(plain)):
                fd, foreign = shown, _kernel_devices(self.init.pid)
        if not self.init.alive() or not self.supervisor.alive():
            raise _ended()
        return Root(fd, foreign, alive, self.user_map)

    def _open(self, path: str) -> int:
        try:
            return inroot.open_root(path)
        except (FileNotFoundError, ProcessLookupError):
            raise _ended() from None
        except OSError as error:
            raise HostError.of("open the container's root at", path, error) from None


@frozen
class Stopped:
    """The files of a container that does not run; the caller holds its lock.

    parts: what the storage provider prepared; binds: mounts to make in it where their target exists; kept: the same for
    volumes; scratch: an empty directory of ours.
    """

    parts: tuple[Mount, ...]
    binds: tuple[Mount, ...]
    kept: tuple[tuple[Volume, VolumeMount], ...]
    scratch: str
    user_map: tuple[int, int] | None

    def __call__(self) -> Root:
        try:
            mounts.make_private_namespace()
            # Nothing of what is made from here on outlives this process.
            syscalls.mount("tmpfs", self.scratch, "tmpfs", 0, "mode=700")
            namespace = ""
            if self.user_map:
                namespace = f"{self.scratch}/userns"
                userns.pin(namespace, *self.user_map)
        except OSError as error:
            raise HostError.of("make a private place for mounts at", self.scratch, error) from None
        rootfs.mount(self.parts, self.scratch, namespace, self.user_map[0] if self.user_map else 0)
        fd = inroot.open_root(f"{self.scratch}/rootfs")
        for bind in (*self.binds, *self._volumes(namespace)):
            if inroot.exists(fd, bind.target) and os.path.exists(bind.source):
                try:
                    mounts.make(bind, fd)
                except OSError as error:
                    raise HostError.of(f"mount {bind.source} on", bind.target, error) from None
        return Root(fd, _kernel_devices(os.getpid()), lambda: None, self.user_map)

    def _volumes(self, namespace: str) -> Iterator[Mount]:
        for number, (volume, use) in enumerate(self.kept):
            try:
                source = volumes.source(volume, use, f"{self.scratch}/mapped-{number}", namespace)
            except OSError as error:
                raise HostError.of(f"attach volume {volume.name} for", use.target, error) from None
            yield Mount("bind", source, use.target, ("bind", *volumes.DEFAULT_OPTIONS, *use.options))


class Child:
    """`action(find())` in a forked process. close: descriptors of the caller's that it must not hold.

    The caller sees to it that it ends, by `result` or `end`.
    """

    def __init__(self, find: Callable[[], Root], action: Callable[[Root], dict[str, Any]], *close: int) -> None:
        self._report, theirs = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            for fd in (*close, self._report):
                os.close(fd)
            _work(find, action, theirs)
        os.close(theirs)

    def result(self) -> dict[str, Any]:
        """Wait for it; what the action returned, or its error raised here."""
        answer = b""
        while chunk := os.read(self._report, 65536):
            answer += chunk
        self._reap()
        if not answer:
            raise CmanagerError("the process that had the container's files was killed, see the kernel log")
        report: dict[str, Any] = json.loads(answer)
        if "error" in report:
            raise retold(report["error"])
        return report

    def end(self) -> None:
        """Kill it if it is still there."""
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, 9)
            self._reap()

    def _reap(self) -> None:
        os.waitpid(self._pid, 0)
        os.close(self._report)
        self._pid = 0


def _work(find: Callable[[], Root], action: Callable[[Root], dict[str, Any]], report: int) -> NoReturn:
    try:
        try:
            root = find()
            if root.user_map:
                _take_ids(root.user_map[0])
            answer = action(root)
        except CmanagerError as error:
            answer = {"error": told(error)}
        except KeyboardInterrupt:
            answer = {"error": told(CmanagerError("interrupted"))}
        except BaseException as error:
            answer = {"error": told(CmanagerError(f"{type(error).__name__}: {error}"))}
        with os.fdopen(report, "w") as file:
            json.dump(answer, file)
    finally:
        os._exit(0)


def _take_ids(first: int) -> None:
    """Make files as the container's root: in an id-mapped mount the host's own has no id (EOVERFLOW)."""
    try:
        syscalls.prctl(syscalls.PR_SET_SECUREBITS, syscalls.SECBIT_NO_SETUID_FIXUP)
        syscalls.set_file_ids(first, first)
    except OSError as error:
        raise HostError.of("take the file ids of the container's root", "", error) from None


def _kernel_devices(pid: int) -> frozenset[int]:
    found = set()
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if right.split(" ", 1)[0] in _KERNEL:
                major, _, minor = left.split(" ")[2].partition(":")
                found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)


def _ended() -> ConflictError:
    return ConflictError("the container ended while its files were read or written, try again")
