"""One difference between two trees, as a value."""

from __future__ import annotations

from typing import Literal

from .values import frozen

Kind = Literal["A", "C", "D"]


@frozen
class Change:
    """kind: "A" added, "C" changed, "D" deleted; path: absolute, undecodable bytes as surrogates."""

    kind: Kind
    path: str
