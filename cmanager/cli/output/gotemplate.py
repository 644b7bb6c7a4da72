"""The part of Go's text/template that stands in people's scripts, over plain data.

Fields, `json`, `index`, `range`, `if`, `with`, variables, comparisons and pipelines; anything else is refused, never
printed raw (text/template, and the functions of docker/cli templates).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...errors import InvalidError
from ...plugins.config import nearest

_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)|(?P<field>(?:\$\w*|\.)?(?:\.?\w+)(?:\.\w+)*)
    |(?P<variable>\$\w*)|(?P<punctuation>:=|[.|(),=]))""",
    re.VERBOSE,
)
#: Nodes of a parsed template: functions of the scope that append text.
Scope = dict[str, Any]
Node = Callable[[Scope, list[str]], None]
Value = Callable[[Scope], Any]


class Template:
    """A parsed template. InvalidError for one that is not understood."""

    def __init__(self, text: str) -> None:
        parser = _Parser(text)
        self._nodes = parser.body(())[0]

    def render(self, data: Any) -> str:
        """The text for `data`; InvalidError names a field that it does not have."""
        out: list[str] = []
        _run(self._nodes, {"$": data, ".": data}, out)
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
        before = text[position : match.start()]
        before = before.lstrip() if trim else before
        yield "text", before.rstrip() if match[1] else before
        yield "action", match[2].strip()
        position, trim = match.end(), bool(match[3])
    rest = text[position:]
    if "{{" in rest:
        raise InvalidError(f"invalid template: {{{{ without }}}} in {text[:100]!r}")
    yield "text", rest.lstrip() if trim else rest


class _Parser:
    """Recursive descent over the parts of a template."""

    def __init__(self, text: str) -> None:
        # Docker's command line takes \t and \n of the shell's single quotes as the real thing.
        self._parts = list(_split(text.replace("\\t", "\t").replace("\\n", "\n")))
        self._next = 0

    def body(self, ends: tuple[str, ...]) -> tuple[list[Node], str]:
        """Nodes up to one of these words; the action that ended it."""
        nodes: list[Node] = []
        while self._next < len(self._parts):
            kind, content = self._parts[self._next]
            self._next += 1
            if kind == "text":
                nodes.append(_text(content))
                continue
            word = content.partition(" ")[0]
            if word in ends:
                return nodes, content
            nodes += self._action(word, content)
        if ends:
            raise InvalidError("invalid template: {{end}} is missing")
        return nodes, ""

    def _action(self, word: str, content: str) -> list[Node]:
        if content.startswith("/*"):
            return []
        if word in ("if", "with"):
            return [self._choice(word, content.removeprefix(word))]
        if word == "range":
            return [self._range(content.removeprefix(word))]
        if word in ("end", "else"):
            raise InvalidError(f"invalid template: {{{{{word}}}}} without a beginning")
        if word in ("define", "template", "block", "break", "continue", "call"):
            raise InvalidError(f"template action {word!r} is not supported")
        variable, value = _assignment(content)
        if variable:
            return [_set(variable, value)]
        return [lambda scope, out: out.append(_show(value(scope)))]

    def _choice(self, word: str, condition: str) -> Node:
        variable, value = _assignment(condition)
        then, end = self.body(("else", "end"))
        otherwise: list[Node] = []
        if end.startswith("else"):
            rest = end.removeprefix("else").strip()
            if rest.startswith("if "):
                otherwise = [self._choice("if", rest.removeprefix("if"))]
            else:
                otherwise = self.body(("end",))[0]

        def node(scope: Scope, out: list[str]) -> None:
            found = value(scope)
            if not _truth(found):
                _run(otherwise, dict(scope), out)
                return
            inner = {**scope, variable: found} if variable else dict(scope)
            _run(then, inner | ({".": found} if word == "with" else {}), out)

        return node

    def _range(self, expression: str) -> Node:
        names, equals, rest = expression.partition(":=")
        variables = [name.strip() for name in names.split(",")] if equals else []
        value = _pipeline(rest if equals else expression)
        inside, end = self.body(("else", "end"))
        otherwise = self.body(("end",))[0] if end.startswith("else") else []

        def node(scope: Scope, out: list[str]) -> None:
            found = value(scope)
            pairs = sorted(found.items()) if isinstance(found, dict) else list(enumerate(found or ()))
            for pair in pairs:
                bound = dict(zip(variables, pair if len(variables) == 2 else pair[1:], strict=False))
                _run(inside, {**scope, **bound, ".": pair[1]}, out)
            if not pairs:
                _run(otherwise, scope, out)

        return node


def _text(content: str) -> Node:
    return lambda scope, out: out.append(content)


def _set(variable: str, value: Value) -> Node:
    def node(scope: Scope, out: list[str]) -> None:
        scope[variable] = value(scope)

    return node


def _assignment(text: str) -> tuple[str, Value]:
    name, equals, rest = text.partition(":=")
    if equals and re.fullmatch(r"\s*\$\w+\s*", name):
        return name.strip(), _pipeline(rest)
    return "", _pipeline(text)


def _pipeline(text: str) -> Value:
    tokens = _tokens(text)
    value, position = _pipe(tokens, 0)
    if position != len(tokens):
        raise InvalidError(f"invalid template expression {text.strip()!r}")
    return value


def _tokens(text: str) -> list[tuple[str, str]]:
    found, position, stripped = [], 0, text.strip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if not match or match.lastgroup is None or match.end() == position:
            raise InvalidError(f"invalid template expression {stripped!r} at {stripped[position : position + 10]!r}")
        found.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    if not found:
        raise InvalidError("invalid template: empty action")
    return found


