"""The part of Go's text/template that stands in people's scripts, over plain data.

Text, fields, pipelines, variables, `if`, `with`, `range` and comments; functions stand in `gofunctions`. Anything else
is refused, never printed raw.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...errors import InvalidError
from .goexpression import Scope, Value, parse
from .gofunctions import kind, show

# Strings and comments may hold }}.
_ACTION = re.compile(
    r"""\{\{(-\s)?((?:\s*/\*.*?\*/\s*?)|(?:"(?:\\.|[^"\\])*"|`[^`]*`|[^"`}]|\}(?!\}))*?)(\s-)?\}\}""", re.DOTALL
)
_ASSIGNMENT = re.compile(r"\s*(\$\w+)\s*(?:,\s*(\$\w+)\s*)?:=(.*)", re.DOTALL)
_UNSUPPORTED = ("define", "template", "block", "break", "continue")
#: A node of a parsed template: a function of the scope that appends text.
Node = Callable[[Scope, list[str]], None]


class Template:
    """A parsed template. InvalidError for one that is not understood."""

    def __init__(self, text: str) -> None:
        try:
            self._nodes = _Parser(text).body(())[0]
        except RecursionError:
            raise InvalidError("invalid template: it is nested too deeply") from None

    def render(self, data: Any) -> str:
        """The text for `data`; InvalidError names a field that it does not have."""
        out: list[str] = []
        try:
            _run(self._nodes, {"$": data, ".": data}, out)
        except RecursionError:
            raise InvalidError("invalid template: it is nested too deeply") from None
        return "".join(out)


def render(text: str, data: Any) -> str:
    """Parse and render in one."""
    return Template(text).render(data)


def _run(nodes: Sequence[Node], scope: Scope, out: list[str]) -> None:
    for node in nodes:
        node(scope, out)


def _split(text: str) -> Iterator[tuple[str, str]]:
    """("text", …) and ("action", …) in turn, `{{-` and `-}}` having eaten the space beside them."""
    position, trim = 0, False
    for match in _ACTION.finditer(text):
        before = _plain(text[position : match.start()], trim)
        yield "text", before.rstrip() if match[1] else before
        yield "action", match[2].strip()
        position, trim = match.end(), bool(match[3])
    yield "text", _plain(text[position:], trim)


def _plain(text: str, trim: bool) -> str:
    if "{{" in text:
        raise InvalidError(f"invalid template: an action is not closed in {text[:100]!r}")
    return text.lstrip() if trim else text


class _Parser:
    """Recursive descent over the parts of a template."""

    def __init__(self, text: str) -> None:
        self._parts = list(_split(text))
        self._next = 0

    def body(self, ends: tuple[str, ...]) -> tuple[list[Node], str]:
        """Nodes up to one of these words; the action that ended it."""
        nodes: list[Node] = []
        while self._next < len(self._parts):
            kind_, content = self._parts[self._next]
            self._next += 1
            if kind_ == "text":
                nodes.append(_text(content))
                continue
            found = re.match(r"\w*", content)
            word = found[0] if found else ""
            if word == "end" and content != word:
                raise InvalidError(f"invalid template: {content[:100]!r}, expected {{{{end}}}}")
            if word in ends:
                return nodes, content
            nodes += self._action(word, content)
        if ends:
            raise InvalidError("invalid template: {{end}} is missing")
        return nodes, ""

    def _action(self, word: str, content: str) -> list[Node]:
        if content.startswith("/*") and content.endswith("*/"):
            return []
        if word in ("if", "with"):
            return [self._choice(word, content.removeprefix(word))]
        if word == "range":
            return [self._range(content.removeprefix(word))]
        if word in ("end", "else"):
            raise InvalidError(f"invalid template: {{{{{word}}}}} without a beginning")
        if word in _UNSUPPORTED:
            raise InvalidError(f"template action {word!r} is not supported")
        variables, value = _assignment(content, 1)
        if variables:
            return [_set(variables[0], value)]
        return [lambda scope, out: out.append(show(value(scope)))]

    def _choice(self, word: str, condition: str) -> Node:
        variables, value = _assignment(condition, 1)
        then, end = self.body(("else", "end"))
        otherwise: list[Node] = []
        if end != "end":
            rest = end.removeprefix("else").strip()
            if re.match(rf"{word}\b", rest):
                otherwise = [self._choice(word, rest.removeprefix(word))]
            else:
                otherwise = self._otherwise(end)

        def node(scope: Scope, out: list[str]) -> None:
            found = value(scope)
            inner = scope | dict.fromkeys(variables, found)
            if not found:
                _run(otherwise, inner, out)
            else:
                _run(then, inner | ({".": found} if word == "with" else {}), out)

        return node

    def _otherwise(self, end: str) -> list[Node]:
        if end == "end":
            return []
        if end != "else":
            raise InvalidError(f"invalid template: {end[:100]!r} is not supported here")
        return self.body(("end",))[0]

    def _range(self, expression: str) -> Node:
        variables, value = _assignment(expression, 2)
        inside, end = self.body(("else", "end"))
        otherwise = self._otherwise(end)

        def node(scope: Scope, out: list[str]) -> None:
            pairs = _pairs(value(scope))
            for pair in pairs:
                bound = dict(zip(variables, pair if len(variables) == 2 else pair[1:], strict=False))
                _run(inside, {**scope, **bound, ".": pair[1]}, out)
            if not pairs:
                _run(otherwise, dict(scope), out)

        return node


def _pairs(found: Any) -> list[tuple[Any, Any]]:
    if isinstance(found, dict):
        return sorted(found.items())
    if found is None or isinstance(found, list | tuple):
        return list(enumerate(found or ()))
    raise InvalidError(f"template: range cannot iterate over a {kind(found)}")


def _text(content: str) -> Node:
    return lambda scope, out: out.append(content)


def _set(variable: str, value: Value) -> Node:
    def node(scope: Scope, out: list[str]) -> None:
        scope[variable] = value(scope)

    return node


def _assignment(text: str, most: int) -> tuple[list[str], Value]:
    """The variables before `:=`, at most so many, and the pipeline behind it."""
    match = _ASSIGNMENT.fullmatch(text)
    if not match:
        return [], parse(text)
    variables = [name for name in match.group(1, 2) if name]
    if len(variables) > most:
        raise InvalidError(f"invalid template: too many variables in {text.strip()[:100]!r}")
    return variables, parse(match[3])
