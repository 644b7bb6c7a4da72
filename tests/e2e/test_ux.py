"""What people and scripts expect of a command line, as one table: what was done before, what is typed, what comes out.

Signals and terminals that need a person are in test_terminal.py, the options of `run` in test_options.py.
"""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
from attrs import frozen

from ..console import console
from ..support import Cli, end, wait_until

pytestmark = pytest.mark.root

_ID = r"[0-9a-f]{64}"
_STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
_SLEEPER = ("run", "-d", "--name", "box", "busybox", "sleep", "1000")
_ENDED = ("run", "--name", "box", "busybox", "sh", "-c", "echo out")
_CREATED = ("create", "--name", "box", "-l", "tier=web", "--expose", "80", "busybox", "sleep", "1000")


@frozen
class Row:
    """typed: the command line; code: what it exits with; out: a regular expression for all of stdout; err: one that is
    found in stderr, which is otherwise empty; before: command lines that must succeed first."""

    typed: tuple[str, ...]
    code: int = 0
    out: str = ""
    err: str = ""
    before: tuple[tuple[str, ...], ...] = ()


def _run(*words: str) -> tuple[str, ...]:
    return ("run", "--rm", *words)


def _sh(script: str, *options: str) -> tuple[str, ...]:
    return _run(*options, "busybox", "sh", "-c", script)


EXIT_CODES = {
    "success": Row(_sh("exit 0")),
    "the command's own code": Row(_sh("exit 42"), 42),
    "a command that is not there": Row(_run("busybox", "nosuch"), 127, err="'nosuch': not found in .PATH"),
    "a directory as command": Row(_run("busybox", "/etc"), 126, err="'/etc': permission denied .errno 13."),
    "an unknown flag": Row(_run("--nosuch", "busybox"), 125, err="no such option --nosuch, "),
    "a flag misspelt": Row(_run("--memroy", "1g", "busybox"), 125, err="--memroy.*--memory"),
    "an image that is nowhere": Row(_run("nosuch"), 125, err="nosuch"),
    "a bad limit": Row(_run("-m", "lots", "busybox"), 125, err="--memory 'lots'"),
    "an unknown user": Row(_run("-u", "nosuch", "busybox"), 125, err="user 'nosuch'"),
    "an unknown runtime": Row(_run("--runtime", "nosuch", "busybox"), 125, err="nosuch"),
    "killed by a signal": Row(_sh("kill -TERM $$", "--init"), 143),
    "killed for memory": Row(_sh("tail /dev/zero", "-m", "20m", "--init"), 137),
    "killed by itself as process 1": Row(_sh("kill -9 $$; exit 3"), 3),
    "a limit beyond the host": Row(_run("--cpuset-cpus", "4095", "busybox"), 125, err="--cpuset-cpus"),
    "exec in what is missing": Row(("exec", "nosuch", "true"), 125, err="no such container: 'nosuch'"),
    "exec in what is stopped": Row(("exec", "box", "true"), 125, err="not running", before=(_ENDED,)),
    "exec of what is not there": Row(("exec", "box", "nosuch"), 127, err="nosuch", before=(_SLEEPER,)),
    "exec of a directory": Row(("exec", "box", "/etc"), 126, err="/etc", before=(_SLEEPER,)),
    "inspect of what is missing": Row(
        ("inspect", "nosuch"), 1, r"\[\]\n", "no such container, image, volume or pod: nosuch"
    ),
    "rm of what is missing": Row(("rm", "nosuch"), 1, err="no such container: 'nosuch'"),
    "rm -f of what is missing": Row(("rm", "-f", "nosuch"), 0, "nosuch\n"),
    "rm of what runs": Row(("rm", "box"), 1, err="is running, stop it first or use -f", before=(_SLEEPER,)),
    "logs of what is missing": Row(("logs", "nosuch"), 1, err="no such container: 'nosuch'"),
    "some of several missing": Row(("rm", "nosuch", "box"), 1, "box\n", "'nosuch'", before=(_CREATED,)),
    "a bad filter": Row(("ps", "--filter", "bad=1"), 125, err="valid filters are ancestor, before, command"),
    "a filter without a value": Row(("ps", "--filter", "name"), 125, err="valid filters are"),
    "an unknown command": Row(("nosuch",), 1, err="'nosuch' is not a cmanager command"),
    "a command misspelt": Row(("rnu",), 1, err="did you mean 'run'"),
    "an argument too few": Row(("rename", "box"), 125, err="missing argument"),
    "stop of what is deaf": Row(("stop", "-t", "1", "box"), 0, "box\n", "`run --init` may help", before=(_SLEEPER,)),
    "what was deaf": Row(("wait", "box"), 0, "137\n", before=(_SLEEPER, ("stop", "-t", "0", "box"))),
    "stop under an init": Row(
        ("wait", "box"),
        0,
        "143\n",
        before=(("run", "-d", "--init", "--name", "box", "busybox", "sleep", "1000"), ("stop", "-t", "60", "box")),
    ),
}

