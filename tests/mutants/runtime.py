"""Faults of runtimes, put into `chroot`. A patched function is patched in the supervisor of one test alone."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

from attrs import evolve

import cmanager_chroot
from cmanager.errors import CommandError, ConflictError, HostError, NotFoundError, UnsupportedError
from cmanager.linux import programs, syscalls
from cmanager.linux.mounts import Mount
from cmanager.linux.process import Process
from cmanager.model import Bundle, Stdio
from cmanager.testing import RuntimeSuite
from cmanager_chroot import Chroot

from .mutant import Mutant, becoming


class AlwaysZero(Chroot):
    def wait(self, id: str) -> int:
        super().wait(id)
        return 0


class SignalAsItIs(Chroot):
    def wait(self, id: str) -> int:
        container = self._forked._known(id)
        if container.code is None:
            container.code = abs(os.waitstatus_to_exitcode(os.waitpid(container.pid, 0)[1]))
        return container.code


class WaitsOnce(Chroot):
    def wait(self, id: str) -> int:
        code = super().wait(id)
        self._forked._known(id).code = 0
        return code


class KeepsDescriptor(Chroot):
    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        pid = super().create(bundle, stdio)
        os.dup(stdio.stdin)
        return pid


class ForgetsToUnmount(Chroot):
    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        pid = super().create(bundle, stdio)
        syscalls.mount("none", f"{bundle.path}/rootfs/sys", "tmpfs", 0)
        return pid


class KillsByNumber(Chroot):
    def kill(self, id: str, init: Process, number: int) -> None:
        try:
            os.kill(init.pid, number)
        except ProcessLookupError:
            return
        except OSError as error:
            raise HostError.of("kill", id[:12], error) from None


class LetsErrorsEscape(Chroot):
    def kill(self, id: str, init: Process, number: int) -> None:
        init.send(number)


class DeletesOnce(Chroot):
    def delete(self, id: str) -> None:
        self._forked._known(id)
        super().delete(id)


class SparesWhatRuns(Chroot):
    def delete(self, id: str) -> None:
        container = self._forked._containers.pop(id, None)
        if container and container.channel:
            container.channel.close()


class IgnoresWhatItCannotDo(Chroot):
    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        refuse = cmanager_chroot.bundles.refuse

        def leniently(*arguments: Any) -> None:
            with suppress(UnsupportedError):
                refuse(*arguments)

        cmanager_chroot.bundles.refuse = leniently
        try:
            return super().create(bundle, stdio)
        finally:
            cmanager_chroot.bundles.refuse = refuse


class StartsAtCreate(Chroot):
    def create(self, bundle: Bundle, stdio: Stdio) -> int:
        super().create(bundle, stdio)
        return super().start(bundle.id)

    def start(self, id: str) -> int:
        return self._forked._known(id).pid


class NothingIsNotFound(Chroot):
    def start(self, id: str) -> int:
        try:
            return super().start(id)
        except CommandError as error:
            raise CommandError(str(error), 126) from None


class StartsTwice(Chroot):
    def start(self, id: str) -> int:
        with suppress(ConflictError):
            super().start(id)
        return self._forked._known(id).pid


class KnowsEveryId(Chroot):
    def wait(self, id: str) -> int:
        with suppress(NotFoundError):
            return super().wait(id)
        return 0


def ignores_sigpipe(runtime: Any) -> Any:
    soundly = programs.reset_signals

    def reset() -> None:
        soundly()
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    programs.reset_signals = reset
    return runtime


def leaves_descriptors(runtime: Any) -> Any:
    cmanager_chroot.syscalls.close_range = lambda *numbers: None
    return runtime


def follows_links(runtime: Any) -> Any:
    soundly = cmanager_chroot.mounts.make

    def make(mount: Mount, root: int) -> None:
        target = os.path.realpath(f"{os.readlink(f'/proc/self/fd/{root}')}{mount.target}")
        top = os.open("/", os.O_PATH)
        soundly(evolve(mount, target=target), top)
        os.close(top)

    cmanager_chroot.mounts.make = make
    return runtime


def _mutant(does: str, spoil: Any, *, everyday: bool = False) -> Mutant:
    faulty = becoming(spoil) if isinstance(spoil, type) else spoil
    return Mutant(does, RuntimeSuite, "cmanager_chroot:chroot", faulty, everyday=everyday)


MUTANTS = [
    _mutant("reports exit code 0 whatever happened", AlwaysZero, everyday=True),
    _mutant("reports a death by signal without the 128", SignalAsItIs),
    _mutant("forgets the exit code once it was asked for", WaitsOnce),
    _mutant("keeps a descriptor of each container", KeepsDescriptor),
    _mutant("forgets to unmount", ForgetsToUnmount),
    _mutant("kills whatever has the pid now", KillsByNumber, everyday=True),
    _mutant("lets an OSError escape from kill", LetsErrorsEscape),
    _mutant("raises when it deletes what is gone", DeletesOnce),
    _mutant("leaves the program running at delete", SparesWhatRuns),
    _mutant("ignores what it does not announce", IgnoresWhatItCannotDo),
    _mutant("runs the program at create", StartsAtCreate),
    _mutant("says 126 for what is not found", NothingIsNotFound),
    _mutant("starts what was started", StartsTwice),
    _mutant("waits for what it never created", KnowsEveryId),
    _mutant("begins the program with SIGPIPE ignored", ignores_sigpipe),
    _mutant("hands the supervisor's descriptors on", leaves_descriptors),
    _mutant("follows a link of the image out of the root", follows_links),
]
