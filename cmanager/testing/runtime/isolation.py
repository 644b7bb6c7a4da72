"""Namespaces, the cgroup, kernel parameters and hooks."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ...linux import cgroups, netns, syscalls, userns
from .base import Base
from .box import Box
from .supervisor import supervised, until

_KINDS = ("mount", "pid", "ipc", "uts", "cgroup", "network", "time")


@supervised
class IsolationSuite(Base):
    """What `linux.namespaces`, `cgroupsPath`, `sysctl` and `hooks` ask."""

    @pytest.mark.parametrize("kind", _KINDS)
    def test_a_new_namespace(self, box: Box, kind: str) -> None:
        box.needs_namespaces(kind)
        assert _inside(box, kind, box.namespaces({"type": kind})) != _here(kind)

    @pytest.mark.parametrize("kind", [kind for kind in _KINDS if kind != "mount"])
    def test_a_namespace_that_is_not_asked_for_is_the_supervisors(self, box: Box, kind: str) -> None:
        assert _inside(box, kind, box.namespaces(without=(kind,))) == _here(kind)

    @pytest.mark.parametrize("kind", [kind for kind in _KINDS if kind != "mount"])
    def test_a_namespace_is_joined_by_its_path(self, box: Box, kind: str) -> None:
        """Here another container's, as with `--pid container:NAME`."""
        box.needs_joining(kind)
        other = box.another()
        other.begin("sh", "-c", "echo ready; read line", linux={"namespaces": other.namespaces({"type": kind})})
        other.line()
        file = syscalls.NAMESPACES[kind][1]
        path = f"/proc/{other.pid}/ns/{file}"
        theirs = os.readlink(path)
        assert theirs != _here(kind)
        assert _inside(box, kind, box.namespaces({"type": kind, "path": path})) == theirs
        other.finish(b"go\n")
        other.delete()

    def test_the_network_is_the_pinned_one_and_stays(self, box: Box, tmp_path: Path) -> None:
        box.needs("network")
        path = str(tmp_path / "netns")
        netns.pin(path)
        with netns.entered(path):
            theirs = os.readlink("/proc/thread-self/ns/net")
        given = box.namespaces({"type": "network", "path": path})
        assert _inside(box, "network", given) == theirs
        with netns.entered(path):
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
        netns.unpin(path)

    def test_a_namespace_path_that_leads_nowhere_is_an_error(self, box: Box, tmp_path: Path) -> None:
        box.needs("network")
        (tmp_path / "file").touch()
        # In the core's cgroup, which the core removes: crun 1.8 leaves one of its own when a start fails.
        with _cgroup(box.id) as (cgroup, _):
            for path in (tmp_path / "missing", tmp_path / "file", Path("/proc/self/ns/uts")):
                given = box.namespaces({"type": "network", "path": str(path)})
                linux = {"namespaces": given, "cgroupsPath": cgroup}
                box.refused(box.config("touch", "/ran", linux=linux), at_start=True)
        assert not (box.root / "ran").exists()

    def test_the_first_process_of_a_pid_namespace_sees_its_own_alone(self, box: Box) -> None:
        box.needs_namespaces("pid")
        own, first, *_ = box.sh("echo $$; ls -d /proc/[0-9]*").split()
        assert (own in ("1", "2"), first) == (True, "/proc/1"), "the second, where the runtime has an init of its own"

    def test_the_host_name(self, box: Box) -> None:
        box.needs_namespaces("uts")
        before = os.uname().nodename
        assert box.run("hostname", hostname="box.example").text == "box.example"
        assert os.uname().nodename == before

    def test_a_host_name_without_a_namespace_for_it_is_refused(self, box: Box) -> None:
        before = os.uname().nodename
        shared = {"namespaces": box.namespaces(without=("uts",))}
        box.refused(box.config("hostname", hostname="box.example", linux=shared))
        assert os.uname().nodename == before

    def test_ids_are_mapped_in_a_user_namespace(self, box: Box) -> None:
        box.needs("userns")
        box.needs_namespaces("user")
        if not userns.available():
            pytest.skip("no user namespace can be made here")
        mapping = [{"containerID": 0, "hostID": 100_000, "size": 65536}]
        linux = {"namespaces": box.namespaces({"type": "user"}), "uidMappings": mapping, "gidMappings": mapping}
        shown = box.sh("id -u; cat /proc/self/uid_map /proc/self/gid_map; stat -c %u /dev", linux=linux)
        assert shown.split() == ["0", *["0", "100000", "65536"] * 2, "0"]

    def test_it_is_in_its_cgroup_before_it_runs(self, box: Box) -> None:
        with _cgroup(box.id) as (path, directories):
            shared = box.namespaces(without=("cgroup",))
            shown = box.sh("cat /proc/self/cgroup", linux={"namespaces": shared, "cgroupsPath": path})
            # It may have added itself to hierarchies that the core left out, and cgroups of its own below the core's.
            found = [f"{line.split(':', 2)[2]}/" for line in shown.splitlines()]
            assert sum(line.startswith(f"{path}/") for line in found) >= len(directories)

    def test_a_cgroup_namespace_begins_at_its_cgroup(self, box: Box) -> None:
        box.needs_namespaces("cgroup")
        with _cgroup(box.id) as (path, directories):
            own = {"namespaces": box.namespaces({"type": "cgroup"}), "cgroupsPath": path}
            shown = box.sh("cat /proc/self/cgroup", linux=own).splitlines()
            assert sum(line.endswith(":/") for line in shown) >= len(directories)
            assert path not in "".join(shown)

    def test_kernel_parameters_of_its_own_ipc_namespace(self, box: Box) -> None:
        box.needs("sysctl")
        box.needs_namespaces("ipc")
        before = Path("/proc/sys/kernel/msgmax").read_text()
        shown = box.sh("cat /proc/sys/kernel/msgmax", linux={"sysctl": {"kernel.msgmax": "4321"}})
        assert shown == "4321"
        assert Path("/proc/sys/kernel/msgmax").read_text() == before

    def test_kernel_parameters_of_its_own_network_namespace(self, box: Box) -> None:
        box.needs("sysctl")
        box.needs_namespaces("network")
        linux = {"namespaces": box.namespaces({"type": "network"}), "sysctl": {"net.ipv4.ip_default_ttl": "77"}}
        assert box.sh("cat /proc/sys/net/ipv4/ip_default_ttl", linux=linux) == "77"

    def test_a_kernel_parameter_that_there_is_not_is_an_error(self, box: Box) -> None:
        box.needs("sysctl")
        linux = {"sysctl": {"kernel.no_such_parameter": "1"}}
        box.refused(box.config("touch", "/ran", linux=linux), at_start=True)
        assert not (box.root / "ran").exists()

    def test_hooks_run_in_their_order_and_hear_of_the_state(self, box: Box, tmp_path: Path) -> None:
        box.needs("hooks")
        kinds = ("createRuntime", "poststop")
        box.create(box.config("cat", hooks=_noting(tmp_path, *kinds)))
        pid = box.pid
        assert (tmp_path / "order").read_text() == "createRuntime\n"
        box.start()
        box.finish()
        box.delete()
        assert (tmp_path / "order").read_text() == "createRuntime\npoststop\n"
        states = {kind: json.loads((tmp_path / kind).read_text()) for kind in kinds}
        assert {state["id"] for state in states.values()} == {box.id}
        assert {state["bundle"] for state in states.values()} == {str(box.directory)}
        assert states["createRuntime"]["status"] in ("creating", "created")
        assert states["createRuntime"]["pid"] == pid

    def test_a_hook_finds_the_container_in_its_cgroup(self, box: Box, tmp_path: Path) -> None:
        """What gives it devices or bounds looks there."""
        box.needs("hooks")
        seen = tmp_path / "seen"
        look = f"""cat /proc/$(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/')/cgroup > {seen}"""
        with _cgroup(box.id) as (path, directories):
            box.run("true", linux={"cgroupsPath": path}, hooks={"createRuntime": [_hook(look)]})
            assert seen.read_text().count(path) >= len(directories)

    def test_a_poststart_hook_runs_when_the_program_does(self, box: Box, tmp_path: Path) -> None:
        box.needs("poststart")
        box.create(box.config("cat", hooks=_noting(tmp_path, "poststart")))
        assert not (tmp_path / "order").exists()
        box.start()
        assert (tmp_path / "order").read_text() == "poststart\n"
        state = json.loads((tmp_path / "poststart").read_text())
        assert (state["status"], state["pid"]) == ("running", box.pid)
        box.finish()
        box.delete()

    def test_a_hook_that_fails_before_the_program_fails_the_container(self, box: Box) -> None:
        box.needs("hooks")
        hooks = {"createRuntime": [_hook("exit 3")]}
        box.refused(box.config("touch", "/ran", hooks=hooks), at_start=True)
        assert not (box.root / "ran").exists()

    def test_a_hook_that_takes_too_long_is_ended(self, box: Box) -> None:
        box.needs("hooks")
        hooks = {"createRuntime": [_hook("exec sleep 60") | {"timeout": 1}]}
        box.refused(box.config("touch", "/ran", hooks=hooks), at_start=True)