TERMINAL = {
    "-i without a terminal": Row(_run("-i", "busybox", "cat")),
    "run -d": Row(_SLEEPER, 0, f"{_ID}\n"),
    "start": Row(("start", "box"), 0, "box\n", before=(_CREATED,)),
    "both streams": Row(_sh("echo out; echo err >&2"), 0, "out\n", "^err\n$"),
    "both streams with -t": Row(_sh("echo out; echo err >&2", "-t"), 0, "out\r\nerr\r\n"),
    "detach keys that are none": Row(_run("--detach-keys", "ctrl-", "busybox"), 125, err="--detach-keys"),
}

_TITLES = r"CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES +RUNTIME\n"
_LINE = r"[0-9a-f]{12} +busybox +\"[^\n]+\" +(Less than a second|\d seconds?) ago +"


def _listed(*options: str) -> tuple[str, ...]:
    return ("ps", "-a", "--format", "{{.Names}}", *options)


OUTPUT = {
    "ps of nothing": Row(("ps",), 0, _TITLES),
    "ps": Row(("ps",), 0, _TITLES + _LINE + r"Up [^\n]+ box +native\n", before=(_SLEEPER,)),
    "ps leaves out what does not run": Row(("ps", "-q"), before=(_ENDED,)),
    "ps -q": Row(("ps", "-aq"), 0, r"[0-9a-f]{12}\n", before=(_ENDED,)),
    "ps --no-trunc": Row(("ps", "-aq", "--no-trunc"), 0, f"{_ID}\n", before=(_ENDED,)),
    "ps -n": Row(("ps", "-n", "1", "--noheading"), 0, r"[^\n]+ box +native\n", before=(_CREATED,)),
    "ps -l": Row(("ps", "-lq"), 0, r"[0-9a-f]{12}\n", before=(_CREATED,)),
    "ps -s": Row(("ps", "-as"), 0, r"[^\n]+ SIZE +RUNTIME\n[^\n]+B \(virtual \S+\) +native\n", before=(_ENDED,)),
    "ps --ns": Row(("ps", "--ns"), 0, r"[^\n]+ PIDNS [^\n]+\n[^\n]+\n", before=(_SLEEPER,)),
    "ps --sort": Row(("ps", "--sort", "-names", "-q"), 0, r"[0-9a-f]{12}\n", before=(_SLEEPER,)),
    "running": Row(
        _listed("--format", "{{.Status}}"), 0, r"Up (Less than a second|\d+ seconds?)\n", before=(_SLEEPER,)
    ),
    "paused": Row(_listed("--format", "{{.Status}}"), 0, r"Up .* \(Paused\)\n", before=(_SLEEPER, ("pause", "box"))),
    "exited": Row(_listed("--format", "{{.Status}}"), 0, r"Exited \(0\) .* ago\n", before=(_ENDED,)),
    "created": Row(_listed("--format", "{{.Status}}"), 0, "Created\n", before=(_CREATED,)),
    "starting": Row(
        _listed("--format", "{{.Status}}"),
        0,
        r"Up .* \(health: starting\)\n",
        before=(("run", "-d", "--health-cmd", "true", "--name", "box", "busybox", "sleep", "1000"),),
    ),
    "--format json": Row(_listed("--format", "json"), 0, r'\{"ID": "[0-9a-f]{12}", .*\}\n', before=(_CREATED,)),
    "--output json": Row(("ps", "--output", "json"), 0, r'\{\n  "schema": "cmanager.ps/1",\n  "items": \[\]\n\}\n'),
    "a table of a template": Row(
        _listed("--format", r"table {{.Names}}\t{{.State}}"), 0, r"NAMES +STATE\nbox +created\n", before=(_CREATED,)
    ),
    "json in a template": Row(_listed("--format", "{{json .Names}}"), 0, '"box"\n', before=(_CREATED,)),
    "a pipeline": Row(("inspect", "-f", "{{.State.Status | upper}}", "box"), 0, "CREATED\n", before=(_CREATED,)),
    "if": Row(_listed("--format", "{{if .Names}}yes{{end}}"), 0, "yes\n", before=(_CREATED,)),
    "range": Row(("inspect", "-f", "{{range .Args}}{{.}}{{end}}", "box"), 0, "1000\n", before=(_CREATED,)),
    "index": Row(("inspect", "-f", '{{index .Config.Labels "tier"}}', "box"), 0, "web\n", before=(_CREATED,)),
    "a field that is none": Row(("ps", "--format", "{{.Nosuch}}"), 125, err="Nosuch"),
    "a template that is none": Row(("ps", "--format", "{{.Names"), 125, err=r"\{\{\.Names"),
    "what of Go is not understood": Row(("ps", "--format", '{{define "x"}}{{end}}'), 125, err="define"),
    "inspect -f": Row(("inspect", "-f", "{{.Name}}", "box"), 0, "/box\n", before=(_CREATED,)),
    "inspect -s": Row(("inspect", "-sf", "{{.SizeRw}}", "box"), 0, r"\d+\n", before=(_CREATED,)),
    "inspect --type": Row(
        ("inspect", "--type", "image", "box"), 1, r"\[\]\n", "no such image: box", before=(_CREATED,)
    ),
    "logs": Row(("logs", "box"), 0, "out\n", before=(_ENDED,)),
    "logs -f": Row(("logs", "-f", "box"), 0, "out\n", before=(_ENDED,)),
    "logs -t": Row(("logs", "-t", "box"), 0, f"{_STAMP} out\n", before=(_ENDED,)),
    "logs --tail": Row(("logs", "--tail", "0", "box"), before=(_ENDED,)),
    "logs --tail all": Row(("logs", "--tail", "all", "box"), 0, "out\n", before=(_ENDED,)),
    "logs --tail of what is no number": Row(("logs", "--tail", "some", "box"), 125, err="--tail 'some'"),
    "logs --since": Row(("logs", "--since", "10m", "box"), 0, "out\n", before=(_ENDED,)),
    "logs --until": Row(("logs", "--until", "2020-01-01T00:00:00Z", "box"), before=(_ENDED,)),
    "logs --since of what is no time": Row(("logs", "--since", "soon", "box"), 125, err="--since 'soon'"),
    "top": Row(("top", "box"), 0, r"UID +PID [^\n]+\n[^\n]+ sleep 1000\n", before=(_SLEEPER,)),
    "top with options of ps": Row(
        ("top", "box", "-o", "pid,comm"), 0, r" *PID COMMAND\n *\d+ sleep\n", before=(_SLEEPER,)
    ),
    "events": Row(
        ("events", "--since", "1m", "--until", "0s", "--filter", "container=told", "--filter", "event=create"),
        0,
        rf"{_STAMP} container create {_ID} \(image=busybox, name=told\)\n",
        before=(("create", "--name", "told", "busybox"),),
    ),
    "events --format": Row(
        ("events", "--since", "1m", "--until", "0s", "-f", "container=formed", "--format", "{{.Action}}"),
        0,
        "create\n",
        before=(("create", "--name", "formed", "busybox"),),
    ),
    "pull": Row(("pull", "busybox"), 0, r"Digest: sha256:\S+\nStatus: \w[^\n]+\nbusybox:latest\n", "Already exists|^$"),
    "pull -q": Row(("pull", "-q", "busybox"), 0, "busybox:latest\n"),
    "pull --progress none": Row(("pull", "--progress", "none", "busybox"), 0, r"Digest[^\n]+\nStatus[^\n]+\n[^\n]+\n"),
    "pull --progress of what is none": Row(("pull", "--progress", "fancy", "busybox"), 125, err="fancy"),
}

