"""What cannot be done is refused by `create`, before anything is made, in one line that a person understands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ...errors import HostError, InvalidError, NotFoundError, UnsupportedError
from ...linux import syscalls
from .base import Base
from .box import Box
from .supervisor import supervised

#: What asks for an option, by the option.
_ASKING: tuple[tuple[str, dict[str, Any]], ...] = (
    ("seccomp", {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}}),
    ("capabilities", {"process": {"capabilities": {"bounding": ["CAP_KILL"]}}}),
    ("no_new_privileges", {"process": {"noNewPrivileges": True}}),
    ("rlimits", {"process": {"rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]}}),
    ("sysctl", {"linux": {"sysctl": {"kernel.msgmax": "4321"}}}),
    ("masked_paths", {"linux": {"maskedPaths": ["/data"]}}),
    ("masked_paths", {"linux": {"readonlyPaths": ["/data"]}}),
    ("devices", {"linux": {"devices": [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5}]}}),
    ("hooks", {"hooks": {"createRuntime": [{"path": "/bin/true"}]}}),
    ("poststart", {"hooks": {"poststart": [{"path": "/bin/true"}]}}),
    ("user", {"process": {"user": {"uid": 1000, "gid": 1000}}}),
    ("umask", {"process": {"user": {"umask": 0o027}}}),
    ("terminal", {"process": {"terminal": True}}),
    ("init", {"annotations": {"dev.cmanager.init": "true"}}),
)

#: Documents that are no configuration, each with what is wrong with it.
_MALFORMED: dict[str, Any] = {
    "not json": b"{",
    "not text": b"\xff\xfe\x00",
    "too deep": b"[" * 100_000,
    "a list": [],
    "a number": 7,
    "null": None,
    "empty": {},
}
#: The same as a change to a good one.
_WRONG: dict[str, dict[str, Any]] = {
    "process is null": {"process": None},
    "process is a list": {"process": []},
    "no arguments": {"process": {"args": []}},
    "arguments in one string": {"process": {"args": "touch /ran"}},
    "an argument that is a number": {"process": {"args": ["touch", 1]}},
    "an argument with a null byte": {"process": {"args": ["touch", "/r\0an"]}},
    "an argument that is no text": {"process": {"args": ["touch", "\ud800"]}},
    "a variable that is a number": {"process": {"env": [1]}},
    "a variable with a null byte": {"process": {"env": ["A=\0"]}},
    "a working directory that is a list": {"process": {"cwd": []}},
    "a relative working directory": {"process": {"cwd": "data"}},
    "a user that is text": {"process": {"user": {"uid": "root"}}},
    "a negative user": {"process": {"user": {"uid": -1}}},
    "a user beyond 32 bits": {"process": {"user": {"uid": 1 << 40}}},
    "groups that are one number": {"process": {"user": {"additionalGids": 5}}},
    "an umask that is text": {"process": {"user": {"umask": "022"}}},
    "root is text": {"root": "rootfs"},
    "a root path that is a number": {"root": {"path": 5}},
    "mounts are an object": {"mounts": {"destination": "/mnt"}},
    "linux is a list": {"linux": []},
    "namespaces are an object": {"linux": {"namespaces": {"type": "pid"}}},
    "a namespace without type": {"linux": {"namespaces": [{}]}},
    "a host name that is a number": {"hostname": 5},
    "a cgroup that is a list": {"linux": {"cgroupsPath": []}},
    "annotations are a list": {"annotations": []},
}
#: Where the runtime looks at these at all.
_WRONG_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "an unknown capability": ("capabilities", {"process": {"capabilities": {"bounding": ["CAP_NO_SUCH"]}}}),
    "capabilities are a list": ("capabilities", {"process": {"capabilities": ["CAP_KILL"]}}),
    "an unknown resource limit": ("rlimits", {"process": {"rlimits": [{"type": "RLIMIT_X", "soft": 0, "hard": 0}]}}),
    "a limit that is text": ("rlimits", {"process": {"rlimits": [{"type": "RLIMIT_CORE", "soft": "0", "hard": 0}]}}),
    "a filter without default action": ("seccomp", {"linux": {"seccomp": {"syscalls": []}}}),
    "a filter with an unknown action": ("seccomp", {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_NO_SUCH"}}}),
    "a filter rule without names": (
        "seccomp",
        {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_KILL"}]}}},
    ),
    "a kernel parameter that is a list": ("sysctl", {"linux": {"sysctl": {"kernel.msgmax": []}}}),
    "masked paths are text": ("masked_paths", {"linux": {"maskedPaths": "/data"}}),
    "a device of no kind": ("devices", {"linux": {"devices": [{"path": "/dev/mine", "type": "x"}]}}),
    "a hook without path": ("hooks", {"hooks": {"createRuntime": [{}]}}),
    "an unknown kind of hook": ("hooks", {"hooks": {"beforeAll": [{"path": "/bin/true"}]}}),
    "a user namespace without maps": ("userns", {"linux": {"namespaces": [{"type": "mount"}, {"type": "user"}]}}),
}


@supervised
class RefusalSuite(Base):
    """`UnsupportedError` for what it cannot do, `InvalidError` for what makes no sense."""

    def test_every_option_it_does_not_announce_is_refused(self, box: Box) -> None:
        for option, asking in _ASKING:
            if option not in box.features.options:
                box.refused(box.config("touch", "/ran", **asking), UnsupportedError)
        assert not (box.root / "ran").exists()

    def test_every_namespace_it_does_not_announce_is_refused(self, box: Box) -> None:
        for kind in syscalls.NAMESPACES:
            if kind not in box.features.namespaces:
                given: dict[str, Any] = {"namespaces": box.namespaces({"type": kind})}
                if kind == "user":
                    maps = [{"containerID": 0, "hostID": 100_000, "size": 65536}]
                    given |= {"uidMappings": maps, "gidMappings": maps}
                box.refused(box.config("touch", "/ran", linux=given), UnsupportedError)
        assert not (box.root / "ran").exists()

    def test_an_unknown_kind_of_namespace_is_refused(self, box: Box) -> None:
        given = {"namespaces": box.namespaces({"type": "dream"})}
        box.refused(box.config("touch", "/ran", linux=given), UnsupportedError)

    def test_an_unknown_file_system_is_an_error(self, box: Box) -> None:
        entry = {"type": "nosuchfs", "source": "none", "destination": "/mnt", "options": []}
        box.refused(box.config("touch", "/ran", mounts=[entry]), at_start=True)
        assert not (box.root / "ran").exists()

    @pytest.mark.parametrize("wrong", _MALFORMED)
    def test_a_document_that_is_no_configuration(self, box: Box, wrong: str) -> None:
        box.refused(_MALFORMED[wrong], InvalidError)

    @pytest.mark.parametrize("wrong", _WRONG)
    def test_a_configuration_that_makes_no_sense(self, box: Box, wrong: str) -> None:
        box.refused(box.config("touch", "/ran", **_WRONG[wrong]), InvalidError)
        assert not (box.root / "ran").exists()

    @pytest.mark.parametrize("wrong", _WRONG_OPTIONS)
    def test_an_option_that_makes_no_sense(self, box: Box, wrong: str) -> None:
        option, change = _WRONG_OPTIONS[wrong]
        box.needs(option)
        box.refused(box.config("touch", "/ran", **change), InvalidError)
        assert not (box.root / "ran").exists()

    def test_a_bundle_without_configuration(self, box: Box) -> None:
        box.write({})
        (box.directory / "config.json").unlink()
        with pytest.raises((HostError, InvalidError, NotFoundError)):
            box.create_as_it_is()
        box.delete()

    def test_the_same_container_works_after_a_refusal(self, box: Box, tmp_path: Path) -> None:
        box.refused(b"{", InvalidError)
        missing = {"type": "bind", "source": str(tmp_path / "missing"), "destination": "/mnt", "options": ["bind"]}
        box.refused(box.config("true", mounts=[missing]), at_start=True)
        assert box.run("sh", "-c", "exit 9").code == 9
