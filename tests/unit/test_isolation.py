"""Plugins that fail, in every way and under every policy: what is said, what goes on, and what it costs others."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cmanager.errors import CmanagerError, ExhaustedError, HostError, InvalidError, PluginError
from cmanager.linux.process import children
from cmanager.model import Endpoint, Event
from cmanager.plugins import Plugins, load_config

CHECKOUT = Path(__file__).parent.parent.parent
ENDPOINT = Endpoint("host")
#: A network plugin; `{fault}` stands where it is asked for what it owns, `{top}` where it is imported.
SOURCE = """
import ctypes, os, sys, time
from cmanager import hookimpl
from cmanager.errors import ExhaustedError, HostError
from cmanager.model import Attachment, Provider
{top}

class Mine:
    isolated = True
    def attach(self, id, netns, endpoint):
        {attach}
        return Attachment("eth0", ("10.0.0.2/24",))
    def detach(self, id, netns): return None
    def owned(self):
        {fault}
        return frozenset(["f" * 64])

@hookimpl
def {hook}():
    {offers}
    return [Provider("mine", lambda context, options: {made}, api={api})]
"""
#: Faults of a call: what the plugin does, and what is said of it, where it has a process of its own and where not;
#: None where nothing can be said any more.
CALLS: dict[str, tuple[str, str, str | None]] = {
    "raises": ("1 / 0", "failed in owned: ZeroDivisionError: division by zero", "failed in owned: ZeroDivisionError"),
    "hangs": ("time.sleep(1000)", "gave no answer in owned within 0.5 s and was ended", None),
    "spins": ("while True: pass", "gave no answer in owned within 0.5 s and was ended", None),
    "eats memory": ("x = [bytearray(1 << 24) for _ in range(1000)]", "used more than 64 MiB in owned", None),
    "crashes": ("os.kill(os.getpid(), 11)", "was killed by signal 11 (SIGSEGV) in owned", None),
    "exits": ("os._exit(3)", "exited with code 3 in owned", None),
    "exits politely": ("sys.exit(3)", "failed in owned: SystemExit: 3", "failed in owned: SystemExit: 3"),
    "prints rubbish in the answer's place": (
        "os.write(3, b'rubbish rubbish')",
        "answered rubbish in owned",
        None,
    ),
    "closes the channel": ("os.close(3); time.sleep(1000)", "stopped answering and was ended in owned", None),
    "returns something else": ("return 17", "returned what owned may not return: owned: expected frozenset", None),
    "returns what cannot cross": ("return object()", "returned Object of type object is not JSON", None),
}
#: Faults of loading it: changes of the source, and what is said.
LOADS: dict[str, tuple[dict[str, str], str]] = {
    "import error": ({"top": "import no_such_module"}, "does not load: ModuleNotFoundError: No module named 'no_such_"),
    "exits when imported": ({"top": "sys.exit(3)"}, "does not load: SystemExit: 3"),
    "another api": ({"api": "2"}, "is written for api 2, this cmanager has api 1"),
    "misspelt hook": ({"hook": "cmanager_netwroks"}, "unknown hook 'cmanager_netwroks', did you mean 'cmanager_netwo"),
    "exits in its hook": ({"offers": "sys.exit(3)"}, "failed in cmanager_networks: SystemExit: 3"),
    "exits in its factory": ({"made": "sys.exit(3)"}, "failed to start: SystemExit: 3"),
    "offers nothing": (
        {"hook": "cmanager_storages"},
        "cmanager_networks offers nothing instead of one provider 'mine'",
    ),
}
#: Of which there is nothing left to tell where the plugin is not alone.
LOADS_ALONE: dict[str, tuple[dict[str, str], str]] = {
    "hangs when imported": ({"top": "time.sleep(1000)"}, "gave no answer while it was loaded within 0.5 s"),
    "crashes when imported": ({"top": "os.kill(os.getpid(), 11)"}, "was killed by signal 11 (SIGSEGV) while it was lo"),
}

Make = Callable[..., Plugins]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Plugins with one of ours, network.mine: changes of its source, and of its policy by keyword."""
    site = tmp_path / "site" / "faulty"
    site.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(site.parent))
    made = []

    def make(
        policy: str = 'isolation = "process"\ndeadlines = 0.5\nmemory = 64', seam: str = "network", **changes: str
    ) -> Plugins:
        plain = {"top": "", "attach": "", "fault": "", "offers": "", "made": "Mine()", "api": "1"}
        source = plain | {"hook": "cmanager_networks"} | changes
        (site / "__init__.py").write_text(source.get("source") or SOURCE.format(**source))
        monkeypatch.delitem(sys.modules, "faulty", raising=False)
        hooks = '[hooks]\namend = ["mine"]\nevent = ["mine"]\n' if seam == "hooks" else ""
        config = tmp_path / "plugins.toml"
        config.write_text(f'{hooks}[plugins.{seam}.mine]\nmodule = "faulty [api1]"\n{policy}\n')
        made.append(Plugins(load_config(str(config)), str(tmp_path / "root"), str(tmp_path / "run")))
        return made[-1]

    before = children(os.getpid())
    yield make
    for plugins in made:
        plugins.renew("network", "mine")
        plugins.renew("hooks", "mine")
    assert [pid for pid in children(os.getpid()) if pid not in before] == []


