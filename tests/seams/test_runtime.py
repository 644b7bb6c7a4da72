"""The runtime seam: the suite over every runtime, and over a small one that can do little."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import NoReturn

import pytest

from cmanager.errors import CmanagerError, UnsupportedError
from cmanager.linux import cgroups
from cmanager.testing.runtime import Box, RuntimeSuite, supervised
from cmanager.testing.runtime.box import traces
from cmanager.testing.suite import find
from cmanager_native import plan, runtime

from ..e2e.conftest import registry

__all__ = ["busybox", "registry"]


@pytest.fixture(scope="session")
def busybox(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in the first layer of the busybox image."""
    place = tmp_path_factory.mktemp("busybox")
    layout = registry / "busybox"
    document = json.loads((layout / "index.json").read_text())["manifests"][0]
    while "layers" not in document:
        document = json.loads(_blob(layout, document["digest"]).read_text())
        document = document if "layers" in document else document["manifests"][0]
    with tarfile.open(_blob(layout, document["layers"][0]["digest"])) as tar:
        member = next(m for m in tar if m.isreg() and m.name.endswith("/busybox"))
        content = tar.extractfile(member)
        assert content is not None, "a regular file"
        (place / "busybox").write_bytes(content.read())
        (place / "busybox").chmod(0o755)
    return place / "busybox"


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


class OnBusybox(RuntimeSuite):
    """With the image's busybox; named so that pytest does not collect it."""

    @pytest.fixture
    def busybox(self, busybox: Path) -> Path:
        return busybox


@supervised
class TestNative(OnBusybox):
    provider = "native"

    def test_its_first_process_is_born_in_its_cgroup_of_v2(self, box: Box) -> None:
        hierarchies = cgroups.hierarchies()
        top = next((h for h in hierarchies if h.version == 2), None)
        if top is None:
            pytest.skip("no cgroup v2 is mounted here")
        name = f"/cmanager-born-{os.getpid()}"
        os.mkdir(top.path(name))
        try:
            box.write(box.config("true", linux={"cgroupsPath": name}))
            planned = plan.read(str(box.directory), box.features, lambda policy: b"")
            cgroup = cgroups.open_unified(name, hierarchies)
            hear, tell = os.pipe()

            def born() -> NoReturn:
                os.close(tell)
                os.read(hear, 1)  # until it was looked at
                os._exit(0)

            pid = runtime._spawn(planned, cgroup, born)
            assert cgroups.unified(pid) == name
            for fd in (cgroup, hear, tell):
                os.close(fd)
            os.waitpid(pid, 0)
        finally:
            os.rmdir(top.path(name))


class TestRunc(OnBusybox):
    provider = "runc"


class TestCrun(OnBusybox):
    provider = "crun"


@supervised
class TestLxc(OnBusybox):
    provider = "lxc"

    def test_its_init_does_not_wait_for_orphans(self, box: Box) -> None:
        box.begin("sh", "-c", "sleep 60 & exit 3")
        assert box.wait() == 3
        box.delete()

    def test_the_hosts_cgroup_namespace_beside_one_that_it_joins_is_refused(self, box: Box) -> None:
        joined = box.namespaces({"type": "uts", "path": "/proc/self/ns/uts"}, without=("cgroup",))
        box.refused(box.config("touch", "/ran", linux={"namespaces": joined}), UnsupportedError)

    def test_it_leaves_no_lock_and_no_cgroup(self, box: Box, tmp_path: Path) -> None:
        assert box.run("true").code == 0
        assert not Path(f"/run/lxc/lock{tmp_path}").exists()
        tops = [Path(hierarchy.mountpoint) for hierarchy in cgroups.hierarchies()]
        assert [found for top in tops for found in top.glob("lxc*")] == []


class TestChroot(OnBusybox):
    provider = "chroot"


@supervised
class TestNspawn(OnBusybox):
    provider = "nspawn"

    def test_what_it_says_when_it_fails_is_in_the_error(self, box: Box, tmp_path: Path) -> None:
        program = tmp_path / "nspawn"
        program.write_text("#!/bin/sh\n[ $1 = --version ] && echo 'systemd 252' && exit\necho why not >&2; exit 9\n")
        program.chmod(0o755)
        box.runtime = find("runtime", "nspawn", {"path": str(program)}, tmp_path / "other")
        before = traces()
        with pytest.raises(CmanagerError, match="ended with 9 before the program ran: why not"):
            box.begin("true")
        box.delete()
        assert traces()["descriptors"] == before["descriptors"]
