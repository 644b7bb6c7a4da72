"""What is asked of a runtime, held against what it can do."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from cmanager.engine.abilities import Ability, fit, network
from cmanager.errors import UnsupportedError
from cmanager.linux.syscalls import NAMESPACES
from cmanager.model import Features, Namespaces, RunRequest
from cmanager.model.runtime import OPTIONS

_ALL = Features(tuple(NAMESPACES), OPTIONS)
_LEAST = Features(("mount",), ())
_PLAIN = RunRequest(image="busybox", runtime="small", network="host")


def test_what_nobody_named_becomes_private_where_it_can() -> None:
    request, warnings = fit(_PLAIN, _ALL)
    assert request.namespaces == Namespaces("private", "private", "private", "private", "host", "host")
    assert (request.without, warnings) == ((), ())


def test_what_a_runtime_lacks_is_left_out_of_the_defaults_and_said() -> None:
    request, warnings = fit(_PLAIN, _LEAST)
    assert request.namespaces == Namespaces(*["host"] * 6)
    assert set(request.without) <= set(OPTIONS)
    assert "seccomp" in request.without
    assert len(warnings) == 1
    assert warnings[0].startswith("runtime small does without: network namespace, pid namespace, ")


def test_a_warning_of_the_runtime_is_passed_on() -> None:
    assert fit(_PLAIN, attrs.evolve(_ALL, warnings=("old",)))[1] == ("old",)


def test_a_network_that_nobody_named_is_the_hosts_where_none_can_be_joined() -> None:
    assert network(_ALL, "bridge") == "bridge"
    assert network(_LEAST, "bridge") == "host"


@pytest.mark.parametrize(
    ("flag", "asked"),
    [
        ("--tty", {"tty": True}),
        ("--init", {"init": True}),
        ("--sysctl", {"sysctls": {"net.core.somaxconn": "1"}}),
        ("--umask", {"umask": 0o027}),
        ("--device", {"devices": ("/dev/fuse",)}),
        ("--user", {"user": "1000"}),
        ("--group-add", {"groups": ("7",)}),
        ("--cap-add", {"cap_add": ("KILL",)}),
        ("--cap-drop", {"cap_drop": ("ALL",)}),
        ("--hostname", {"hostname": "web"}),
        ("--network bridge", {"network": "bridge"}),
        ("--security-opt seccomp", {"security": ("seccomp=default",)}),
        ("--security-opt no-new-privileges", {"security": ("no-new-privileges",)}),
        ("--pid private", {"namespaces": Namespaces(pid="private")}),
        ("--ipc container:web", {"namespaces": Namespaces(ipc="container:web")}),
        ("--userns", {"namespaces": Namespaces(user="auto")}),
    ],
)
def test_what_a_person_asked_for_is_refused_naming_flag_and_runtime(flag: str, asked: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="runtime small cannot honour") as raised:
        fit(attrs.evolve(_PLAIN, **asked), _LEAST)
    assert flag in str(raised.value)
    fit(attrs.evolve(_PLAIN, **asked), _ALL)


def test_a_namespace_that_it_makes_is_not_one_that_it_joins() -> None:
    maker = attrs.evolve(_ALL, joins=("ipc",))
    fit(attrs.evolve(_PLAIN, namespaces=Namespaces(pid="private", ipc="container:web")), maker)
    with pytest.raises(UnsupportedError, match="runtime small cannot honour --pid container:web"):
        fit(attrs.evolve(_PLAIN, namespaces=Namespaces(pid="container:web")), maker)


@pytest.mark.parametrize("word", ["seccomp=unconfined", "no-new-privileges=false", "systempaths=unconfined"])
def test_asking_for_less_is_honoured_by_all(word: str) -> None:
    fit(attrs.evolve(_PLAIN, security=(word,)), _LEAST)


def test_the_table_says_what_is_lacking() -> None:
    assert Ability("big", _ALL, exec=True).lacks == ()
    assert {"pid namespace", "seccomp", "exec"} <= set(Ability("small", _LEAST).lacks)
    assert Ability("gone", None, error="no program").lacks == ()
