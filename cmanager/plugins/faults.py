"""Which plugins failed lately: shown by `plugin ls`, and why one that may be skipped is left in peace for a while."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import Any

from ..linux import files

#: Faults in a row after which a plugin that may be skipped is not asked, and for how many seconds: doubled each time.
PATIENCE = 3
FIRST_REST, LONGEST_REST = 30.0, 600.0


class Faults:
    """One small file for each plugin that failed, gone after a reboot; one that cannot be written is not missed."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def note(self, seam: str, name: str, reason: str) -> None:
        """It failed."""
        found = self._read(seam, name)
        new = {"all": found["all"] + 1, "row": found["row"] + 1, "time": time.time(), "reason": reason[:500]}
        with suppress(OSError):
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            files.write_atomic(self._path(seam, name), json.dumps(new).encode(), durable=False)

    def forgive(self, seam: str, name: str) -> None:
        """It did its work."""
        found = self._read(seam, name)
        if found["row"]:
            with suppress(OSError):
                files.write_atomic(self._path(seam, name), json.dumps(found | {"row": 0}).encode(), durable=False)

    def resting(self, seam: str, name: str) -> str:
        """Why it is not asked now, "" when it is."""
        found = self._read(seam, name)
        beyond = found["row"] - PATIENCE
        if beyond < 0:
            return ""
        left = found["time"] + min(FIRST_REST * 2.0 ** min(beyond, 30), LONGEST_REST) - time.time()
        return f"failed {found['row']} times in a row and is asked again in {left:.0f} s" if left > 0 else ""

    def last(self, seam: str, name: str) -> str:
        """What there is to say of its faults since the host was started, "" for none."""
        found = self._read(seam, name)
        if not found["all"]:
            return ""
        ago = max(0.0, time.time() - found["time"])
        return f"{found['all']} faults, the last {ago:.0f} s ago: {found['reason']}"

    def _read(self, seam: str, name: str) -> dict[str, Any]:
        with suppress(OSError, ValueError), open(self._path(seam, name), encoding="utf-8") as file:
            found = json.load(file)
            return {"all": int(found["all"]), "row": int(found["row"]), **{k: found[k] for k in ("time", "reason")}}
        return {"all": 0, "row": 0, "time": 0.0, "reason": ""}

    def _path(self, seam: str, name: str) -> str:
        return f"{self._directory}/{seam}.{name}.json"