def what_it_owns(plugins: Plugins) -> frozenset[str]:
    owned: frozenset[str] = plugins.get("network", "mine").owned()
    return owned


# -- fault by policy -----------------------------------------------------------------------------------------------


def test_one_that_is_late_before_it_has_begun_is_ended(make: Make) -> None:
    """Beside another thread it is an interpreter of its own, which takes its time."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        with pytest.raises(PluginError, match=r"gave no answer while it was loaded within 0\.001 s and was ended"):
            what_it_owns(make('isolation = "process"\ndeadlines = 0.001'))
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("fault", CALLS)
def test_alone_and_to_fail_it_is_an_error_that_names_it(make: Make, fault: str) -> None:
    plugins = make(fault=CALLS[fault][0])
    with pytest.raises(PluginError) as raised:
        what_it_owns(plugins)
    assert str(raised.value).startswith("network plugin 'mine' ")
    assert CALLS[fault][1] in str(raised.value)
    assert raised.value.exit_code == 125


@pytest.mark.parametrize("fault", CALLS)
def test_alone_and_to_be_skipped_it_is_a_warning_and_a_neutral_answer(make: Make, fault: str) -> None:
    plugins = make('deadlines = 0.5\nmemory = 64\non_error = "skip"', fault=CALLS[fault][0])
    warnings: list[str] = []
    plugins.warn = warnings.append
    assert what_it_owns(plugins) == frozenset()
    assert len(warnings) == 1
    assert CALLS[fault][1] in warnings[0]
    assert warnings[0].endswith("which is skipped")


@pytest.mark.parametrize("fault", [fault for fault in CALLS if CALLS[fault][2]])
@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_inline_what_can_be_caught_is_told_alike(make: Make, fault: str, on_error: str) -> None:
    plugins = make(f'isolation = "inline"\non_error = "{on_error}"', fault=CALLS[fault][0])
    warnings: list[str] = []
    plugins.warn = warnings.append
    if on_error == "fail":
        with pytest.raises(PluginError) as raised:
            what_it_owns(plugins)
        warnings.append(str(raised.value))
    else:
        assert what_it_owns(plugins) == frozenset()
    assert CALLS[fault][2] in warnings[0]  # type: ignore[operator]


@pytest.mark.parametrize(("fault", "code"), [("crashes", -11), ("exits", 3)])
def test_inline_what_cannot_be_caught_takes_its_process_along(
    make: Make, tmp_path: Path, fault: str, code: int
) -> None:
    make('isolation = "inline"\non_error = "skip"', fault=CALLS[fault][0])
    program = f"""
