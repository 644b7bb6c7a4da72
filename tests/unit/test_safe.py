"""Text of strangers on a terminal."""

from __future__ import annotations

import json

import pytest

from cmanager.cli.output.safe import json_text, printable, printable_lines


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb\nc\td\x00", "a\\x0db\\x0ac\\x09d\\x00"),
        ("\x7f\x9b2J", "\\x7f\\x9b2J"),
        ("abc\u202etxt.exe", "abc\\u202etxt.exe"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
        ("\u2028", "\\u2028"),
    ],
)
def test_what_a_terminal_would_act_on_is_escaped(raw: str, shown: str) -> None:
    assert printable(raw) == shown


@pytest.mark.parametrize(
    "text", ["", "plain ~", "grüße", "日本語", "👩\u200d🔧", "\u0645\u06cc\u200c\u062e", "a\u0301"]
)
def test_ordinary_text_of_every_language_stays(text: str) -> None:
    assert printable(text) == text


def test_every_control_byte_is_gone() -> None:
    everything = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
    assert printable(printable(everything)).isprintable()


def test_lines_keep_newlines_and_tabs_only() -> None:
    assert printable_lines("a\tb\n\x1bc\\x0a") == "a\tb\n\\x1bc\\x0a"


def test_json_is_harmless_and_still_json() -> None:
    value = {"é日": "\x7f\x85\x1b\u202e\U000e0041\n"}
    text = json_text(value)
    assert text == printable(text)
    assert json.loads(text) == value
    assert "é日" in text