FILTERS = {
    "id": "id=^[0-9a-f]",
    "name": "name=^bo",
    "label": "label=tier",
    "a label's value": "label=tier=web",
    "status": "status=created",
    "ancestor": "ancestor=busybox",
    "network": "network=bridge",
    "expose": "expose=80",
    "health": "health=none",
    "restart-policy": "restart-policy=no",
    "command": "command=sleep",
    "runtime": "runtime=native",
    "until": "until=0s",
    "not": "name!=other",
}

NAMES = {
    "a name of two words": Row(("inspect", "-f", "{{.Name}}", "box"), 0, "/box\n", before=(_CREATED,)),
    "a name that is taken": Row(_CREATED, 125, err="'box' is .*[0-9a-f]{12}", before=(_CREATED,)),
    "a name that is none": Row(("create", "--name", "-x", "busybox"), 125, err="'-x'"),
    "a flag that is docker's": Row(
        _run("--gpus", "all", "busybox"), 125, err="--gpus is not supported, give each device"
    ),
    "a flag that is podman's": Row(_run("--rootfs", "/", "busybox"), 125, err="--rootfs is not supported"),
    "completion": Row(("completion", "zsh"), 0, "#compdef cmanager\n.*"),
}


@pytest.fixture(scope="module")
def pulled(machine: Cli) -> None:
    """So that no pull shows where a row does not expect one."""
    machine.ok("pull", "-q", "busybox")


