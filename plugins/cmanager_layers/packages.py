"""What comes from outside: Debian's package client, mmdebstrap, and the host's own busybox."""

from __future__ import annotations

import glob
import io
import os
import shutil
import struct
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from cmanager.errors import CmanagerError, CorruptError, UnsupportedError

from .recipe import Debian

_PT_INTERP = 3
#: Made by whoever runs the container, or different each time they are made.
_LEFT_OUT = ("dev/", "var/cache/apt/", "var/cache/ldconfig/aux-cache", "var/lib/apt/lists/", "var/log/")

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_HOOKS = (
    # An identity is each machine's own.
    ': > "$1/etc/machine-id"; rm -f "$1/etc/hostname" "$1/etc/resolv.conf"',
    # The host may have a password for its mirror.
    r'find "$1/etc/apt" -name "*.list" -exec sed -i -E "s#://[^/@ ]*@#://#" {} +',
)


def busybox() -> tuple[bytes, list[str]]:
    """The static busybox and the paths of its commands ("bin/ls", …); from Debian's package, else the host's own.

    The package is fetched and read, not installed. Raises UnsupportedError naming what to install.
    """
    with tempfile.TemporaryDirectory(prefix="cmanager-busybox-") as directory:
        program = f"{directory}/busybox"
        content = _debian_busybox(directory) if shutil.which("apt-get") and shutil.which("dpkg-deb") else None
        if content is None:
            content = _host_busybox()
        with open(program, "wb") as file:
            file.write(content)
        os.chmod(program, 0o755)
        commands = _run([program, "--list-full"], directory).decode().split()
    return content, [path for path in commands if not path.endswith("busybox")]


@contextmanager
def bootstrap(wanted: Debian, epoch: int) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]]:
    """The entries of a new Debian root, without device nodes, logs and caches. Raises UnsupportedError."""
    program = shutil.which("mmdebstrap")
    if not program:
        raise UnsupportedError("the recipe needs mmdebstrap, install the package mmdebstrap")
    arguments = [program, f"--variant={wanted.variant}", *(f"--customize-hook={hook}" for hook in _HOOKS)]
    if wanted.include:
        arguments.append(f"--include={','.join(wanted.include)}")
    arguments += ["--", wanted.suite, "-", *_sources(wanted.suite)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment
        )
        assert process.stdout is not None, "a pipe"
        with process.stdout:
            try:
                with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                    yield _entries(tar)
                while process.stdout.read(1 << 16):
                    continue
            except tarfile.TarError as error:
                process.terminate()
                if process.wait() == 0:
                    raise CorruptError(f"mmdebstrap wrote no tar archive: {error}") from None
            except BaseException:
                process.terminate()  # it takes down what it mounted
                process.wait()
                raise
        if process.wait() != 0:
            raise _failed("mmdebstrap", errors)


def _sources(suite: str) -> list[str]:
    """The host's own apt sources of this Debian suite and its updates; empty when it has none: mmdebstrap's choice."""
    if not shutil.which("apt-get"):
        return []
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    try:
        lines = _run(command, "/").decode("utf-8", "replace").splitlines()
    except CmanagerError:
        return []
    signed = f"[signed-by={_KEYRING}] " if os.path.exists(_KEYRING) else ""
    found: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        uri, _, rest = line.partition(" ")
        release, _, component = rest.partition(" ")
        if uri.startswith(("http://", "https://")) and release in (suite, f"{suite}-updates", f"{suite}-security"):
            found.setdefault((uri, release), []).append(component)
    if suite not in {release for _, release in found}:
        return []
    return [f"deb {signed}{uri} {release} {' '.join(parts)}" for (uri, release), parts in sorted(found.items())]


def _entries(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    for member in tar:
        name = member.name.removeprefix("./")
        inside = any(name.startswith(place) and name != place.rstrip("/") for place in _LEFT_OUT)
        if inside and not (name.startswith("var/") and member.isdir()):
            continue
        yield member, tar.extractfile(member) if member.isreg() else None


def _debian_busybox(directory: str) -> bytes | None:
    tool = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root"]
    try:
        _run([*tool, "download", "busybox-static"], directory)
    except CmanagerError as first:
        # The host's package lists are empty or stale: fetch lists of our own, the host's stay as they are.
        own = ["-o", f"Dir::State::lists={directory}/lists", "-o", f"Dir::Cache={directory}/cache"]
        for place in ("lists/partial", "cache/archives/partial"):
            os.makedirs(f"{directory}/{place}")
        try:
            _run([*tool, *own, "update"], directory)
            _run([*tool, *own, "download", "busybox-static"], directory)
        except CmanagerError:
            raise first from None
    packages = glob.glob(f"{directory}/busybox-static_*.deb")
    if not packages:
        return None
    archive = _run(["dpkg-deb", "--fsys-tarfile", packages[0]], directory)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            if member.isreg() and member.name.removeprefix("./") in ("bin/busybox", "usr/bin/busybox"):
                found = tar.extractfile(member)
                assert found is not None, "a regular file"
                return found.read()
    raise CorruptError(f"{os.path.basename(packages[0])} holds no busybox")


def _host_busybox() -> bytes:
    path = shutil.which("busybox")
    if not path:
        raise UnsupportedError("the recipe needs busybox, install a statically linked one")
    with open(path, "rb") as file:
        content = file.read()
    if not _is_static(content):
        raise UnsupportedError(f"{path} is not statically linked, install a busybox that is")
    return content


def _is_static(content: bytes) -> bool:
    """Whether an ELF program asks for no interpreter (elf(5))."""
    if content[:4] != b"\x7fELF" or content[4] != 2:
        return False
    (offset,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    kinds = [struct.unpack_from("<I", content, offset + number * size)[0] for number in range(count)]
    return _PT_INTERP not in kinds


def _run(command: list[str], directory: str) -> bytes:
    with tempfile.TemporaryFile() as errors:
        try:
            done = subprocess.run(command, cwd=directory, stdout=subprocess.PIPE, stderr=errors, check=False)
        except OSError as error:
            raise CmanagerError(f"cannot run {command[0]}: {error.strerror}") from None
        if done.returncode != 0:
            raise _failed(os.path.basename(command[0]), errors)
        return done.stdout


def _failed(program: str, errors: IO[bytes]) -> CmanagerError:
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    told = [line for line in lines if line.startswith("E:")] or lines or ["it said nothing"]
    return CmanagerError(f"{program} failed: {told[0].removeprefix('E:').strip()[:300]}")
