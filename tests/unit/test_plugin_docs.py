"""The pages for plugin authors tell of every hook, method, argument, ability, value and error, and of no other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from cmanager import errors, hookspecs, model, seams
from cmanager.model import limits, log, network, plugin, runtime
from cmanager.plugins.config import HOOKS, SEAM_NAMES
from cmanager.seams import ABILITIES, SEAMS

from ..support import CHECKOUT

PAGE = (CHECKOUT / "docs/plugins.md").read_text()
REFERENCE = (CHECKOUT / "docs/plugins/reference.md").read_text()
#: Values of `cmanager.model` that cross no seam and no hook, so no plugin ever sees them.
INTERNAL = {
    *("Check", "Container", "Dropped", "ExecRequest", "Health", "Healthcheck", "LogConfig", "LogSink", "Membership"),
    *("Namespaces", "Peer", "Pod", "PodRequest", "PodStatus", "Providers", "RestartPolicy", "RunRequest", "State"),
    *("Status", "Ulimit", "VolumeMount"),
}
#: Methods that a value has for those who have one in their hand.
HELPERS = {"Progress"}


def signature(function: Any) -> str:
    """As the reference writes it: without self, and with annotations as the source has them."""
    found = inspect.signature(function)
    kept = [parameter for name, parameter in found.parameters.items() if name != "self"]
    text = f"{function.__name__}{found.replace(parameters=kept)}"
    return text.replace("'", "")


def methods(protocol: type) -> Iterator[tuple[str, Any]]:
    for name, value in vars(protocol).items():
        if not name.startswith("_") and inspect.isfunction(value):
            yield name, value


def attributes(protocol: type) -> list[str]:
    return [name for name, value in vars(protocol).items() if isinstance(value, property)]


def abilities() -> list[type]:
    return [getattr(seams, name) for name in seams.__all__ if isinstance(getattr(seams, name), type)]


def chapter(title: str) -> str:
    """The text below a heading of the second level."""
    found = REFERENCE.split(f"\n## {title}\n")
    assert len(found) == 2, f"docs/plugins/reference.md has {len(found) - 1} chapters {title!r}"
    return found[1].split("\n## ")[0]


def entries(text: str) -> dict[str, str]:
    """The signature of each heading of the third level, with the text below it."""
    parts = re.split(r"^### `(.*)`$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_seam_and_ability_has_a_chapter_and_no_other() -> None:
    found = set(re.findall(r"^## `cmanager\.seams\.(\w+)`$", REFERENCE, re.MULTILINE))
    assert found == {protocol.__name__ for protocol in abilities()}
    for seam, (hook, protocols) in SEAMS.items():
        (row,) = re.findall(rf"^\| {seam} \|.*`{hook}`.*$", PAGE, re.MULTILINE)
        named = {kind.__name__ for kind in (*protocols, *ABILITIES[seam])}
        assert named == {word for word in re.findall(r"`(?:cmanager\.seams\.)?(\w+)`", row) if word in seams.__all__}


@pytest.mark.parametrize("protocol", abilities(), ids=lambda protocol: protocol.__name__)
def test_every_method_is_told_of_with_its_arguments(protocol: type) -> None:
    text = chapter(f"`cmanager.seams.{protocol.__name__}`")
    found = entries(text)
    expected = {signature(function): function for _, function in methods(protocol)}
    assert sorted(found) == sorted([*expected, *attributes(protocol)])
    for head, function in expected.items():
        check_entry(found[head], function)


def check_entry(text: str, function: Any) -> None:
    """Each argument is explained, and what is returned, and each error that the docstring names."""
    parameters = [name for name in inspect.signature(function).parameters if name != "self"]
    assert [name for name in parameters if f"* `{name}`: " not in text] == []
    assert sorted(re.findall(r"^\* `(\w+)`: ", text, re.MULTILINE)) == sorted(parameters)
    assert re.search(r"^(Returns|Nothing is returned)\b", text, re.MULTILINE), function.__name__
    known = {name for name in vars(errors) if name.endswith("Error")}
    named = {word for word in re.findall(r"\w+Error", inspect.getdoc(function) or "") if word in known}
    assert named <= set(re.findall(r"\w+Error", text)), f"{function.__name__}: an error of its contract is missing"
    assert set(re.findall(r"\w+Error", text)) <= {*known, "OSError"}, f"{function.__name__}: there is no such error"


def test_every_hook_is_told_of_with_its_arguments() -> None:
    hooks = {name: value for name, value in vars(hookspecs).items() if name.startswith("cmanager_")}
    found = entries(chapter("Hooks"))
    assert sorted(found) == sorted(map(signature, hooks.values()))
    for function in hooks.values():
        check_entry(found[signature(function)], function)
    assert {hook for hook, _ in SEAMS.values()} | {f"cmanager_{kind}" for kind in HOOKS} == set(hooks)
    assert set(SEAMS) == set(SEAM_NAMES)


def test_every_value_is_told_of_with_its_fields() -> None:
    crossing = {name: getattr(model, name) for name in model.__all__ if name not in INTERNAL | HELPERS}
    expected = {f"{name}({', '.join(field.alias for field in attrs.fields(kind))})" for name, kind in crossing.items()}
    assert set(re.findall(r"^\* `(\w+\(.*?\))`: ", chapter("Values"), re.MULTILINE)) == expected


def test_values_called_internal_cross_no_seam() -> None:
    said = " ".join(signature(function) for protocol in abilities() for _, function in methods(protocol))
    said += " ".join(signature(value) for name, value in vars(hookspecs).items() if name.startswith("cmanager_"))
    assert {name for name in INTERNAL if re.search(rf"\b{name}\b", said)} == set()
    assert set(model.__all__) >= INTERNAL
    for module in (limits, log, network, plugin, runtime):
        assert module.__doc__


def test_every_word_that_a_runtime_may_announce_is_told_of() -> None:
    words = set(re.findall(r"^\| `(\w+)` \|", chapter("What a runtime announces"), re.MULTILINE))
    assert words == set(runtime.OPTIONS)


def test_every_error_has_its_reason_and_its_exit_code() -> None:
    rows = dict(re.findall(r"^\| `(\w+Error)` \|.*\| ([\d, ]+) \|$", PAGE, re.MULTILINE))
    kinds = {name: kind for name, kind in vars(errors).items() if name.endswith("Error")}
    assert set(rows) == set(kinds)
    for name, kind in kinds.items():
        codes = {int(word) for word in rows[name].split(",")}
        assert codes == ({126, 127} if kind is errors.CommandError else {kind.exit_code}), name


def test_the_versions_are_those_that_there_are() -> None:
    assert f"this cmanager has api {seams.API}." in PAGE
    assert f"[api{seams.API}]" in PAGE