@pytest.fixture
def typed(pulled: None, cli: Cli) -> Cli:
    return cli


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=f"{section}: {case}")
        for section, table in (("exit", EXIT_CODES), ("terminal", TERMINAL), ("output", OUTPUT), ("names", NAMES))
        for case, row in table.items()
    ],
)
def test_what_is_typed_and_what_comes(typed: Cli, row: Row) -> None:
    for words in row.before:
        typed.ok(*words)
    done = typed(*row.typed)
    assert done.returncode == row.code, done.stderr
    assert re.fullmatch(row.out, done.stdout, re.DOTALL), done.stdout
    assert re.search(row.err or "^$", done.stderr), done.stderr
    if row.code in (1, 125, 126, 127):
        assert re.fullmatch(r"cmanager: [^A-Z\n][^\n]*[^.\n]\n", done.stderr), "one line, lower case, no full stop"


@pytest.mark.parametrize("key", FILTERS)
def test_what_can_be_filtered_by(typed: Cli, key: str) -> None:
    typed.ok(*_CREATED)
    assert typed.ok(*_listed("--filter", FILTERS[key])) == "box"
    name, equals, value = FILTERS[key].partition("=")
    turned = name.removesuffix("!") if name.endswith("!") else f"{name}!"
    assert typed.ok(*_listed("--filter", f"{turned}{equals}{value}")) == ""


def test_filters_of_one_key_are_either_and_of_several_are_all(typed: Cli) -> None:
    typed.ok(*_CREATED)
    typed.ok("create", "--name", "other", "busybox")
    either = ("--filter", "name=box", "--filter", "name=other", "--sort", "names")
    assert typed.ok(*_listed(*either)).split() == ["box", "other"]
    assert typed.ok(*_listed(*either, "--filter", "label=tier")) == "box"


def test_every_value_of_dockers_json_is_text(typed: Cli) -> None:
    typed.ok(*_SLEEPER)
    (line,) = typed.ok("ps", "--format", "json").splitlines()
    assert {type(value) for value in json.loads(line).values()} == {str}


def test_inspect_has_the_fields_that_scripts_read(typed: Cli) -> None:
    typed.ok(*_SLEEPER)
    state = typed.inspect("box")["State"]
    fields = "Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error StartedAt FinishedAt Orphaned"
    assert [*state] == fields.split()


def test_a_container_without_a_name_gets_one_of_two_words(typed: Cli) -> None:
    typed.ok("create", "busybox")
    assert re.fullmatch("[a-z]+_[a-z]+", *typed.names())


def test_an_ambiguous_prefix_names_the_candidates(typed: Cli) -> None:
    first: dict[str, str] = {}
    while True:  # 17 containers have two ids that begin alike, mostly fewer
        id = typed.ok("create", "busybox")
        if id[0] in first:
            break
        first[id[0]] = id
    refused = typed("inspect", id[0])
    assert refused.returncode == 125
    assert id[:12] in refused.stderr
    assert first[id[0]][:12] in refused.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 44), (signal.SIGUSR1, 45), (signal.SIGHUP, 46)])