def _noting(directory: Path, *kinds: str) -> dict[str, Any]:
    """Hooks that write down in which order they come, and the state that they get."""
    return {kind: [_hook(f"echo {kind} >>{directory}/order; cat >{directory}/{kind}")] for kind in kinds}


def _hook(script: str) -> dict[str, Any]:
    """A program of the host."""
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}


def _here(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{syscalls.NAMESPACES[kind][1]}")


def _inside(box: Box, kind: str, namespaces: list[dict[str, str]]) -> str:
    """The namespace that a program finds itself in."""
    file = syscalls.NAMESPACES[kind][1]
    return box.run("readlink", f"/proc/self/ns/{file}", linux={"namespaces": namespaces}).text


@contextmanager
def _cgroup(id: str) -> Iterator[tuple[str, list[str]]]:
    """A cgroup in every hierarchy where an empty one takes processes, as a path and its directories."""
    path = f"/cmanager-suite-{id[:12]}"
    made = []
    try:
        for hierarchy in cgroups.hierarchies():
            # A cpuset of cgroup v1 takes nobody before it has processors and memory (cpuset(7)).
            if not (hierarchy.version == 1 and "cpuset" in hierarchy.controllers):
                os.mkdir(hierarchy.path(path))
                made.append(hierarchy.path(path))
        if not made:
            pytest.skip("no cgroup hierarchy is mounted here")
        yield path, made
    finally:
        for directory in made:
            until(lambda directory=directory: _removed(directory), f"{directory} is empty")  # type: ignore[misc]


def _removed(directory: str) -> bool:
    with suppress(OSError):
        os.rmdir(directory)
    return not os.path.exists(directory)
