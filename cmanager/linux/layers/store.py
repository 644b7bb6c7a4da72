"""A directory of unpacked layers and of those who hold them: what storage providers have in common on disk.

layers/KEY/        published layers, each made once
containers/ID/     what a holder has of its own, with `layers.json`, the keys it needs
staging/           what is being made (`staging`)
lock               taken for moments: shared to declare a need, exclusive to take layers away
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ...errors import ConflictError, CorruptError, HostError, InvalidError
from .. import files
from .staging import Claim, Staging
from .usage import disk_usage

_ID = re.compile(r"[0-9a-f]{64}")
_HOLDER = "container-"
_LAYER = "layer-"
_RECORD = "layers.json"


def check_id(id: str) -> str:
    """`id` if it is a holder's, which becomes part of paths: 64 hex digits; else InvalidError."""
    if not _ID.fullmatch(id):
        raise InvalidError(f"not a container id: {id[:80]!r}")
    return id


class Store:
    """Layers by key and holders by id (64 hex digits each) in one directory, which is made 0700 when first written to.

    Every method raises HostError for what the file system refuses.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._staging = Staging(f"{directory}/staging")

    def layer(self, key: str) -> str:
        """Where the layer `key` is, or would be."""
        return f"{self.directory}/layers/{key}"

    def home(self, id: str) -> str:
        """Where holder `id` has its own files, or would have."""
        return f"{self.directory}/containers/{id}"

    def once(self, key: str, make: Callable[[Claim], None]) -> None:
        """See that layer `key` exists: `make` fills a new directory at the claim's path, unless somebody did before.

        It is synced and published by one rename; when `make` raises, nothing is left. Whoever else wants it waits.
        """
        final = self.layer(key)
        if os.path.isdir(final):
            return
        with self._telling("store layer", final):
            self._begin()
            with self._staging.claim(_LAYER + key) as claim:
                if os.path.isdir(final):
                    return
                os.mkdir(claim.path, 0o700)
                make(claim)
                self._staging.publish(claim.path, final)

    def hold(self, id: str, keys: tuple[str, ...], make: Callable[[Claim], None]) -> str:
        """See that holder `id` exists and needs the layers `keys`; returns its directory.

        `make` fills a new one at the claim's path. From before it is called until `release` those layers are not
        collected. When it raises nothing of `id` is left. Raises ConflictError when `id` holds other layers.
        """
        final = self.home(id)
        with self._telling("prepare", final):
            if not os.path.isdir(final):
                self._begin()
                with self._staging.claim(_HOLDER + id) as claim:
                    if not os.path.isdir(final):
                        with files.locked(f"{self.directory}/lock", shared=True):
                            os.mkdir(claim.path, 0o700)
                            files.write_atomic(f"{claim.path}/{_RECORD}", json.dumps(keys).encode())
                        make(claim)
                        os.rename(claim.path, final)
                        return final
        if (held := self._keys(final)) != keys:
            raise ConflictError(f"{final} was prepared for layers {', '.join(held) or 'none'}, remove it first")
        return final

    def release(self, id: str) -> None:
        """Remove holder `id` with all its files, if there is one."""
        final = self.home(id)
        if not os.path.isdir(final) and _HOLDER + id not in self._staging.names():
            return
        with self._telling("remove", final):
            try:
                with self._staging.claim(_HOLDER + id) as claim, suppress(FileNotFoundError):
                    # Gone in one step; the end of the claim removes what it finds there.
                    os.rename(final, claim.path)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                # A full disk has no room for the lock, and this is how it gets some.
                files.remove_tree(final)

    def holders(self) -> frozenset[str]:
        """Ids of all holders, those that are being made or removed included."""
        found = {name.removeprefix(_HOLDER) for name in self._staging.names() if name.startswith(_HOLDER)}
        return frozenset(name for name in found.union(self._names("containers")) if _ID.fullmatch(name))

    def collect(self, wanted: Callable[[str], bool]) -> int:
        """Remove layers that are not `wanted` (called with the key) and that no holder needs, and all that the dead
        left in staging; bytes freed. As long as one holder's record cannot be read no layer is removed."""
        if not os.path.isdir(self.directory):
            return 0
        with self._telling("collect", self.directory):
            self._begin()
            with files.locked(f"{self.directory}/lock"):
                try:
                    needed = self._needed()
                except CorruptError:
                    needed = None
                for key in self._names("layers") if needed is not None else ():
                    if needed is not None and key not in needed and not wanted(key):
                        self._staging.discard(self.layer(key))
            return self._staging.sweep()

    def usage(self, id: str) -> int:
        """Bytes that holder `id` has on disk beyond its layers; 0 when there is none."""
        return disk_usage(self.home(id))

    def _needed(self) -> set[str]:
        needed: set[str] = set()
        # Staging first: a holder that is finished meanwhile moves from there to the others, and is seen twice or once.
        for name in self._staging.names():
            # A dead one's needs died with it; its directory is swept.
            if name.startswith(_HOLDER) and self._staging.alive(name):
                with suppress(CorruptError):
                    needed.update(self._keys(f"{self.directory}/staging/{name}"))
        for id in self._names("containers"):
            try:
                needed.update(self._keys(self.home(id)))
            except CorruptError:
                # One that is removed at this moment needs nothing.
                if os.path.isdir(self.home(id)):
                    raise
        return needed

    def _keys(self, home: str) -> tuple[str, ...]:
        path = f"{home}/{_RECORD}"
        try:
            with open(path, "rb") as file:
                keys = json.load(file)
        except (OSError, ValueError, RecursionError) as error:
            raise CorruptError(f"{path} cannot be read, remove the container: {str(error).lower()}") from None
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise CorruptError(f"{path} is no list of layers, remove the container")
        return tuple(keys)

    def _names(self, kind: str) -> list[str]:
        try:
            return os.listdir(f"{self.directory}/{kind}")
        except FileNotFoundError:
            return []

    def _begin(self) -> None:
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        for kind in ("layers", "containers", "staging"):
            with suppress(FileExistsError):
                os.mkdir(f"{self.directory}/{kind}", 0o700)

    @contextmanager
    def _telling(self, doing: str, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HostError.of(doing, path, error) from None
