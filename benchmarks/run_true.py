"""`run --rm busybox true`, side by side: cmanager, podman, docker and bare `runc run`, in turns; medians and ratios.

Usage, as root: .venv/bin/python benchmarks/run_true.py [ROUNDS]. Peers that are not installed are named and left out. A
dockerd that this starts is ended by it; everything lives below a temporary directory and in a network namespace.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cmanager.linux import syscalls

CMANAGER = Path(sys.executable).parent / "cmanager"
ULIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
WARM_UP = 2


def main() -> int:
    """Measure and print; 0 when every peer that took part ran its container."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cmanager-bench-")))
        _prepare(work)
        commands: dict[str, list[str]] = {}
        for name, contestant in (("cmanager", cmanager), ("podman", podman), ("docker", docker), ("runc run", runc)):
            try:
                commands |= {f"{name}{k}": v for k, v in stack.enter_context(contestant(work)).items()}
            except (FileNotFoundError, subprocess.CalledProcessError) as error:
                print(f"{name}: left out: {error}")
        times = measure(commands, rounds)
    report(times)
    return 0


def measure(commands: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each command, one of each in every round, so that a slow moment of the machine meets them all."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(WARM_UP + rounds):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
            if number >= WARM_UP:
                times[name].append(time.perf_counter() - began)
    return times


def report(times: dict[str, list[float]]) -> None:
    """A table of medians, with the ratio to cmanager with its bridge network."""
    ours = statistics.median(times["cmanager, bridge"])
    print(f"{'':32} {'median ms':>10} {'min':>8} {'max':>8} {'to cmanager':>12}")
    for name, values in times.items():
        median = statistics.median(values)
        low, high = min(values) * 1000, max(values) * 1000
        print(f"{name:32} {median * 1000:10.1f} {low:8.1f} {high:8.1f} {median / ours:12.2f}")


@contextmanager
def cmanager(work: Path) -> Iterator[dict[str, list[str]]]:
    """The installed command on state directories of its own, with each runtime that works here."""
    run = [*_ours(work), "run", "--rm", "--runtime"]
    table = json.loads(subprocess.run([*_ours(work), "info", "-f", "json"], check=True, capture_output=True).stdout)
    commands = {
        ", bridge": [*run, "native", "busybox", "true"],
        ", no network": [*run, "native", "--network", "none", "busybox", "true"],
    }
    for name, found in table["Runtimes"].items():
        if name != "native" and not found["Error"]:
            network = ["--network", "none"] if "network" in found["Options"] else []
            commands[f" by {name}, no network"] = [*run, name, *network, "busybox", "true"]
    yield commands


@contextmanager
def podman(work: Path) -> Iterator[dict[str, list[str]]]:
    """podman with runc and a storage of its own."""
    program = _which("podman")
    base = [program, "--root", str(work / "podman"), "--runroot", str(work / "podman-run"), "--runtime", "runc"]
    subprocess.run([*base, "import", str(_tarball(work)), "busybox"], check=True, capture_output=True)
    run = [*base, "run", "--rm", *ULIMITS]
    try:
        yield {
            ", bridge": [*run, "busybox", "/bin/true"],
            ", no network": [*run, "--network", "none", "busybox", "/bin/true"],
        }
    finally:
        subprocess.run([*base, "system", "reset", "--force"], check=False, capture_output=True)


@contextmanager
def docker(work: Path) -> Iterator[dict[str, list[str]]]:
    """docker with a daemon of its own."""
    program, daemon = _which("docker"), _which("dockerd")
    socket = f"unix://{work}/docker.sock"
    flags = ["--host", socket, "--data-root", str(work / "docker"), "--exec-root", str(work / "docker-run")]
    flags += ["--pidfile", str(work / "docker.pid"), "--default-ulimit", "nofile=1024:1024"]
    with open(work / "dockerd.log", "wb") as log:
        process = subprocess.Popen([daemon, *flags], stdout=log, stderr=log)
    base = [program, "--host", socket]
    try:
        _wait(lambda: subprocess.run([*base, "version"], capture_output=True, check=False).returncode == 0)
        subprocess.run([*base, "import", str(_tarball(work)), "busybox"], check=True, capture_output=True)
        run = [*base, "run", "--rm"]
        yield {
            ", bridge": [*run, "busybox", "/bin/true"],
            ", no network": [*run, "--network", "none", "busybox", "/bin/true"],
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def runc(work: Path) -> Iterator[dict[str, list[str]]]:
    """`runc run` on an unpacked root: no image, no network, no log; the floor that the others build on."""
    program = _which("runc")
    bundle = work / "bundle"
    (bundle / "rootfs").mkdir(parents=True)
    subprocess.run(["tar", "-xf", str(_tarball(work)), "-C", str(bundle / "rootfs")], check=True)
    subprocess.run([program, "spec"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": ["/bin/true"], "rlimits": []}
    (bundle / "config.json").write_text(json.dumps(config))
    yield {"": [program, "--root", str(work / "runc"), "run", "--bundle", str(bundle), f"bench-{os.getpid()}"]}


def _ours(work: Path) -> list[str]:
    return [str(CMANAGER), "--root", str(work / "root"), "--run-root", str(work / "run")]


def _prepare(work: Path) -> None:
    """Build and pull the image, then leave the machine's network: every bridge and rule is made in one of our own."""
    cold = {**os.environ, "CMANAGER_WARM": "0"}  # a command server begun here would serve nobody in that network
    for arguments in (["registry", "build", "busybox"], ["pull", "-q", "busybox"]):
        subprocess.run([*_ours(work), *arguments], check=True, capture_output=True, env=cold)
    syscalls.unshare(syscalls.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _tarball(work: Path) -> Path:
    """The root file system of our busybox image as one tarball."""
    tarball = work / "busybox.tar"
    if not tarball.exists():
        root = work / "unpacked"
        root.mkdir()
        blobs = work / "root/image/layers/blobs/sha256"
        described = subprocess.run([*_ours(work), "inspect", "busybox"], check=True, capture_output=True).stdout
        digest = json.loads(described)[0]["RepoDigests"][0].rpartition(":")[2]
        for layer in json.loads((blobs / digest).read_text())["layers"]:
            subprocess.run(["tar", "-xzf", str(blobs / layer["digest"].partition(":")[2]), "-C", str(root)], check=True)
        subprocess.run(["tar", "-cf", str(tarball), "-C", str(root), "."], check=True)
    return tarball


def _which(name: str) -> str:
    path = shutil.which(name)
    if not path:
        raise FileNotFoundError(f"{name} is not installed")
    return path


def _wait(true: Callable[[], bool]) -> None:
    for _ in range(300):
        if true():
            return
        time.sleep(0.1)
    raise subprocess.CalledProcessError(1, "wait for dockerd")


if __name__ == "__main__":
    sys.exit(main())
