"""`cmanager plugin new`: what it writes is small and whole, and what it cannot write leaves nothing."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest
import tomli

from cmanager.cli.main import run
from cmanager.cli.plugin import KINDS

_LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def lines_of_code(text: str) -> int:
    """Without blank lines, comments and docstrings."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            documented.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - documented)


def new(*arguments: str) -> int:
    return run(["plugin", "new", *arguments])


def everything(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("seam", KINDS)
def test_it_is_a_package_with_less_than_sixty_lines_of_code(
    place: Path, seam: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new("my_own", "--seam", seam) == 0
    assert capsys.readouterr().out == "cmanager-my_own\n"
    package = place / "cmanager-my_own"
    files = ["README.md", "cmanager_my_own.py", "pyproject.toml", "tests", "tests/test_my_own.py"]
    assert everything(package) == files
    code = [(package / name).read_text() for name in files if name.endswith(".py")]
    assert sum(map(lines_of_code, code)) < 60
    project = tomli.loads((package / "pyproject.toml").read_text())["project"]
    assert project["name"] == "cmanager-my_own"
    assert project["entry-points"]["cmanager"] == {f"{seam}.my_own": "cmanager_my_own:my_own [api1]"}
    text = "".join(path.read_text() for path in package.rglob("*") if path.is_file())
    assert not {word for word in ("mine", "Mine", "SEAM") if word in text}


def test_it_is_written_where_one_wants_it(place: Path) -> None:
    assert new("here", "--seam", "network", "--directory", "some-where") == 0
    assert (place / "some-where/cmanager_here.py").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Upper", "--seam", "network"], "invalid plugin name 'Upper'"),
        (["../up", "--seam", "network"], "invalid plugin name '../up'"),
        (["a__b", "--seam", "network"], "invalid plugin name 'a__b'"),
        (["x" * 15, "--seam", "network"], "invalid plugin name"),
        (["", "--seam", "network"], "invalid plugin name ''"),
        (["native", "--seam", "runtime"], "runtime 'native' exists already"),
        (["new", "--seam", "volume"], "'volume' is not one of 'image'"),
        (["new"], "missing option '--seam'"),
        (["new", "--seam", "image", "--directory", "there"], "there exists already"),
        (["new", "--seam", "image", "--directory", "dangling"], "dangling exists already"),
        (["new", "--seam", "image", "--directory", "none/new"], "no such file or directory (errno 2)"),
        (["new", "--seam", "image", "--directory", "file/new"], "not a directory (errno 20)"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    place: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "there").mkdir()
    (place / "dangling").symlink_to("nowhere")
    (place / "file").touch()
    before = everything(place)
    assert new(*arguments) == 125
    err = capsys.readouterr().err
    assert err.startswith("cmanager: ")
    assert said in err
    assert err.count("\n") == 1
    assert everything(place) == before
