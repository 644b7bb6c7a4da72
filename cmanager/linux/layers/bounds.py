"""How much a layer may ask of the host."""

from __future__ import annotations

from ..values import frozen


@frozen
class Bounds:
    """Ceilings for one layer; beyond them it is a bomb and a CorruptError.

    size: bytes of the uncompressed tar; ratio: uncompressed to compressed bytes, looked at once `grace` bytes came out;
    entries: files and directories made; depth: directories above a file; names: bytes that all directory names take
    together, which are kept in memory while unpacking.
    """

    size: int = 10 << 30
    ratio: int = 200
    grace: int = 100 << 20
    entries: int = 1_000_000
    depth: int = 256
    names: int = 64 << 20