from cmanager.plugins import Plugins, load_config
Plugins(load_config({str(tmp_path / "plugins.toml")!r}), "/nowhere", "/nowhere").get("network", "mine").owned()
"""
    path = f"{tmp_path}/site:{CHECKOUT}:{CHECKOUT}/plugins"
    assert subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": path}).returncode == code


@pytest.mark.parametrize("isolation", ["inline", "process"])
@pytest.mark.parametrize("fault", LOADS)
def test_one_that_does_not_load_says_why(make: Make, fault: str, isolation: str) -> None:
    plugins = make(f'isolation = "{isolation}"', **LOADS[fault][0])
    with pytest.raises(PluginError) as raised:
        plugins.get("network", "mine")
    assert "network plugin 'mine'" in str(raised.value)
    assert LOADS[fault][1] in str(raised.value)


@pytest.mark.parametrize("fault", LOADS_ALONE)
def test_one_that_never_loads_says_so_in_time(make: Make, fault: str) -> None:
    plugins = make("deadlines.load = 0.5", **LOADS_ALONE[fault][0])
    with pytest.raises(PluginError) as raised:
        plugins.get("network", "mine")
    assert LOADS_ALONE[fault][1] in str(raised.value)


def test_the_next_call_gets_a_process_of_its_own(make: Make, tmp_path: Path) -> None:
    once = f"if not os.path.exists({str(tmp_path / 'once')!r}):\n            open({str(tmp_path / 'once')!r}, 'w'); "
    plugins = make(fault=once + "os._exit(3)")
    with pytest.raises(PluginError, match="exited with code 3"):
        what_it_owns(plugins)
    assert what_it_owns(plugins) == {"f" * 64}


def test_others_go_on_beside_one_that_does_not_work(make: Make) -> None:
    plugins = make(top="import no_such_module")
    with pytest.raises(PluginError):
        plugins.get("network", "mine")
    assert plugins.get("network", "none").isolated is True


# -- what crosses --------------------------------------------------------------------------------------------------


def test_errors_of_the_contract_arrive_as_they_were_raised(make: Make) -> None:
    plugins = make(attach="raise ExhaustedError('no free address on mine')")
    with pytest.raises(ExhaustedError, match=r"^no free address on mine$"):
        plugins.get("network", "mine").attach("f" * 64, "/netns", ENDPOINT)
    plugins = make(attach="raise HostError('make a link in', netns, 28)")
    with pytest.raises(
        HostError, match=r"^cannot make a link in /netns: no space left on device \(errno 28\)$"
    ) as error:
        plugins.get("network", "mine").attach("f" * 64, "/netns", ENDPOINT)
    assert error.value.errno == 28


def test_an_error_of_its_own_class_arrives_as_what_it_is_derived_from(make: Make) -> None:
    top = "class Full(ExhaustedError):\n    pass"
    plugins = make(top=top, attach="error = Full('no room'); error.about = object(); raise error")
    with pytest.raises(ExhaustedError, match=r"^no room$"):
        plugins.get("network", "mine").attach("f" * 64, "/netns", ENDPOINT)


def test_what_it_prints_is_kept_and_its_last_line_quoted(make: Make, tmp_path: Path) -> None:
    plugins = make(attach="print('hello'); print('x' * 100_000, file=sys.stderr); os.write(2, b'bye\\n'); os._exit(1)")
    with pytest.raises(PluginError, match=r"exited with code 1 in attach, its last line: 'bye', its log: .*mine\.log$"):
        plugins.get("network", "mine").attach("f" * 64, "/netns", ENDPOINT)
    assert (tmp_path / "root/plugins/network.mine.log").read_text().startswith("hello\nxxx")


def test_rubbish_on_stdout_disturbs_nothing(make: Make) -> None:
    plugins = make(attach=r"os.write(1, b'\xff\x00' * 2_000_000)")
    assert plugins.get("network", "mine").attach("f" * 64, "/netns", ENDPOINT).interface == "eth0"


def test_its_process_has_nothing_of_the_commands(make: Make) -> None:
    found = "raise ExhaustedError(f'{os.listdir(\"/proc/self/fd\")} {os.getcwd()} {os.getsid(0) == os.getpid()}')"
    network = make(attach=found).get("network", "mine")
    with pytest.raises(ExhaustedError) as raised:
        network.attach("f" * 64, "/netns", ENDPOINT)
    # 0 to 3, and the one that listdir has open.
    assert str(raised.value) == "['0', '1', '2', '3', '4'] / True"


def test_threads_that_ask_get_a_process_too_and_take_turns(make: Make) -> None:
    from concurrent.futures import ThreadPoolExecutor

    plugins = make('isolation = "process"', fault="time.sleep(0.02)")
    with ThreadPoolExecutor(8) as pool:
        owned = [pool.submit(what_it_owns, plugins) for _ in range(16)]
        assert {future.result() for future in owned} == {frozenset({"f" * 64})}


def test_a_fork_makes_its_own_process(make: Make) -> None:
    plugins = make('isolation = "process"')
    what_it_owns(plugins)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if what_it_owns(plugins) == {"f" * 64} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert what_it_owns(plugins) == {"f" * 64}


# -- hooks ---------------------------------------------------------------------------------------------------------

HOOKS = """
import os, sys, time
from cmanager import hookimpl
from cmanager.errors import ConflictError
from cmanager.model import Amendment

