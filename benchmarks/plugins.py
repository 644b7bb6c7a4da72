"""What plugins in processes of their own cost: broken ones to the commands of others, and isolation to a run.

Usage, as root: .venv/bin/python benchmarks/plugins.py [ROUNDS]. The same commands in turns under three configurations:
the shipped one; beside plugins that hang, crash, and do not load; and with every provider in a process of its own.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from run_true import _ours, _prepare, measure

from cmanager.plugins import load_config

BROKEN = {
    "hangs": "import time; time.sleep(1000)",
    "crashes": "import os; os.kill(os.getpid(), 11)",
    "lacks": "import no_such_module",
}
COMMANDS = {
    "ps": ["ps"],
    "volume ls": ["volume", "ls"],
    "images": ["images"],
    "run, no network": ["run", "--rm", "--network", "none", "busybox", "true"],
    "run, bridge": ["run", "--rm", "busybox", "true"],
}


def main() -> int:
    """Measure and print medians, and what they are above those of the shipped configuration."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory(prefix="cmanager-bench-") as directory:
        work = Path(directory)
        configurations = {"shipped": [], "broken ones": _broken(work), "isolated": _isolated(work)}
        _prepare(work)
        base, *rest = _ours(work)
        commands = {
            f"{name}, {which}": ["env", f"PYTHONPATH={work}/site", base, *options, *rest, *arguments]
            for name, arguments in COMMANDS.items()
            for which, options in configurations.items()
        }
        times = {name: statistics.median(values) * 1000 for name, values in measure(commands, rounds).items()}
    print(f"{'median ms':16}" + "".join(f"{which:>20}" for which in configurations))
    for name in COMMANDS:
        plain = times[f"{name}, shipped"]
        cells = (times[f"{name}, {which}"] for which in configurations)
        print(f"{name:16}" + "".join(f"{ms:12.1f} {ms - plain:+7.1f}" for ms in cells))
    return 0


def _broken(work: Path) -> list[str]:
    lines = ["[plugins]"]
    for name, source in BROKEN.items():
        package = work / "site" / f"broken_{name}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(source)
        lines += [f'{seam}.{name} = "broken_{name} [api1]"' for seam in ("runtime", "network", "storage", "hooks")]
    return ["--config", _written(work / "broken.toml", lines)]


def _isolated(work: Path) -> list[str]:
    keys = [key for key in load_config().plugins if "*" not in key]
    return ["--config", _written(work / "isolated.toml", [f'[plugins.{key}]\nisolation = "process"' for key in keys])]


def _written(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join((*lines, "")))
    os.chmod(path, 0o600)
    return str(path)


if __name__ == "__main__":
    sys.exit(main())
