"""What is known of a plugin's volumes without asking it.

volumes/NAME.json        labels, options, when it was made, and whether the plugin has made it yet
attached/ID/NAME         boot id, and the path once the plugin has told it
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cmanager.errors import ConflictError, HostError, InvalidError, NotFoundError
from cmanager.linux import files
from cmanager.linux.process import boot_id
from cmanager.model import Volume
from cmanager.model.names import ID, NAME

_LIMIT = 1 << 20


class Records:
    """Records below `directory`, which is made 0700 when first written to. HostError for what the disk refuses."""

    def __init__(self, directory: str) -> None:
        self._volumes, self._attached = f"{directory}/volumes", f"{directory}/attached"

    def check(self, name: str) -> str:
        """Path of the record of a volume. InvalidError for a name that is none."""
        if not NAME.fullmatch(name):
            raise InvalidError(f"invalid volume name {name[:140]!r}")
        return f"{self._volumes}/{name}.json"

    def list(self) -> tuple[Volume, ...]:
        """By name; a small file each."""
        names = _names(self._volumes, re.compile(r".+\.json"))
        found = sorted(name.removesuffix(".json") for name in names)
        return tuple(self._load(name) for name in found if NAME.fullmatch(name))

    def find(self, name: str) -> Volume:
        """Raises NotFoundError."""
        if not os.path.exists(self.check(name)):
            raise NotFoundError(f"no such volume: {name}")
        return self._load(name)

    def add(self, name: str, labels: dict[str, str], options: dict[str, str], *, anonymous: bool) -> Volume:
        """A volume that the plugin has not made yet. ConflictError when the name is taken."""
        path = self.check(name)
        if os.path.exists(path):
            raise ConflictError(f"volume {name} exists already")
        volume = Volume(name, "", "", time.time(), labels, anonymous, options=options)
        self._write(volume, made=False)
        return volume

    def made(self, volume: Volume) -> None:
        """The plugin has made it."""
        self._write(volume, made=True)

    def is_made(self, name: str) -> bool:
        """Whether the plugin has."""
        record = self._read(self.check(name))
        return bool(record and record.get("made"))

    def remove(self, name: str) -> None:
        """Idempotent."""
        with _telling("remove", path := self.check(name)), suppress(FileNotFoundError):
            os.unlink(path)

    # -- who has it attached ---------------------------------------------------------------------------------------

    def attaching(self, name: str, id: str, boot: str, path: str = "") -> None:
        """Written before the plugin is asked, and again when it has answered with `path`."""
        target = self._attachment(name, id)
        with _telling("write", target):
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            files.write_atomic(target, json.dumps({"boot": boot, "path": path}).encode(), durable=True)

    def attachment(self, name: str, id: str) -> tuple[str, str] | None:
        """Boot in which it was attached for `id`, and where; None when it is not, "" for what is not known."""
        path = self._attachment(name, id)
        if not os.path.exists(path):
            return None
        record = self._read(path) or {}
        return str(record.get("boot", "")), str(record.get("path", ""))

    def detached(self, name: str, id: str) -> None:
        """Idempotent."""
        path = self._attachment(name, id)
        with _telling("remove", path), suppress(FileNotFoundError):
            os.unlink(path)
            with suppress(OSError):  # others of this container
                os.rmdir(os.path.dirname(path))

    def attachments(self) -> tuple[tuple[str, str], ...]:
        """Name and container id of each."""
        return tuple(
            (name, id) for id in sorted(_names(self._attached, ID)) for name in _names(f"{self._attached}/{id}", NAME)
        )

    # -- parts -----------------------------------------------------------------------------------------------------

    def _attachment(self, name: str, id: str) -> str:
        self.check(name)
        if not ID.fullmatch(id):
            raise InvalidError(f"invalid container id {id[:80]!r}")
        return f"{self._attached}/{id}/{name}"

    def _mountpoint(self, name: str) -> str:
        """Where it is now for some container, "" for nowhere."""
        for other, id in self.attachments():
            found = self.attachment(name, id) if other == name else None
            if found and found[1] and found[0] == boot_id():
                return found[1]
        return ""

    def _write(self, volume: Volume, *, made: bool) -> None:
        record = {
            "schema": 1,
            "created_at": volume.created_at,
            "labels": volume.labels,
            "options": volume.options,
            "anonymous": volume.anonymous,
            "scope": volume.scope,
            "made": made,
        }
        path = self.check(volume.name)
        with _telling("write", path):
            os.makedirs(self._volumes, mode=0o700, exist_ok=True)
            files.write_atomic(path, json.dumps(record).encode(), durable=True)

    def _load(self, name: str) -> Volume:
        record = self._read(path := self.check(name))
        try:
            assert record is not None
            labels, options = (_strings(record[key]) for key in ("labels", "options"))
            return Volume(
                name,
                self._mountpoint(name),
                "",
                float(record["created_at"]),
                labels,
                record["anonymous"] is True,
                options=options,
                scope=str(record["scope"]),
            )
        except (AssertionError, ValueError, TypeError, KeyError, AttributeError):
            return Volume(name, "", "", problem=f"{path} cannot be read")

    def _read(self, path: str) -> dict[str, Any] | None:
        try:
            with open(path, "rb") as file:
                record = json.loads(file.read(_LIMIT))
        except (OSError, ValueError, RecursionError):
            return None
        return record if isinstance(record, dict) else None


def _strings(values: dict[str, Any]) -> dict[str, str]:
    if not all(isinstance(value, str) for value in values.values()):
        raise TypeError
    return dict(values)


def _names(directory: str, pattern: re.Pattern[str]) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if pattern.fullmatch(name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HostError.of("list", directory, error) from None


@contextmanager
def _telling(doing: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError.of(doing, path, error) from None
