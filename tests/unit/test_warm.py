"""Parts of the command server that need neither root nor a server."""

from __future__ import annotations

import os
import posix
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from cmanager.warm import become, client
from cmanager.warm.caller import Standing, check_interpreter
from cmanager.warm.request import Refused, Request
from cmanager.warm.stamp import Stamp


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As root, with nothing in the environment that is about servers."""
    monkeypatch.setattr(posix, "geteuid", lambda: 0)
    for name in (b"CMANAGER_WARM", b"CMANAGER_RUN_ROOT"):
        monkeypatch.delitem(posix.environ, name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("arguments", "run_root"),
    [
        (["ps"], "/run/cmanager"),
        ([], "/run/cmanager"),
        (["--run-root", "/x", "ps"], "/x"),
        (["--root", "--run-root", "--run-root=/y", "ps"], "/y"),
        (["--config", "--no-warm", "ps"], "/run/cmanager"),
        (["run", "--no-warm", "--run-root", "/x"], "/run/cmanager"),
        (["--run-root", "here", "ps"], f"{os.getcwd()}/here"),
    ],
    ids=" ".join,
)
def test_the_run_root_is_found_in_the_global_options(
    root: pytest.MonkeyPatch, arguments: list[str], run_root: str
) -> None:
    assert client.wanted(arguments) == run_root
    root.setitem(posix.environ, b"CMANAGER_RUN_ROOT", b"/e")
    assert client.wanted(arguments) == ("/e" if run_root == "/run/cmanager" else run_root)


@pytest.mark.parametrize("value", [b"0", b"00", b"never", b"-1"])
def test_no_server_is_wanted(root: pytest.MonkeyPatch, value: bytes) -> None:
    with pytest.raises(client.Cold, match="--no-warm"):
        client.wanted(["--root", "/x", "--no-warm", "ps"])
    root.setitem(posix.environ, b"CMANAGER_WARM", value)
    with pytest.raises(client.Cold, match="CMANAGER_WARM"):
        client.wanted(["ps"])


def test_only_root_is_served(root: pytest.MonkeyPatch) -> None:
    root.setattr(posix, "geteuid", lambda: 1)
    with pytest.raises(client.Cold, match="root"):
        client.wanted(["ps"])


def test_a_client_imports_next_to_nothing() -> None:
    checkout = Path(client.__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(checkout)!r}); import cmanager.warm.client; print(*sys.modules)"
    words = [sys.executable, "-I", "-S", "-c", code]
    modules = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    assert len(modules) <= 40
    assert not {"os", "re", "enum", "socket", "signal", "typing"} & set(modules)


def test_a_stamp_holds_until_a_file_changes(tmp_path: Path) -> None:
    file, later = tmp_path / "file", tmp_path / "later"
    file.write_text("one")
    stamp = Stamp([str(file), str(later)])
    assert stamp.holds()
    later.touch()
    assert not stamp.holds()
    later.unlink()
    assert stamp.holds()
    file.write_text("two")
    os.utime(file, ns=(1, 1))
    assert not stamp.holds()


@pytest.mark.parametrize(
    "change",
    [
        {"root": "/elsewhere"},
        {"personality": "00040000\n"},
        {"label": "other"},
        {"namespaces": {"mnt": 1}},
        {"status": {"CapBnd": "0"}},
        {"status": {"NoNewPrivs": "1"}},
    ],
    ids=str,
)
def test_whoever_differs_is_refused(change: dict[str, object]) -> None:
    mine = Standing.of("self")
    mine.check(Standing.of(os.getpid()))
    changed = {key: vars_of(mine, key) | value if isinstance(value, dict) else value for key, value in change.items()}
    with pytest.raises(Refused):
        mine.check(attrs.evolve(mine, **changed))


def vars_of(standing: Standing, key: str) -> dict[str, object]:
    return dict(getattr(standing, key))


@pytest.mark.parametrize(
    ("environment", "served"),
    [
        ({b"HOME": b"/", b"PYTHONUNBUFFERED": b"1"}, True),
        ({b"PYTHONPATH": b"/x"}, False),
        ({b"LD_PRELOAD": b"x.so"}, False),
        ({b"PYTHONWARNINGS": b"error"}, False),
    ],
    ids=str,
)
def test_another_interpreter_is_not_stood_in_for(environment: dict[bytes, bytes], served: bool) -> None:
    encoding = f"{sys.getfilesystemencoding()} strict"
    request = Request(1, "cmanager", (), environment, encoding, (0, 1, 2), (3, 4, 5), 6)
    if served:
        check_interpreter(request, {})
        return
    with pytest.raises(Refused):
        check_interpreter(request, {})


def test_signals_of_the_c_library_are_left_alone() -> None:
    def mask(*numbers: int) -> str:
        return f"{sum(1 << number - 1 for number in numbers):016x}"

    assert become._set(mask(1, 15, 32, 33, 64)) == {1, 15, 64}
