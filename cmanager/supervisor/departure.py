"""What is left to do when a container's last life has been undone."""

from __future__ import annotations

import os
from contextlib import suppress

from ..errors import CmanagerError
from ..linux import files
from ..plugins import Plugins
from . import volumes
from .book import Book


def tell_waiters(directory: str, code: int) -> None:
    """Write the exit code into the pipes of commands that wait for it (`Engine.wait`)."""
    with suppress(FileNotFoundError):
        for name in os.listdir(directory):
            with suppress(OSError):
                fd = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                os.write(fd, b"%d" % code)
                os.close(fd)
        files.remove_tree(directory)


def remove(book: Book, plugins: Plugins, left: list[str]) -> None:
    """Remove a container with `--rm`. left: what could not be undone; then, or when something cannot be removed, the
    record stays, so that `gc` finds the rest."""
    container = book.container
    with suppress(CmanagerError):
        with suppress(CmanagerError):  # a volume that stays is listed; its container would be kept for nothing
            volumes.drop(plugins, book.store, container)
        plugins.get("storage", container.providers.storage).remove(container.id)
        if not left:
            book.store.remove(container.id, container.name, keep_lock=True)
            book.announce("destroy")
