"""What `run` and `create` do with a container that was just made."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from ..errors import HostError
from ..model import Container
from .output.safe import printable


@contextmanager
def announced_cidfile(path: str) -> Iterator[Callable[[str], None]]:
    """Claim `--cidfile` before anything is made; it is removed again when the container is not made after all."""
    if not path:
        yield _nowhere
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise HostError.of("make --cidfile", path, error) from None
    try:
        yield partial(_write, fd)
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise
    finally:
        os.close(fd)


def _nowhere(text: str) -> None:
    """Where no file was asked for."""


def _write(fd: int, text: str) -> None:
    os.write(fd, text.encode())


def print_warnings(container: Container) -> None:
    """Tell on stderr what was degraded."""
    for warning in container.status.warnings:
        print(f"cmanager: warning: {printable(warning)}", file=sys.stderr)
