"""Imports point one way, and commands load only what they need."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
#: From left to right; an import may skip rooms to the right, never go left.
ROOMS = ("cli", "warm", "engine", "supervisor", "oci", "plugins", "hookspecs", "seams", "model", "linux", "errors")
#: Rooms beside the row, with what they may import; the kit finds a provider by the loader, as cmanager does.
BESIDE = {"state": {"model", "linux", "errors"}, "testing": {"plugins", "seams", "model", "linux", "errors"}}
#: What `plugin new` writes: code of a third party.
TEMPLATES = CHECKOUT / "cmanager/cli/templates"
AUTHOR_API = {"hookimpl", "seams", "model", "linux", "errors", "testing"}


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Absolute names of what a file imports of cmanager, with the line."""
    package = list(path.relative_to(CHECKOUT).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = ".".join(package[: -node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            if module == "cmanager":
                yield from ((f"cmanager.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield module, node.lineno
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if parts[0] == "cmanager" and len(parts) > 1 else ""


def allowed(source: str) -> set[str]:
    if source in BESIDE:
        return BESIDE[source] | {source}
    right = set(ROOMS[ROOMS.index(source) :])
    # Records are kept by whoever is left of the model.
    return right | ({"state"} if ROOMS.index(source) < ROOMS.index("model") else set())


def test_the_core_imports_to_the_right_only() -> None:
    wrong = []
    for path in sorted((CHECKOUT / "cmanager").rglob("*.py")):
        source = path.relative_to(CHECKOUT / "cmanager").parts[0].removesuffix(".py")
        if source in ("__init__", "__main__", "_shipped") or TEMPLATES in path.parents:
            continue
        for module, line in imports(path):
            target = room(module)
            if target and target != "__version__" and target not in allowed(source):
                wrong.append(f"{path.relative_to(CHECKOUT)}:{line} imports {module}")
    assert wrong == []


def test_plugins_import_the_author_api_only() -> None:
    wrong = []
    for path in sorted((*(CHECKOUT / "plugins").rglob("*.py"), *TEMPLATES.rglob("*.py"))):
        own = path.relative_to(TEMPLATES if TEMPLATES in path.parents else CHECKOUT / "plugins").parts[0]
        own = "cmanager_mine" if TEMPLATES in path.parents else own
        for module, line in imports(path):
            other = module.split(".")[0]
            if room(module) not in AUTHOR_API | {""} or (other.startswith("cmanager_") and other != own):
                wrong.append(f"{path.relative_to(CHECKOUT)}:{line} imports {module}")
    assert wrong == []


def test_the_core_names_no_plugin() -> None:
    names = [path.name for path in (CHECKOUT / "plugins").iterdir() if path.is_dir()]
    for path in (CHECKOUT / "cmanager").rglob("*.py"):
        text = path.read_text()
        assert not any(name in text for name in names), path


_HEAVY = ("rich", "subprocess", "pyseccomp", "prometheus_client", "difflib", "glob")
#: What a list of containers does without.
_STARTING = ("cmanager.oci", "cmanager.supervisor.steps", "hashlib", "ipaddress", "pluggy", "random", "socket")
_EXPLAIN = ["explain", "run", "--rm", "--network", "none", "busybox", "true"]


@pytest.mark.parametrize(
    ("arguments", "budget", "never"),
    [
        (["--help"], 115, ("attrs", "pluggy", "tomli", *_HEAVY)),
        (["run", "--help"], 125, ("attrs", "pluggy", "tomli", *_HEAVY)),
        (["version"], 235, ("pluggy._manager", "cmanager.engine", *_HEAVY)),
        pytest.param(["ps"], 205, ("cmanager.seams", *_STARTING, *_HEAVY), marks=pytest.mark.root),
        pytest.param(["images"], 240, ("cmanager_native", "cmanager_bridge", *_HEAVY), marks=pytest.mark.root),
        pytest.param(["stats", "--no-stream"], 215, (*_STARTING, *_HEAVY), marks=pytest.mark.root),
        pytest.param(
            _EXPLAIN, 325, ("cmanager.linux.layers.unpacking", "random", "tempfile", *_HEAVY), marks=pytest.mark.root
        ),
        pytest.param(["volume", "ls"], 260, ("cmanager_native", "cmanager_layers", *_HEAVY), marks=pytest.mark.root),
    ],
)
def test_modules_loaded(arguments: list[str], budget: int, never: tuple[str, ...], tmp_path: Path) -> None:
    code = f"""
import sys
from cmanager.cli.main import run
run({arguments!r})
print(len(sys.modules), *sys.modules, file=sys.stderr)
"""
    places = {"CMANAGER_ROOT": f"{tmp_path}/root", "CMANAGER_RUN_ROOT": f"{tmp_path}/run"}
    environment = {"PYTHONPATH": f"{CHECKOUT}:{CHECKOUT}/plugins", **places}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    count, *modules = done.stderr.split()
    assert not set(never) & set(modules)
    assert int(count) <= budget