@pytest.mark.parametrize("verb", [("attach",), ("start", "-a")], ids=["attach", "start -a"])
def test_signals_to_whoever_is_attached_reach_the_container(
    cli: Cli, verb: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    script = "trap 'exit 44' TERM; trap 'exit 45' USR1; trap 'exit 46' HUP; while :; do echo ready; sleep 0.05; done"
    cli.ok(
        "run" if verb[0] == "attach" else "create", *("-d",) * (verb[0] == "attach"), "--name", "box", *_script(script)
    )
    client = cli.start(*verb, "box")
    assert client.stdout is not None
    assert client.stdout.readline() == b"ready\n"
    client.send_signal(number)
    client.communicate(timeout=20)
    assert client.returncode == code
    assert cli.ok("wait", "box") == str(code)


def _script(text: str) -> tuple[str, ...]:
    return ("busybox", "sh", "-c", text)


@pytest.mark.parametrize(
    ("options", "number", "code"),
    [
        (["--sig-proxy=false"], signal.SIGTERM, -signal.SIGTERM),
        (["--no-sig-proxy"], signal.SIGUSR1, -signal.SIGUSR1),
        ([], signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_what_is_not_passed_on_ends_the_client_alone(
    cli: Cli, options: list[str], number: signal.Signals, code: int
) -> None:
    client = cli.start("run", *options, "--name", "box", *_script("echo ready; sleep 1000"))
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        client.send_signal(number)
        client.communicate(timeout=20)
        assert client.returncode == code
    finally:
        end(client)
    assert cli.inspect("box")["State"]["Running"] is True
    attached = cli.start("attach", "box")
    wait_until(
        lambda: "attach" in cli.ok("events", "--since", "1m", "--until", "0s", "-f", "container=box"), "attached"
    )
    attached.kill()
    attached.communicate()
    assert cli.inspect("box")["State"]["Running"] is True


def test_a_pull_shows_one_line_per_change_where_no_terminal_is(tmp_path: Path, registry: Path) -> None:
    fresh = Cli(tmp_path / "root", tmp_path / "run")
    done = fresh("pull", "busybox")
    assert done.returncode == 0
    assert re.fullmatch(r"([^\x00-\x1f]+\n)+", done.stderr + done.stdout)
    assert "Pull complete" in done.stderr
    assert re.search(
        r"^Digest: sha256:[0-9a-f]{64}\nStatus: Downloaded newer image for busybox:latest$", done.stdout, re.M
    )


def test_a_pull_draws_bars_on_a_terminal(tmp_path: Path, registry: Path) -> None:
    with console(Cli(tmp_path / "root", tmp_path / "run"), "pull", "busybox") as screen:
        screen.see("Pull complete")
        screen.see("Digest: ")
        assert screen.wait() == 0


HOOKS = {
    "a plugin that fails": "raise OSError('broken')",
    "a hook that fails": "return Amendment(hooks={'createRuntime': ({'path': '/bin/false', 'args': ['false']},)})",
    "a hook that hangs": "return Amendment(hooks={'prestart': ({'path': '/bin/sleep', 'args': ['sleep', '1000'],"
    " 'timeout': 1},)})",
    "a hook that is no program": "return Amendment(hooks={'createRuntime': ({'path': '/etc/passwd'},)})",
    "a hook of no kind": "return Amendment(hooks={'beforehand': ({'path': '/bin/true'},)})",
}


@pytest.mark.parametrize("case", HOOKS)
def test_a_plugin_or_hook_that_fails_is_125(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    source = "from cmanager import hookimpl\nfrom cmanager.model import Amendment\n\n\n"
    (tmp_path / "ux_hook.py").write_text(f"{source}@hookimpl\ndef cmanager_amend(spec):\n    {HOOKS[case]}\n")
    config = tmp_path / "plugins.toml"
    config.write_text('[plugins]\nhooks.ux = "ux_hook [api1]"\n[hooks]\namend = ["ux"]\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = Cli(cli.root, cli.run_root, config)("run", "--rm", "busybox", "echo", "unheard")
    assert (done.returncode, done.stdout) == (125, "")
    assert re.fullmatch(r"cmanager: [^\n]+\n", done.stderr), done.stderr
    assert "internal error" not in done.stderr
    assert cli.names() == []
