"""Numbers as tar writes them (GNU tar manual, "Basic Tar Format"; POSIX.1-2017 pax)."""

from __future__ import annotations

from ...errors import CorruptError


def number(text: bytes, what: str) -> int:
    """A numeric header field: octal digits, or GNU's base-256 for what is too large or negative.

    Raises CorruptError naming `what`.
    """
    if text[0] == 0xFF:
        return int.from_bytes(text, "big", signed=True)
    if text[0] & 0x80:
        return int.from_bytes(text, "big") - (0x80 << 8 * (len(text) - 1))
    digits = text.partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    # int() alone would also take signs, underscores and a 0o in front.
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise CorruptError(f"a header has the {what} {digits[:20]!r}, which is no octal number")
    return int(digits, 8)


def natural(text: bytes, what: str) -> int:
    """As `number`, and not negative."""
    value = number(text, what)
    if value < 0:
        raise CorruptError(f"a header has the negative {what} {value}")
    return value


def decimal(text: bytes, what: str) -> int:
    """Decimal digits and nothing else; raises CorruptError naming `what`."""
    if not text.isdigit() or len(text) > 20:
        raise CorruptError(f"the {what} is {text[:24]!r}, which is no number")
    return int(text)
