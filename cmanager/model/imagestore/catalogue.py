"""Which images are stored, and what they are called: one small file, replaced as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from attrs import field

from ...errors import CorruptError, HostError
from ...linux import files
from ...linux.values import frozen

_SCHEMA = 1


@frozen
class Names:
    """tags: reference ("busybox:latest", "busybox@sha256:…") to manifest digest; images: manifest digest to image id.

    Every digest in `tags` is one in `images`.
    """

    tags: dict[str, str] = field(factory=dict)
    images: dict[str, str] = field(factory=dict)

    def of(self, digest: str) -> list[str]:
        """Every name of an image."""
        return sorted(name for name, target in self.tags.items() if target == digest)


class Catalogue:
    """The file `DIRECTORY/images.json`. Reading it costs one read, which grows with the number of names."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._path = f"{directory}/images.json"

    def read(self) -> Names:
        """What is stored now; CorruptError when the file is none of ours."""
        return self._parse(self._content())

    @contextmanager
    def changing(self) -> Iterator[Names]:
        """Hold the file; what the caller leaves in the two dicts is what it says from then on, durably.

        Nothing changes when the caller raises.
        """
        with self.locked("images.lock"):
            before = self._content()
            names = self._parse(before)
            yield names
            data = {"schema": _SCHEMA, "tags": names.tags, "images": names.images}
            content = json.dumps(data, sort_keys=True).encode()
            if content != before:
                try:
                    files.write_atomic(self._path, content, durable=True)
                except OSError as error:
                    raise HostError.of("write", self._path, error) from None

    @contextmanager
    def locked(self, name: str, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
        """Hold a lock of the store; False when `wait` is False and somebody else has it."""
        path, held = f"{self._directory}/{name}", True
        with ExitStack() as stack:
            try:
                if not os.path.isdir(self._directory):
                    os.makedirs(self._directory, mode=0o700, exist_ok=True)
                stack.enter_context(files.locked(path, shared=shared, wait=wait))
            except BlockingIOError:
                held = False
            except OSError as error:
                raise HostError.of("lock", path, error) from None
            yield held

    def _content(self) -> bytes:
        try:
            with open(self._path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise HostError.of("read", self._path, error) from None

    def _parse(self, content: bytes) -> Names:
        if not content:
            return Names()
        try:
            data = json.loads(content)
        except ValueError as error:
            raise CorruptError(f"{self._path} is not JSON: {error}, move it away and pull again") from None
        if not isinstance(data, dict) or data.get("schema") != _SCHEMA:
            raise CorruptError(f"{self._path} is not of schema {_SCHEMA}, move it away and pull again")
        tags, images = data.get("tags"), data.get("images")
        if not isinstance(tags, dict) or not isinstance(images, dict) or not set(tags.values()) <= set(images):
            raise CorruptError(f"{self._path} contradicts itself, move it away and pull again")
        return Names(tags, images)
