"""plugins.toml and the loader: every mistake is told by name, with the file, the line and the nearest known word."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cmanager.errors import InvalidError, NotFoundError, PluginError, UnsupportedError
from cmanager.model import Event
from cmanager.plugins import Plugins, load_config
from cmanager.supervisor import rootfs


def config(tmp_path: Path, text: str) -> str:
    path = tmp_path / "plugins.toml"
    path.write_text(text)
    return str(path)


def test_the_shipped_file_fills_every_seam() -> None:
    assert set(load_config().defaults) == {"image", "storage", "network", "limiter", "runtime"}


def test_a_file_is_laid_over_the_shipped_one_key_by_key(tmp_path: Path) -> None:
    found = load_config(config(tmp_path, '[defaults]\nstorage = "vfs"\n'))
    assert (found.defaults["storage"], found.defaults["runtime"]) == ("vfs", "native")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[defalts]\nstorage = "vfs"\n', "line 1: unknown key 'defalts', did you mean 'defaults'"),
        ('[defaults]\nstroage = "vfs"\n', "line 2: unknown key 'stroage', did you mean 'storage'"),
        ("[defaults]\nstorage = 3\n", "line 2: storage must be a string"),
        ('[plugins]\nstorag.x = "y"\n', "line 2: unknown key 'storag', did you mean 'storage'"),
        ('[hooks]\namend = "x"\n', "line 2: amend must be a list of plugin names"),
        ("[hooks]\nevnt = []\n", "line 2: unknown key 'evnt', did you mean 'event'"),
        (
            '[plugins]\nhooks.mine = "x [api1]"\n[hooks.mnie]\nx = 1\n',
            "line 3: options of an unknown hook plugin 'mnie'",
        ),
        ("[network]\nbridge = 1\n", "line 2: options of bridge stand in a table [network.bridge]"),
        ("defaults = 1\n", "line 1: defaults must be a table"),
        ("[defaults\n", "not TOML"),
    ],
)
def test_a_mistake_names_file_line_and_nearest_key(tmp_path: Path, text: str, said: str) -> None:
    path = config(tmp_path, text)
    with pytest.raises(InvalidError) as raised:
        load_config(path)
    assert str(raised.value).startswith(path)
    assert said in str(raised.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="no such file"):
        load_config(str(tmp_path / "none.toml"))


def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str = "broken_one [api1]") -> Plugins:
    package = tmp_path / "site" / "broken_one"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(__import__("sys").modules, "broken_one", raising=False)
    path = config(tmp_path, f'[plugins]\nnetwork.mine = "{target}"\n')
    return Plugins(load_config(path), str(tmp_path / "root"), str(tmp_path / "run"))


GOOD = """
from cmanager import hookimpl
from cmanager.model import Attachment, Provider

class Mine:
    isolated = True
    def __init__(self, options): self.options = options
    def attach(self, id, netns, endpoint): return Attachment()
    def detach(self, id, netns): return None
    def owned(self): return frozenset([self.options] if self.options else [])
"""
HOOK = """
@hookimpl
def cmanager_networks():
    return [Provider("mine", lambda context, options: Mine(options))]
