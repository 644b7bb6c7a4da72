"""The keys that leave a container running: `--detach-keys`, Ctrl-P Ctrl-Q unless told otherwise."""

from __future__ import annotations

from ..errors import InvalidError

DEFAULT = "ctrl-p,ctrl-q"


class Detached(Exception):
    """The detach keys were typed."""


class Detach:
    """Takes the keys out of what is typed; a part of them that leads nowhere is passed on.

    sequence: bytes, empty for no keys. Calling it with a chunk returns what to pass on; raises `Detached` when the
    sequence is complete, however the terminal has cut it into chunks.
    """

    def __init__(self, sequence: bytes) -> None:
        self._sequence, self._seen = sequence, 0

    def __call__(self, data: bytes) -> bytes:
        if not self._sequence:
            return data
        out = bytearray()
        for byte in data:
            if byte == self._sequence[self._seen]:
                self._seen += 1
                if self._seen == len(self._sequence):
                    raise Detached
                continue
            out += self._sequence[: self._seen]
            # What was held back may begin the keys anew: Ctrl-P Ctrl-P Ctrl-Q detaches.
            self._seen = 1 if byte == self._sequence[0] else 0
            if not self._seen:
                out.append(byte)
        return bytes(out)


def parse(text: str) -> bytes:
    """The bytes of Docker's notation: letters, or ctrl- and one of a-z @ [ ] ^ _ backslash, with commas between."""
    found = bytearray()
    for word in text.split(",") if text else ():
        if len(word) == 1 and word.isascii() and word.isprintable():
            found += word.encode("ascii")
        elif word.lower().startswith("ctrl-") and len(word) == 6 and 0 <= (ord(word[5].upper()) ^ 0x40) < 32:
            found.append(ord(word[5].upper()) ^ 0x40)
        else:
            raise InvalidError(f"invalid --detach-keys {text!r}, expected such as ctrl-p,ctrl-q or ctrl-@ or a")
    return bytes(found)
