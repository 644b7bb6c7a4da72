"""Expressions of a Go template: pipelines of functions, fields, variables and literals."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ...errors import InvalidError
from ...plugins.config import nearest
from .gofunctions import FUNCTIONS, OpenMap, kind

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)
    |(?P<number>-?[0-9]+(?:\.[0-9]+)?)(?=[\s|)]|$)
    |(?P<path>\$\w*(?:\.[^\W\d]\w*)*|(?:\.[^\W\d]\w*)+|\.)(?=[\s|)]|$)
    |(?P<word>[^\W\d]\w*)(?=[\s|()]|$)
    |(?P<mark>[|()])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U000[0-9a-fA-F]{5}|U0010[0-9a-fA-F]{4}|[0-7]{3}|.)", re.DOTALL
)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_CONSTANTS = {"true": True, "false": False, "nil": None}

#: Variables by name; "." is where the template is, "$" where it began.
Scope = dict[str, Any]
Value = Callable[[Scope], Any]


class _Token(NamedTuple):
    kind: str
    text: str


_OPEN, _CLOSE, _PIPE = _Token("mark", "("), _Token("mark", ")"), _Token("mark", "|")


def parse(text: str) -> Value:
    """A pipeline as a function of the scope. InvalidError for what is no pipeline, or names no known function."""
    reader = _Reader(_tokens(text))
    value = reader.pipeline()
    if reader.next is not None:
        raise InvalidError(f"invalid template expression {text.strip()[:100]!r} at {reader.next.text!r}")
    return value


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    stripped, position, spaced = text.strip(), 0, True
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if not match or match.lastgroup is None:
            at = stripped[position : position + 20]
            raise InvalidError(f"invalid template expression {stripped[:100]!r} at {at!r}")
        position = match.end()
        if match.lastgroup == "space":
            spaced = True
            continue
        # A field right behind a parenthesis is taken from what is inside.
        follows = not spaced and found and found[-1] == _CLOSE and match[0].startswith(".")
        found.append(_Token("chain" if follows else match.lastgroup, match[0]))
        spaced = False
    if not found:
        raise InvalidError("invalid template: an action is empty")
    return found


class _Reader:
    """Recursive descent over the tokens of one action."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens, self._position = tokens, 0

    @property
    def next(self) -> _Token | None:
        """The token that comes next, None at the end."""
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _take(self) -> _Token:
        token = self.next
        if token is None:
            raise InvalidError("invalid template: an expression is missing")
        self._position += 1
        return token

    def pipeline(self) -> Value:
        value = self._command(None)
        while self.next == _PIPE:
            self._take()
            value = self._command(value)
        return value

    def _command(self, piped: Value | None) -> Value:
        """An operand, or a function and its operands; `piped` becomes the last of them."""
        token = self.next
        if token is None or token.kind != "word" or token.text in _CONSTANTS:
            if piped is not None:
                raise InvalidError(f"invalid template: {token.text if token else '|'!r} is not a function")
            if token and token.text == "nil":
                raise InvalidError("invalid template: nil is not a command")
            return self._operand()
        self._take()
        operands = []
        while self.next not in (None, _PIPE, _CLOSE):
            operands.append(self._operand())
        return _call(token.text, operands if piped is None else [*operands, piped])

    def _operand(self) -> Value:
        token = self._take()
        if token.kind == "path":
            base, *path = token.text.split(".")
            return _path(_variable(base or "."), [name for name in path if name])
        if token == _OPEN:
            value = self.pipeline()
            if self._take() != _CLOSE:
                raise InvalidError("invalid template: ) is missing")
            if self.next is not None and self.next.kind == "chain":
                return _path(value, self._take().text.split(".")[1:])
            return value
        return _constant(token)


def _constant(token: _Token) -> Value:
    constant: Any
    if token.kind == "string":
        constant = _unquoted(token.text)
    elif token.kind == "number":
        constant = float(token.text) if "." in token.text else int(token.text[:20])
    elif token.text in _CONSTANTS:
        constant = _CONSTANTS[token.text]
    elif token.kind == "word":
        # A function among operands, as in Go without any of its own.
        return _call(token.text, [])
    else:
        raise InvalidError(f"invalid template: {token.text!r} is not a value")
    return lambda scope: constant


def _unquoted(literal: str) -> str:
    if literal[0] == "`":
        return literal[1:-1]

    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code in _ESCAPES:
            return _ESCAPES[code]
        if len(code) == 1:
            raise InvalidError(f"invalid template: unknown escape {match[0]!r} in {literal[:100]}")
        return chr(int(code, 8) & 0xFF if code[0].isdigit() else int(code[1:], 16))

    return _ESCAPE.sub(one, literal[1:-1])


def _variable(name: str) -> Value:
    def value(scope: Scope) -> Any:
        if name not in scope:
            raise InvalidError(f"template variable {name!r} is not set")
        return scope[name]

    return value


def _path(base: Value, path: list[str]) -> Value:
    def value(scope: Scope) -> Any:
        found = base(scope)
        for name in path:
            found = _field(found, name)
        return found

    return value


def _field(value: Any, name: str) -> Any:
    if not isinstance(value, dict):
        raise InvalidError(f"template: there is no field {name!r} in a {kind(value)}")
    if name in value:
        return value[name]
    if isinstance(value, OpenMap):
        return None
    raise InvalidError(f"template: there is no field {name!r}{nearest(name, value)}")


def _call(word: str, operands: list[Value]) -> Value:
    if word in ("and", "or") and operands:
        return _junction(word == "or", operands)
    function = FUNCTIONS.get(word)
    if function is None:
        raise InvalidError(f"template function {word!r} is not supported{nearest(word, [*FUNCTIONS, 'and', 'or'])}")

    def value(scope: Scope) -> Any:
        arguments = [operand(scope) for operand in operands]
        try:
            return function(*arguments)
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
            kinds = ", ".join(map(kind, arguments)) or "nothing"
            raise InvalidError(f"template function {word!r} cannot take ({kinds})") from None

    return value


def _junction(until: bool, operands: list[Value]) -> Value:
    """`and` and `or`: the first operand that decides it; those behind are not looked at."""

    def value(scope: Scope) -> Any:
        found = None
        for operand in operands:
            found = operand(scope)
            if bool(found) == until:
                break
        return found

    return value