@hookimpl
def cmanager_amend(spec):
    {amend}
    return Amendment(env={{"A": spec["hostname"]}})

@hookimpl
def cmanager_event(event):
    {event}
"""
EVENT = Event("container", "start", "f" * 64, 1.0)
SPEC = {"hostname": "box"}
_HOOK_FAULTS = ("raises", "hangs", "eats memory", "crashes", "exits", "exits politely")


def hooks(make: Make, policy: str, amend: str = "", event: str = "pass") -> Plugins:
    return make(policy, "hooks", source=HOOKS.format(amend=amend, event=event))


@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_hooks_take_part(make: Make, isolation: str) -> None:
    plugins = hooks(make, f'isolation = "{isolation}"', event="print('heard')")
    ((name, amendment),) = plugins.amend(SPEC)
    assert (name, amendment.env) == ("mine", {"A": "box"})
    assert plugins.announce(EVENT) == []


@pytest.mark.parametrize("fault", _HOOK_FAULTS)
def test_a_container_that_cannot_be_amended_is_refused(make: Make, fault: str) -> None:
    plugins = hooks(make, "deadlines = 0.5\nmemory = 64", amend=CALLS[fault][0])
    with pytest.raises(PluginError) as raised:
        plugins.amend(SPEC)
    assert CALLS[fault][1].replace("owned", "cmanager_amend") in str(raised.value)


@pytest.mark.parametrize("fault", _HOOK_FAULTS)
def test_or_goes_without_where_the_policy_says_so(make: Make, fault: str) -> None:
    policy = 'deadlines = 0.5\nmemory = 64\non_error.cmanager_amend = "skip"'
    plugins = hooks(make, policy, amend=CALLS[fault][0])
    warnings: list[str] = []
    plugins.warn = warnings.append
    assert plugins.amend(SPEC) == []
    assert len(warnings) == 1


@pytest.mark.parametrize("fault", _HOOK_FAULTS)
def test_a_listener_that_fails_is_one_warning(make: Make, fault: str) -> None:
    plugins = hooks(make, "deadlines = 0.5\nmemory = 64", event=CALLS[fault][0])
    (warning,) = plugins.announce(EVENT)
    assert warning.startswith("hooks plugin 'mine' ")


def test_a_refusal_is_no_fault(make: Make) -> None:
    plugins = hooks(make, 'on_error = "skip"', amend="raise ConflictError('not on a Friday')")
    with pytest.raises(PluginError, match="'mine' refused the container: not on a Friday"):
        plugins.amend(SPEC)


def test_one_that_fails_again_and_again_is_left_in_peace_for_a_while(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = hooks(make, "", event=f"open({str(tmp_path / 'asked')!r}, 'a').write('x'); 1 / 0")
    for _ in range(5):
        (warning,) = plugins.announce(EVENT)
    assert (tmp_path / "asked").read_text() == "xxx"
    assert "failed 3 times in a row and is asked again in 30 s, cmanager_event is skipped" in warning
    later = time.time() + 31
    monkeypatch.setattr(time, "time", lambda: later)
    (warning,) = plugins.announce(EVENT)
    assert (tmp_path / "asked").read_text() == "xxxx"
    (row,) = [row for row in plugins.rows() if row.name == "mine"]
    assert (row.state, row.isolation) == ("ok", "process")
    assert row.reason.startswith("4 faults, the last 0 s ago: hooks plugin 'mine' failed in cmanager_event: ZeroDivis")


@pytest.mark.parametrize("target", ["trace", "/nowhere/trace", "0x1"])
def test_a_trace_that_cannot_be_written_is_refused_before_a_call(
    make: Make, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setenv("CMANAGER_TRACE", target)
    with pytest.raises(InvalidError, match=f"^cannot trace to CMANAGER_TRACE={target}: "):
        make().get("network", "mine")


# -- configuration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ('isolation = "thread"', "line 3: isolation is 'inline' or 'process', not 'thread'"),
        ('isolaton = "inline"', "line 3: unknown key 'isolaton', did you mean 'isolation'"),
        ("deadlines.atach = 3", "line 3: the network seam has no method 'atach', did you mean 'attach'"),
        ("deadlines = 0", "line 3: a deadline is a number of seconds"),
        ('deadlines.attach = "soon"', "line 3: a deadline is a number of seconds"),
        ('on_error = "ignore"', "line 3: on_error is 'fail' or 'skip', not 'ignore'"),
        ('on_error.attach = "skip"', "line 3: attach of the network seam cannot be skipped"),
        ("memory = 3", "line 3: memory is a number of MiB, at least 64"),
        ('isolation = "inline"\ndeadlines = 3', 'line 4: deadlines needs isolation = "process"'),
        ('isolation = "inline"\nmemory = 100', 'line 4: memory needs isolation = "process"'),
    ],
)
def test_a_policy_that_makes_no_sense_names_file_and_line(make: Make, policy: str, said: str) -> None:
    with pytest.raises(InvalidError) as raised:
        make(policy)
    assert said in str(raised.value)


@pytest.mark.parametrize("target", ["faulty [api2]", "faulty", "no_such_module [api1]"])
def test_a_line_that_does_not_fit_is_one_failed_row_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    (tmp_path / "faulty.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    config = tmp_path / "plugins.toml"
    config.write_text(f'[plugins]\nnetwork.mine = "{target}"\n')
    plugins = Plugins(load_config(str(config)), str(tmp_path / "root"), str(tmp_path / "run"))
    states = {(row.name, row.state) for row in plugins.rows() if row.seam == "network"}
    assert states >= {("mine", "failed"), ("bridge", "ok")}
    assert plugins.there("network", "mine") is ("no_such" not in target)


def test_a_policy_for_what_is_not_installed_is_a_failed_row(tmp_path: Path) -> None:
    config = tmp_path / "plugins.toml"
    config.write_text('[plugins.runtime.natvie]\nisolation = "process"\n')
    plugins = Plugins(load_config(str(config)), str(tmp_path / "root"), str(tmp_path / "run"))
    (row,) = [row for row in plugins.rows() if row.name == "natvie"]
    assert row.state == "failed"
    assert "did you mean 'native'" in row.reason


def test_what_came_with_cmanager_is_inline_and_others_are_alone(make: Make) -> None:
    where = {f"{row.seam}.{row.name}": row.isolation for row in make("").rows()}
    assert (where["network.bridge"], where["network.mine"]) == ("inline", "process")


def test_switched_off_only_what_came_with_cmanager_is_there(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMANAGER_PLUGINS", "off")
    plugins = hooks(make, "", amend="1 / 0", event="1 / 0")
    assert (plugins.amend(SPEC), plugins.announce(EVENT)) == ([], [])
    with pytest.raises(PluginError, match="network plugin 'mine' is switched off by CMANAGER_PLUGINS=off"):
        make("").get("network", "mine")


def test_strictly_every_fault_is_an_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMANAGER_PLUGINS", "strict")
    plugins = hooks(make, 'on_error = "skip"', amend="1 / 0", event="1 / 0")
    with pytest.raises(PluginError):
        plugins.amend(SPEC)
    with pytest.raises(CmanagerError):
        plugins.announce(EVENT)


def test_another_word_for_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMANAGER_PLUGINS", "of")
    with pytest.raises(
        InvalidError, match="CMANAGER_PLUGINS=of in the environment is unknown, it may be off or strict"
    ):
        load_config()
