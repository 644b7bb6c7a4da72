"""Text from containers, images and files, made harmless for a terminal."""

from __future__ import annotations

import unicodedata

#: Control characters, lone surrogates, and format characters: the bidirectional overrides are among those.
_DANGEROUS = {"Cc", "Cs", "Cf", "Zl", "Zp"}


def printable(text: str) -> str:
    """The same text with everything a terminal would act on written as an escape such as \\x1b."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _DANGEROUS else c for c in text)


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
