"""Text from containers, images and files, made harmless for a terminal."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

#: Control characters, lone surrogates, and format characters: the bidirectional overrides are among those.
_DANGEROUS = {"Cc", "Cs", "Cf", "Zl", "Zp"}
#: Format characters that languages and emoji are written with, and that only join or part their neighbours.
_JOINERS = "\u200c\u200d"


def printable(text: str) -> str:
    """The same text with everything a terminal would act on written as an escape such as \\x1b."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if _dangerous(c) else c for c in text)


def printable_lines(text: str) -> str:
    """The same, but newlines and tabs stay."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def json_text(value: Any) -> str:
    """`value` as one line of JSON that is harmless as it stands: what `printable` would escape, JSON escapes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if text.isascii() and text.isprintable():
        return text
    return "".join(_json_escaped(c) if _dangerous(c) else c for c in text)


def _dangerous(character: str) -> bool:
    return unicodedata.category(character) in _DANGEROUS and character not in _JOINERS


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _json_escaped(character: str) -> str:
    # json.dumps leaves DEL as it is.
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]
