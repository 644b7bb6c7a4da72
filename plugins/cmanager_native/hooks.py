"""OCI hooks (runtime-spec config.md, POSIX-platform hooks): programs that get the container's state on stdin."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress

from cmanager.errors import CmanagerError

from .plan import Hook


class HookFailed(CmanagerError):
    """A hook ended badly; the text names it."""


def run(hooks: tuple[Hook, ...], state: bytes) -> None:
    """Run hooks in the calling process's namespaces, one after the other; HookFailed at the first that fails.

    Done with fork and exec alone, because it also runs between clone and exec.
    """
    for hook in hooks:
        _run(hook, state)


def _run(hook: Hook, state: bytes) -> None:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(read, 0)
            os.closerange(3, 256)
            env = {key: value for key, _, value in (entry.partition("=") for entry in hook.env)}
            os.execve(hook.path, hook.args, env)
        finally:
            os._exit(127)
    os.close(read)
    with suppress(BrokenPipeError):  # a hook need not read its state
        os.write(write, state)
    os.close(write)
    status = _wait(pid, hook)
    if status != 0:
        how = f"exit code {os.WEXITSTATUS(status)}" if os.WIFEXITED(status) else f"signal {os.WTERMSIG(status)}"
        raise HookFailed(f"OCI {hook.kind} hook {hook.path} failed with {how}")


def _wait(pid: int, hook: Hook) -> int:
    if hook.timeout is None:
        return os.waitpid(pid, 0)[1]
    fd = os.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        ends = time.monotonic() + hook.timeout
        if not poller.poll(max(0.0, ends - time.monotonic()) * 1000):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise HookFailed(f"OCI {hook.kind} hook {hook.path} took longer than {hook.timeout} s and was killed")
        return os.waitpid(pid, 0)[1]
    finally:
        os.close(fd)