"""


def test_a_third_party_provider_is_found_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = plugins(tmp_path, monkeypatch, GOOD + HOOK)
    assert found.get("network", "mine") is found.get("network", "mine")


def test_a_provider_can_be_had_under_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = HOOK.replace('"mine"', '"theirs"').replace("Mine(options)", "Mine(context.name)")
    found = plugins(tmp_path, monkeypatch, GOOD + hook, "broken_one:theirs [api1]")
    assert found.get("network", "mine").owned() == {"mine"}


def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> Plugins:
    made = "Mine(f'{context.name} {options.size} {options.speed}'), options=Options)"
    hook = HOOK.replace('"mine"', '"mine:*"').replace("Mine(options))", made)
    options = "from attrs import frozen\n@frozen\nclass Options:\n    size: int = 1\n    speed: int = 1\n"
    plugins(tmp_path, monkeypatch, GOOD + options + hook)
    path = config(tmp_path, "\n".join(('[plugins]\nnetwork."mine:*" = "broken_one [api1]"', *lines)))
    return Plugins(load_config(path), str(tmp_path / "root"), str(tmp_path / "run"))


def test_one_plugin_answers_for_a_family_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = family(tmp_path, monkeypatch)
    assert found.get("network", "mine:one").owned() == {"mine:one 1 1"}
    assert found.get("network", "mine:two").owned() == {"mine:two 1 1"}
    assert (found.families("network"), "mine:*" in found.names("network")) == (["mine:"], False)
    assert [(row.name, row.state) for row in found.rows() if row.name.startswith("mine")] == [("mine:*", "ok")]


def test_a_member_has_the_options_of_its_family_and_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = ('[network."mine:*"]', "size = 2", "speed = 2", '[network."mine:one"]', "size = 3")
    found = family(tmp_path, monkeypatch, *tables)
    assert found.get("network", "mine:one").owned() == {"mine:one 3 2"}
    assert found.get("network", "mine:two").owned() == {"mine:two 2 2"}


@pytest.mark.parametrize("name", ["mine:*", "mine:", "mine:../x", "mine:a/b", "mine:.x", "other:one", "mine"])
def test_what_is_no_member_of_a_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(NotFoundError, match="no network plugin"):
        family(tmp_path, monkeypatch).get("network", name)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError"),
        (GOOD + HOOK.replace("cmanager_networks", "cmanager_netwroks"), "did you mean 'cmanager_networks'"),
        (GOOD + HOOK.replace('"mine"', '"other"'), "offers other instead of one provider 'mine'"),
        (GOOD + HOOK.replace("Mine(options))", "Mine(options), api=2)"), "is written for api 2"),
        (GOOD.replace("def owned", "def owner") + HOOK, "lacks owned"),
        (GOOD + HOOK.replace("Mine(options)", "1 / 0"), "failed to start: ZeroDivisionError"),
        (GOOD, "offers nothing"),
    ],
)
def test_a_broken_plugin_is_set_aside_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    found = plugins(tmp_path, monkeypatch, source)
    with pytest.raises(PluginError) as raised:
        found.get("network", "mine")
    assert said in str(raised.value)
    assert "mine" in str(raised.value)
    assert found.get("network", "none").isolated is True


def test_another_api_is_refused_before_anything_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = plugins(tmp_path, monkeypatch, "raise SystemExit('imported')", "broken_one [api2]")
    with pytest.raises(PluginError, match="written for api 2"):
        found.get("network", "mine")


def test_unknown_options_name_the_nearest(tmp_path: Path) -> None:
    path = config(tmp_path, '[network.bridge]\nsubent = "10.0.0.0/24"\n')
    found = Plugins(load_config(path), str(tmp_path / "root"), str(tmp_path / "run"))
    with pytest.raises(InvalidError, match=r"line 2: unknown option 'subent'.*did you mean 'subnet'"):
        found.get("network", "bridge")


def test_an_unknown_name_names_the_nearest(tmp_path: Path) -> None:
    found = Plugins(load_config(), str(tmp_path / "root"), str(tmp_path / "run"))
    with pytest.raises(NotFoundError, match="did you mean 'native'"):
        found.get("runtime", "natvie")


@pytest.mark.root
def test_code_that_strangers_may_change_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = plugins(tmp_path, monkeypatch, GOOD + HOOK)
    os.chmod(tmp_path / "site" / "broken_one" / "__init__.py", 0o666)
    with pytest.raises(PluginError, match="not trusted"):
        found.get("network", "mine")


VOLUMES = """
from cmanager import hookimpl
from cmanager.model import Provider

class Kept:
    def create_volume(self, name, labels, *, anonymous=False): pass
    def volumes(self): return ()
    def volume(self, name): pass
    def remove_volume(self, name): pass
    def volume_usage(self, name): return 0

@hookimpl
def cmanager_storages():
    return [Provider("mine", lambda context, options: Kept())]
"""


def test_a_storage_provider_may_keep_volumes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins(tmp_path, monkeypatch, VOLUMES)
    path = config(tmp_path, '[plugins]\nstorage.mine = "broken_one [api1]"\n\n[defaults]\nstorage = "mine"\n')
    found = Plugins(load_config(path), str(tmp_path / "root"), str(tmp_path / "run"))
    assert found.get("storage", "mine").volumes() == ()
    with pytest.raises(UnsupportedError, match=r"'mine' keeps no root file systems.*plugins.toml line 4"):
        rootfs.store(found, "mine")


LISTENER = """
from cmanager import hookimpl
from cmanager.model import Amendment

@hookimpl
def cmanager_amend(spec, options):
    options["words"].append("mine alone")
    return Amendment(env={"WORDS": " ".join(options["words"])})

@hookimpl
def cmanager_event(event):
    pass
"""


def test_a_hook_plugin_is_given_the_options_of_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins(tmp_path, monkeypatch, LISTENER)
    tables = '[hooks]\namend = ["mine"]\nevent = ["mine"]\n[hooks.mine]\nwords = ["given"]\n'
    path = config(tmp_path, f'[plugins]\nhooks.mine = "broken_one [api1]"\n{tables}')
    found = Plugins(load_config(path), str(tmp_path / "root"), str(tmp_path / "run"))
    for _ in range(2):
        [(name, amendment)] = found.amend({})
        assert (name, amendment.env) == ("mine", {"WORDS": "given mine alone"})
    assert found.announce(Event("container", "start", "id", 0.0)) == []
