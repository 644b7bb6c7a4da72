"""A directory of volumes: what storage providers on ordinary file systems have in common.

volumes/NAME/data          what containers see
volumes/NAME/staging       what is being moved into it
volumes/NAME/volume.json   what is known of it
staging/                   what is being made or removed (`cmanager.linux.layers.staging`), shared with the layers
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...errors import ConflictError, HostError, InvalidError, NotFoundError
from .. import files
from ..layers.staging import Staging
from ..layers.usage import disk_usage
from .volume import Volume

# The names that `cmanager.model.names` allows: none of them leads out of the directory or is hidden.
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_CLAIM = "volume-"
_RECORD = "volume.json"
_LIMIT = 1 << 20


class VolumeStore:
    """Volumes by name below `directory`, which is made 0700 when first written to.

    The promises are those of `cmanager.seams.Volumes`, whose methods have the longer names.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._staging = Staging(f"{directory}/staging")

    def create(self, name: str, labels: dict[str, str], *, anonymous: bool = False) -> Volume:
        """Published by one rename, its record on disk before: a volume exists whole or not at all."""
        final = self._home(name)
        with self._telling("make volume", final):
            for path in (self._directory, f"{self._directory}/volumes", f"{self._directory}/staging"):
                os.makedirs(path, mode=0o700, exist_ok=True)
            with self._staging.claim(_CLAIM + name) as claim:
                if os.path.lexists(final):
                    raise ConflictError(f"volume {name} exists already")
                os.mkdir(claim.path, 0o700)
                for part, mode in (("data", 0o755), ("staging", 0o700)):
                    os.mkdir(f"{claim.path}/{part}")
                    os.chmod(f"{claim.path}/{part}", mode)
                record = {"schema": 1, "created_at": time.time(), "labels": labels, "anonymous": anonymous}
                files.write_atomic(f"{claim.path}/{_RECORD}", json.dumps(record).encode(), durable=True)
                os.rename(claim.path, final)
                files.sync_directory(os.path.dirname(final))
        return self._load(name)

    def list(self) -> tuple[Volume, ...]:
        """By name; one directory read and a small file each."""
        with self._telling("list volumes in", self._directory):
            try:
                names = sorted(filter(_NAME.fullmatch, os.listdir(f"{self._directory}/volumes")))
            except FileNotFoundError:
                return ()
        return tuple(self._load(name) for name in names)

    def find(self, name: str) -> Volume:
        """One small file. Raises NotFoundError."""
        if not os.path.isdir(self._home(name)):
            raise NotFoundError(f"no such volume: {name}")
        return self._load(name)

    def remove(self, name: str) -> None:
        """Gone in one step; idempotent. What a death leaves of it is swept with the layers."""
        final = self._home(name)
        if not os.path.lexists(final):
            return
        with self._telling("remove volume", final):
            try:
                with self._staging.claim(_CLAIM + name) as claim, suppress(FileNotFoundError):
                    # The end of the claim removes what it finds there.
                    os.rename(final, claim.path)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                # A full disk has no room for the lock, and this is how it gets some.
                files.remove_tree(final)

    def usage(self, name: str) -> int:
        """Bytes on disk; one stat per file."""
        return disk_usage(f"{self._home(name)}/data")

    def _home(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise InvalidError(f"invalid volume name {name[:140]!r}")
        return f"{self._directory}/volumes/{name}"

    def _load(self, name: str) -> Volume:
        home = self._home(name)
        bare = Volume(name, f"{home}/data", f"{home}/staging")
        path = f"{home}/{_RECORD}"
        try:
            with open(path, "rb") as file:
                record = json.loads(file.read(_LIMIT))
            labels = record["labels"]
            if not all(isinstance(value, str) for value in labels.values()):
                raise TypeError("a label is no text")
            known = (float(record["created_at"]), labels, record["anonymous"] is True)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            # Its data count more than its record: it can still be used and removed.
            problem = f"{path} cannot be read: {type(error).__name__} {error}".lower()
            return Volume(bare.name, bare.mountpoint, bare.staging, problem=problem)
        return Volume(bare.name, bare.mountpoint, bare.staging, *known)

    @contextmanager
    def _telling(self, doing: str, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HostError.of(doing, path, error) from None