def _pipe(tokens: list[tuple[str, str]], position: int) -> tuple[Value, int]:
    value, position = _command(tokens, position, None)
    while position < len(tokens) and tokens[position] == ("punctuation", "|"):
        value, position = _command(tokens, position + 1, value)
    return value, position


def _command(tokens: list[tuple[str, str]], position: int, piped: Value | None) -> tuple[Value, int]:
    """One command of a pipeline: an operand, or a function and its operands; `piped` becomes the last of them."""
    if position >= len(tokens):
        raise InvalidError("invalid template: an expression is missing")
    kind, word = tokens[position]
    if kind != "field" or word.startswith((".", "$")) or word in ("true", "false", "nil"):
        if piped is not None:
            raise InvalidError(f"invalid template: {word!r} is not a function")
        return _operand(tokens, position)
    if word not in _FUNCTIONS:
        raise InvalidError(f"template function {word!r} is not supported{nearest(word, _FUNCTIONS)}")
    operands, position = [], position + 1
    while position < len(tokens) and tokens[position] not in (("punctuation", "|"), ("punctuation", ")")):
        operand, position = _operand(tokens, position)
        operands.append(operand)
    if piped is not None:
        operands.append(piped)
    return _call(word, operands), position


def _call(word: str, operands: list[Value]) -> Value:
    function = _FUNCTIONS[word]

    def value(scope: Scope) -> Any:
        try:
            return function(*(operand(scope) for operand in operands))
        except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            raise InvalidError(f"template function {word!r} cannot take these values: {error}") from None

    return value


def _operand(tokens: list[tuple[str, str]], position: int) -> tuple[Value, int]:
    kind, word = tokens[position]
    if kind == "string":
        text = word[1:-1] if word[0] == "`" else json.loads(word, strict=False)
        return lambda scope: text, position + 1
    if kind == "number":
        number = float(word) if "." in word else int(word)
        return lambda scope: number, position + 1
    if (kind, word) == ("punctuation", "("):
        value, position = _pipe(tokens, position + 1)
        if position >= len(tokens) or tokens[position] != ("punctuation", ")"):
            raise InvalidError("invalid template: ) is missing")
        return value, position + 1
    if (kind, word) == ("punctuation", "."):
        return lambda scope: scope["."], position + 1
    if word in ("true", "false", "nil"):
        constant = {"true": True, "false": False, "nil": None}[word]
        return lambda scope: constant, position + 1
    if kind in ("field", "variable") and word.startswith((".", "$")):
        base, *path = word.split(".")
        return _path(base or ".", path), position + 1
    raise InvalidError(f"invalid template: {word!r} is not a value")


def _path(base: str, path: list[str]) -> Value:
    def value(scope: Scope) -> Any:
        if base not in scope:
            raise InvalidError(f"template variable {base!r} is not set")
        found = scope[base]
        for name in path:
            if not isinstance(found, dict) or name not in found:
                known = nearest(name, found) if isinstance(found, dict) else ""
                raise InvalidError(f"template: there is no field {name!r}{known}")
            found = found[name]
        return found

    return value


def _truth(value: Any) -> bool:
    return bool(value)


def _show(value: Any) -> str:
    """As fmt.Print: a map as map[a:1], a list as [a b]."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_show(item)}" for key, item in sorted(value.items())) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(_show(item) for item in value) + "]"
    return str(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        # As in Go, a key that a map does not have is the empty value.
        value = value.get(key, "") if isinstance(value, dict) else value[key]
    return value


def _and(*values: Any) -> Any:
    return next((value for value in values if not _truth(value)), values[-1])


def _or(*values: Any) -> Any:
    return next((value for value in values if _truth(value)), values[-1])


def _printf(text: str, *values: Any) -> str:
    left = iter(values)

    def one(match: re.Match[str]) -> str:
        flags, verb = match[1], match[2]
        if verb == "%":
            return "%"
        value = next(left, "")
        if verb == "d":
            return f"%{flags}d" % int(value)
        if verb == "q":
            return json.dumps(_show(value))
        if verb == "f":
            return f"%{flags}f" % float(value)
        return f"%{flags}s" % _show(value)

    if unknown := re.search(r"%[-+0-9.]*([^-+0-9.dqfsvx%])", text):
        raise InvalidError(f"template: printf verb %{unknown[1]} is not supported")
    return re.sub(r"%([-+0-9.]*)([dqfsvx%])", one, text)


def _slice(value: Any, *bounds: int) -> Any:
    return value[slice(*bounds)] if len(bounds) > 1 else value[bounds[0] :]


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
    "index": _index,
    "len": len,
    "slice": _slice,
    "eq": lambda first, *others: any(first == other for other in others),
    "ne": lambda left, right: left != right,
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
    "and": _and,
    "or": _or,
    "not": lambda value: not _truth(value),
    "print": lambda *values: "".join(_show(value) for value in values),
    "println": lambda *values: " ".join(_show(value) for value in values) + "\n",
    "printf": _printf,
    "upper": lambda value: _show(value).upper(),
    "lower": lambda value: _show(value).lower(),
    "title": lambda value: _show(value).title(),
    "join": lambda values, separator: separator.join(_show(value) for value in values),
    "split": lambda text, separator: text.split(separator),
    "truncate": lambda text, length: text[:length],
    "pad": lambda text, before, after: " " * before + text + " " * after if text else text,
}
