"""hooks.d files: when a hook is injected, and what is said of a file that makes no sense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cmanager.errors import CmanagerError
from cmanager_oci.hooks import named
from cmanager_ocihooks.directories import hooks

ALWAYS = {"always": True}


def definition(**changes: Any) -> dict[str, Any]:
    return {"version": "1.0.0", "hook": {"path": "/bin/sh"}, "when": ALWAYS, "stages": ["prestart"]} | changes


def write(directory: Path, name: str, content: Any) -> str:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def spec(*mounts: dict[str, Any], command: str = "/usr/bin/systemd", **annotations: str) -> dict[str, Any]:
    ours = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": []},
        {"destination": "/etc/hosts", "type": "bind", "source": "/run/x/hosts", "options": ["bind"]},
        {"destination": "/etc/resolv.conf", "type": "bind", "source": "/run/x/resolv.conf", "options": ["bind"]},
    ]
    return {"process": {"args": [command]}, "annotations": annotations, "mounts": [*ours, *mounts]}


BIND = {"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind"]}
TMPFS = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": []}


def injected(tmp_path: Path, when: dict[str, Any], container: dict[str, Any]) -> bool:
    write(tmp_path / "hooks.d", "hook.json", definition(when=when))
    return hooks(container, {"directories": [f"{tmp_path}/hooks.d"]}) != {}


@pytest.mark.parametrize(
    ("when", "container", "expected"),
    [
        ({"always": True}, spec(), True),
        ({"always": False}, spec(), False),
        ({"always": False, "commands": [".*"]}, spec(), False),
        ({"commands": ["/init$", "/systemd$"]}, spec(), True),
        ({"commands": ["/init$"]}, spec(), False),
        ({"commands": ["^systemd"]}, spec(), False),
        ({"commands": ["bin/[[:alpha:]]+d$"]}, spec(), True),
        ({"commands": ["bin/[^[:lower:]]"]}, spec(), False),
        ({"commands": []}, spec(), False),
        ({"annotations": {"^tier$": "web|db"}}, spec(tier="web"), True),
        ({"annotations": {"^tier$": "web"}}, spec(tier="db", other="web"), False),
        ({"annotations": {"tier": ".", "zone": "."}}, spec(tier="web"), False),
        ({"annotations": {"tier": ".", "zone": "."}}, spec(tier="web", zone="a"), True),
        ({"annotations": {"": ""}}, spec(), False),
        ({"hasBindMounts": True}, spec(BIND), True),
        ({"hasBindMounts": True}, spec(TMPFS), False),
        ({"hasBindMounts": False}, spec(), True),
        ({"hasBindMounts": False}, spec(BIND), False),
        ({"hasBindMounts": True, "commands": ["systemd"]}, spec(BIND), True),
        ({"hasBindMounts": True, "commands": ["other"]}, spec(BIND), False),
        ({"always": True, "annotations": {"tier": "."}}, spec(), False),
    ],
)
def test_a_hook_is_injected_when_all_conditions_are_met(
    tmp_path: Path, when: dict[str, Any], container: dict[str, Any], expected: bool
) -> None:
    assert injected(tmp_path, when, container) is expected


def test_every_stage_gets_the_hook_as_it_is_written(tmp_path: Path) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "true"], "env": ["A=b"], "timeout": 3}
    write(tmp_path / "hooks.d", "hook.json", definition(hook=hook, stages=["createRuntime", "poststop"]))
    found = hooks(spec(), {"directories": [f"{tmp_path}/hooks.d"]})
    assert found == {"createRuntime": (hook,), "poststop": (hook,)}


def test_files_are_sorted_by_lower_case_name_and_a_later_directory_replaces(tmp_path: Path) -> None:
    def hook(word: str) -> dict[str, Any]:
        return definition(hook={"path": "/bin/sh", "args": [word]})

    for name in ("b.json", "A.json", "c.json"):
        write(tmp_path / "one", name, hook(f"one/{name}"))
    write(tmp_path / "two", "b.json", hook("two/b.json"))
    write(tmp_path / "two", "ignored.txt", "{")
    found = hooks(spec(), {"directories": [f"{tmp_path}/one", f"{tmp_path}/two"]})
    assert [entry["args"][0] for entry in found["prestart"]] == ["one/A.json", "two/b.json", "one/c.json"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not json"),
        ("[]", "expected an object"),
        ({**definition(), "hok": 1}, "unknown key 'hok', did you mean 'hook'"),
        ({"version": "1.0.0", "hok": {}, "when": {}, "stages": []}, "unknown key 'hok', did you mean 'hook'"),
        (definition(hook={"path": "/bin/sh", "argz": []}), "unknown key 'hook.argz', did you mean 'args'"),
        (definition(when={"hasBindMount": True}), "unknown key 'when.hasBindMount', did you mean 'hasBindMounts'"),
        ({key: value for key, value in definition().items() if key != "when"}, "when is missing"),
        ({"hook": "/bin/sh", "stages": ["prestart"]}, "this is schema 0.1.0"),
        (definition(version="2.0.0"), "version is '2.0.0', expected '1.0.0'"),
        (definition(stages=["prestrat"]), "unknown stage 'prestrat', did you mean 'prestart'"),
        (definition(stages=[]), "stages is empty"),
        (definition(stages="prestart"), "stages must hold strings"),
        (definition(when={}), "when is empty"),
        (definition(when={"always": "yes"}), "when.always must be true or false"),
        (definition(when={"commands": ["("]}), "when.commands: '(' is no regular expression"),
        (definition(when={"commands": ["[[:aplha:]]"]}), "unknown class [:aplha:]"),
        (definition(when={"annotations": {"[": "a"}}), "when.annotations: '[' is no regular expression"),
        (definition(when={"annotations": {"a": 1}}), "when.annotations must hold strings"),
        (definition(hook={"path": "sh"}), "hook.path must be the absolute path"),
        (definition(hook={}), "hook.path must be the absolute path"),
        (definition(hook={"path": "/nowhere/hook"}), "hook.path /nowhere/hook: there is no such program"),
        (definition(hook={"path": "/etc/passwd"}), "hook.path /etc/passwd cannot be executed"),
        (definition(hook={"path": "/bin/sh", "timeout": 0}), "hook.timeout must be a number of seconds"),
        (definition(hook={"path": "/bin/sh", "env": ["A"]}), "hook.env: 'A' is not of the form NAME=VALUE"),
    ],
)
def test_a_mistake_is_told_with_the_files_name(tmp_path: Path, content: Any, said: str) -> None:
    path = write(tmp_path / "hooks.d", "hook.json", content)
    with pytest.raises(CmanagerError) as raised:
        hooks(spec(), {"directories": [f"{tmp_path}/hooks.d"]})
    assert str(raised.value).startswith(path)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_program_in_the_container_is_not_looked_for_on_the_host(tmp_path: Path) -> None:
    inside = definition(hook={"path": "/only/inside"}, stages=["startContainer"])
    write(tmp_path / "hooks.d", "hook.json", inside)
    assert "startContainer" in hooks(spec(), {"directories": [f"{tmp_path}/hooks.d"]})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"directory": []}, "unknown key 'directory', did you mean 'directories'"),
        ({"directories": "/etc"}, "must be a list of absolute paths"),
        ({"directories": ["hooks.d"]}, "must be a list of absolute paths"),
        ({"directories": ["/nowhere/hooks.d"]}, "no directory of OCI hooks /nowhere/hooks.d"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], said: str) -> None:
    with pytest.raises(CmanagerError, match=said):
        hooks(spec(), options)


def test_what_strangers_may_change_is_not_run(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "hooks.d", "hook.json", definition()))
    path.chmod(0o666)
    with pytest.raises(CmanagerError, match=r"hook\.json are not trusted"):
        hooks(spec(), {"directories": [f"{tmp_path}/hooks.d"]})


BOTH = {
    "prestart": [{"path": "/a"}],
    "createRuntime": [{"path": "/b"}, {"path": "/c"}],
    "startContainer": [{"path": "/d"}],
}


@pytest.mark.parametrize(
    ("text", "verb", "said"),
    [
        ("error running hook #1: exit status 3", "create", "(createRuntime hook /c)"),
        ("error running hook #0: exit status 3", "create", "(prestart hook /a or createRuntime hook /b)"),
        ("error running createRuntime hook #0: exit status 3", "create", "(createRuntime hook /b)"),
        ("error running startContainer hook #0: exit status 3", "start", "(startContainer hook /d)"),
        ("error running hook #7: exit status 3", "create", "#7: exit status 3"),
        ("error executing hook `/e` (exit code: 3)", "create", "(exit code: 3)"),
    ],
)
def test_a_program_that_tells_a_hooks_number_alone_is_understood(text: str, verb: str, said: str) -> None:
    found = str(named(CmanagerError(text), verb, BOTH))
    assert found.startswith(text)
    assert found.endswith(said)
