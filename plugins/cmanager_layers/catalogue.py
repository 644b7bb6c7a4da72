"""Which images are stored, and what they are called: one small file, replaced as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import field, frozen

from cmanager.errors import CorruptError, HostError
from cmanager.linux import files

_SCHEMA = 1


@frozen
class Names:
    """tags: reference ("busybox:latest") to manifest digest; images: manifest digest to image id."""

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
        try:
            with open(self._path, "rb") as file:
                data = json.load(file)
        except FileNotFoundError:
            return Names()
        except OSError as error:
            raise HostError.of("read", self._path, error) from None
        except ValueError as error:
            raise CorruptError(f"{self._path} is corrupt: {error}, move it away and pull again") from None
        if not isinstance(data, dict) or data.get("schema") != _SCHEMA:
            raise CorruptError(f"{self._path} is not of schema {_SCHEMA}")
        return Names(data["tags"], data["images"])

    @contextmanager
    def changing(self) -> Iterator[Names]:
        """Hold the file; what the caller leaves in the two dicts is what it says from then on, durably."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        with files.locked(f"{self._directory}/images.lock"):
            names = self.read()
            yield names
            content = json.dumps({"schema": _SCHEMA, "tags": names.tags, "images": names.images}, sort_keys=True)
            try:
                files.write_atomic(self._path, content.encode(), durable=True)
            except OSError as error:
                raise HostError.of("write", self._path, error) from None
