"""`commit`: an image of what a container has become."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

from ..errors import CmanagerError, HostError, InvalidError, UnsupportedError
from ..model.container import Container, RunRequest
from ..model.image import Authorship, Image, ImageConfig, Reference
from ..seams import Import
from . import instructions
from .files import mountpoints

if TYPE_CHECKING:
    from .engine import Engine


def commit(
    engine: Engine,
    word: str,
    reference: Reference | None,
    *,
    changes: tuple[str, ...],
    author: str,
    message: str,
    pause: bool,
) -> tuple[Container, Image]:
    """Store the image of container `word` with one layer more: what it changed; returns both.

    reference: its name, None for none; changes: instructions of a Dockerfile ("ENV A=b"); pause: stop a running
    container's processes while its files are read. Raises InvalidError for an instruction that is none and
    UnsupportedError when a plugin cannot do it, both before anything is read; NotFoundError, ConflictError, HostError.
    """
    if reference is not None and reference.digest:
        raise InvalidError(f"{reference} cannot be the name of a new image: it has a digest")
    with engine.files.settled(word) as container:
        images: Any = engine.plugins.get("image", container.providers.image)
        if not isinstance(images, Import):
            raise UnsupportedError(f"image plugin {container.providers.image!r} cannot store images made here")
        storage, layers = engine.files.committing(container)
        base: Image = engine.plugins.get("image", container.providers.image).resolve(container.image_digest)
        config = instructions.apply(configuration(container.request, base.config), changes)
        with _spooled(engine.paths.root) as spool:
            with paused(engine, container, wanted=pause):
                try:
                    storage.layer(container.id, layers, container.user_map, mountpoints(container), spool)
                except OSError as error:
                    raise HostError.of("write a layer to", engine.paths.root, error) from None
            about = Authorship(_now(), " ".join(container.argv), author, message)
            return container, images.extend(base.digest, spool, config, about, reference)


def configuration(request: RunRequest, image: ImageConfig) -> ImageConfig:
    """The image's configuration with what the container was started with laid over it."""
    env = dict(entry.partition("=")[::2] for entry in (*image.env, *request.env))
    return attrs.evolve(
        image,
        entrypoint=image.entrypoint if request.entrypoint is None else request.entrypoint,
        cmd=request.command or (image.cmd if request.entrypoint is None else ()),
        env=tuple(f"{key}={value}" for key, value in env.items()),
        user=request.user or image.user,
        working_dir=request.workdir or image.working_dir,
        # The record holds the default where neither said anything.
        stop_signal=image.stop_signal if request.stop_signal == "SIGTERM" else request.stop_signal,
        labels=image.labels | request.labels,
    )


@contextmanager
def _spooled(directory: str) -> Iterator[int]:
    """A file without a name, so that nothing is left of it whatever happens."""
    try:
        file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed below
    except OSError as error:
        raise HostError.of("make a temporary file in", directory, error) from None
    with file:
        yield file.fileno()


@contextmanager
def paused(engine: Engine, container: Container, *, wanted: bool) -> Iterator[None]:
    """A running container's processes are stopped meanwhile, and go on also when this process is killed."""
    if not wanted or container.status.state != "running":
        yield
        return
    limiter: Any = engine.plugins.get("limiter", container.providers.limiter)
    read, write = os.pipe()
    guard = os.fork()
    if guard == 0:
        _thaw_at_end(read, limiter, container.id)
    os.close(read)
    try:
        limiter.freeze(container.id, True)
        yield
    finally:
        os.close(write)
        os.waitpid(guard, 0)
        with suppress(CmanagerError):
            limiter.freeze(container.id, False)


def _thaw_at_end(read: int, limiter: Any, id: str) -> NoReturn:
    """Wait until whoever froze the container is done or dead."""
    try:
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd <= 2:
                os.dup2(null, fd)
            elif fd not in (read, null):
                with suppress(OSError):
                    os.close(fd)
        os.read(read, 1)
        limiter.freeze(id, False)
    finally:
        os._exit(0)


def _now() -> str:
    """RFC 3339 with nanoseconds, as in image configurations."""
    seconds, fraction = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:09d}Z"
