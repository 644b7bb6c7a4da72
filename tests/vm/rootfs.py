"""The root file system of the virtual machine: Debian 12 with its own kernel, made once for each recipe and kept.

The recipe is everything in this file, `init`, and the packages that pyproject.toml asks for.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent
_SUITE, _PYTHON = "bookworm", "3.11"
_PACKAGES = """
    linux-image-cloud-amd64 iproute2 kmod libseccomp2 mount nftables procps python3 python3-venv skopeo umoci util-linux
    crun lxc runc systemd-container
""".split()
_LEFT_OUT = "doc info locale man".split()
_SIZE = "6G"  # sparse
#: Each program that is needed here, and Debian's package of it.
_PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs"}


class Failed(Exception):
    """The machine could not be made or did not do its work; the text is for the user."""


def made() -> Path:
    """A directory with `root.ext4`, `vmlinuz` and `initrd`, from the cache or new; never to be written to.

    Raises Failed.
    """
    if platform.machine() != "x86_64":
        raise Failed(f"the virtual machine is an x86-64 one, this host is {platform.machine()}")
    _need_programs()
    recipe = [Path(__file__).read_text(), (Path(__file__).parent / "init").read_text(), *_requirements()]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cmanager-vm"
    here = cache / hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:16]
    if not here.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="new-", dir=cache) as work:
            _build(Path(work) / "tree", Path(work) / "made")
            for old in cache.glob("[0-9a-f]" * 16):
                shutil.rmtree(old)
            (Path(work) / "made").rename(here)
    return here


def disk(tree: Path, path: Path, size: str) -> None:
    """A sparse ext4 image at `path` with the files of `tree`; without a journal, as nobody reads it after a crash."""
    run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", str(tree), str(path), size)


def run(*command: str) -> str:
    """The command's output; Failed with its last words where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT)
    if done.returncode != 0:
        words = "\n".join((done.stderr or done.stdout).splitlines()[-10:])
        raise Failed(f"{command[0]} ended with {done.returncode}: {words}")
    return done.stdout


def _build(tree: Path, made: Path) -> None:
    if os.geteuid() != 0:
        raise Failed("making the root file system of the virtual machine needs root: run it once with sudo")
    less = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    options = ["--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(_PACKAGES)}", *less]
    run("mmdebstrap", *options, _SUITE, str(tree))
    site = f"usr/local/lib/python{_PYTHON}/dist-packages"
    wheels = ["--python-version", _PYTHON, "--only-binary", ":all:"]
    wheels += [f"--platform=manylinux_{tag}_x86_64" for tag in ("2_34", "2_28", "2_17")]
    run(sys.executable, "-m", "pip", "install", "--quiet", "--target", str(tree / site), *wheels, *_requirements())
    run("chroot", str(tree), "python3", "-m", "compileall", "-q", f"/{site}")
    shutil.copy(Path(__file__).parent / "init", tree / "init")
    (tree / "init").chmod(0o755)
    made.mkdir()
    for name, found in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        shutil.move(next((tree / "boot").glob(found)), made / name)
    disk(tree, made / "root.ext4", _SIZE)


def _requirements() -> list[str]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["test"]]


def _need_programs() -> None:
    packages = [package for program, package in _PROGRAMS.items() if not shutil.which(program)]
    if not packages:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Failed(f"the virtual machine needs {' '.join(packages)}, install them")
    run("apt-get", "-qq", "update")
    run("apt-get", "-qq", "-y", "install", "--no-install-recommends", *packages)
