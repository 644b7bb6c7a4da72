"""The unpacker against archives that want out (reliability checklist I-01 to I-11), in both whiteout styles.

Each case runs beside a victim file; its content, links, mode, owner and the tree around it are compared afterwards.
"""

from __future__ import annotations

import ast
import copy
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

import cmanager.linux.layers
from cmanager.errors import CorruptError
from cmanager.linux.layers import Apply, Bounds, Overlay, unpack
from cmanager.testing.storage import (
    Member,
    archive,
    directory,
    file,
    hardlink,
    layer_of,
    member,
    symlink,
)

pytestmark = pytest.mark.root

OUT = "{out}"


@pytest.fixture(params=[Overlay, Apply])
def style(request: pytest.FixtureRequest) -> Any:
    return request.param()


def write(tmp_path: Path, style: Any, *members: Member, bounds: Bounds | None = None) -> Path:
    """Unpack an archive into tmp_path/tree."""
    layer = layer_of(tmp_path / "blobs", archive(*members))
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    unpack(layer.path, layer.media_type, layer.diff_id, str(tree), style, bounds)
    return tree


def surroundings(tmp_path: Path) -> dict[str, Any]:
    """Everything outside of the tree, to the inode."""
    found: dict[str, Any] = {}
    for above, directories, names in os.walk(tmp_path):
        if above == str(tmp_path):
            directories[:] = [name for name in directories if name not in ("tree", "blobs")]
        for name in (*directories, *names):
            path = os.path.join(above, name)
            info = os.lstat(path)
            content = Path(path).read_bytes() if stat.S_ISREG(info.st_mode) else b""
            found[path] = (
                info.st_ino, info.st_mode, info.st_nlink, info.st_uid, info.st_gid, info.st_mtime_ns, content,
                sorted(os.listxattr(path, follow_symlinks=False)),
            )  # fmt: skip
    return found


def renamed(made: Member, name: str) -> Member:
    """A member whose name stands in its pax header only."""
    made[0].pax_headers["path"] = name
    return made


#: Cases by name: members, and whether they must be refused; the others may do what they want inside of the tree.
CASES: dict[str, tuple[list[Member], bool]] = {
    # I-01: names
    "up": ([file("../out/victim", b"x")], True),
    "up twice": ([file("../../out/victim", b"x")], True),
    "up in the middle": ([directory("d"), file("d/../../out/victim", b"x")], True),
    "dot and up": ([file("./../out/victim", b"x")], True),
    "absolute": ([file(f"{OUT}/victim", b"x")], False),
    "absolute and up": ([file("/../out/victim", b"x")], True),
    "only up": ([directory("..", mode=0o777)], True),
    "very long": ([file("n/" * 2500, b"x")], True),
    "long component": ([file("n" * 256, b"x")], True),
    "a zero byte": ([renamed(file("a"), "a\0b")], True),
    # I-02: links, then through them
    "link out": ([symlink("l", OUT), file("l/victim", b"x")], False),
    "link up": ([symlink("l", "../out"), file("l/victim", b"x")], False),
    "link to the root": ([symlink("l", "/"), file("l/out/victim", b"x")], False),
    "links in a chain": ([symlink("a", OUT), symlink("b", "a"), symlink("c", "b/."), file("c/victim", b"x")], False),
    "link below a link": ([symlink("a", OUT), symlink("a/b", ".."), file("a/b/victim", b"x")], False),
    "link to the victim": ([symlink("f", f"{OUT}/victim"), file("f", b"x", mode=0o777, uid=9)], False),
    "link to the victim, slash": ([symlink("f", f"{OUT}/victim"), directory("f/", mode=0o777, uid=9)], False),
    "link to a directory, then that": ([symlink("d", OUT), directory("d", mode=0o777, uid=9)], False),
    "link to a directory, then a file": ([symlink("d", OUT), file("d", b"x", uid=9)], False),
    "parent replaced": (
        [directory("d"), file("d/one"), symlink("d", OUT), file("d/victim", b"x"), directory("d/new")],
        False,
    ),
    "parent of parent replaced": (
        [directory("d"), directory("d/e"), file("d/e/f"), symlink("d", f"{OUT}/.."), file("d/out/victim", b"x")],
        False,
    ),
    "magic link": ([symlink("l", "/proc/self/root"), file(f"l{OUT}/victim", b"x")], False),
    "magic cwd": ([symlink("l", "/proc/self/cwd"), file("l/../out/victim", b"x")], True),
    "links in a circle": ([symlink("a", "b"), symlink("b", "a"), file("a/f", b"x")], True),
    "a hundred links": (
        [symlink(f"l{n}", f"l{n + 1}") for n in range(100)] + [symlink("l100", OUT), file("l0/victim", b"x")],
        True,
    ),
    "dangling link out": ([symlink("l", f"{OUT}/new"), file("l/f", b"x")], False),
    "device through a link": ([symlink("l", OUT), member("l/null", tarfile.CHRTYPE, devmajor=1, devminor=3)], False),
    "link through a link": ([symlink("l", OUT), symlink("l/victim", "x")], False),
    # I-03: hard links
    "hard link out": ([hardlink("h", f"{OUT}/victim"), file("h", b"x")], True),
    "hard link up": ([hardlink("h", "../out/victim")], True),
    "hard link through a link": ([symlink("l", OUT), hardlink("h", "l/victim"), file("h", b"x")], True),
    "hard link to a link": ([symlink("l", f"{OUT}/victim"), hardlink("h", "l"), file("h", b"x", mode=0o777)], False),
    "hard link to nothing": ([hardlink("h", "later"), file("later")], True),
    "hard link to a directory": ([directory("d"), hardlink("h", "d")], True),
    "hard link to the root": ([hardlink("h", "/")], True),
    "hard link below a link": ([file("f"), symlink("l", OUT), hardlink("l/new", "f")], False),
    "hard link to nothing named": ([hardlink("h", "")], True),
    # I-05: the root itself
    **{
        f"root as {what}: {name!r}": ([make(name)], True)
        for name in (".", "./", "/", "", "./.")
        for what, make in (
            ("link", lambda name: symlink(name, OUT)),
            ("file", lambda name: file(name, b"x")),
            ("hard link", lambda name: hardlink(name, f"{OUT}/victim")),
            ("FIFO", lambda name: member(name, tarfile.FIFOTYPE)),
        )
    },
    # I-06: whiteouts
    "whiteout of ..": ([file(".wh...")], True),
    "whiteout of .": ([file(".wh..")], True),
    "whiteout of nothing": ([file(".wh.")], True),
    "whiteout of .. below": ([directory("d"), file("d/.wh...")], True),
    "whiteout of a whiteout": ([file(".wh..wh.f")], True),
    "whiteout of two components": ([file(".wh.a/b")], True),
    "whiteout as a parent": ([directory(".wh.a"), file(".wh.a/b")], True),
    "whiteout through a link": ([symlink("l", OUT), file("l/.wh.victim")], False),
    "whiteout through up": ([file("../out/.wh.victim")], True),
    "opaque in a linked directory": ([symlink("l", OUT), file("l/.wh..wh..opq")], False),
    "whiteout of the link": ([symlink("l", OUT), file(".wh.l")], False),
    # I-07: overlayfs' private things
    "device 0:0": ([member("f", tarfile.CHRTYPE)], True),
    # I-08: special files
    "device numbers": ([member("f", tarfile.CHRTYPE, devmajor=0o7777777)], True),
    "unknown type": ([member("f", b"Z")], True),
    "empty link": ([symlink("l", "")], True),
    "long link": ([symlink("l", "x" * 4096)], True),
    # I-09: owners and xattrs
    "owner 2**32-1": ([file("f", uid=(1 << 32) - 1)], True),
    "owner 2**32": ([file("f", uid=1 << 32)], True),
    "owner -1": ([file("f", gid=-1)], True),
    "10,000 xattrs": ([file("f", xattrs={f"user.{n}": "x" for n in range(10_000)})], True),
    "a large xattr": ([file("f", xattrs={"user.k": "x" * 65537})], True),
    "a bad capability": ([file("f", xattrs={"security.capability": "x"})], True),
    "a bad acl": ([file("f", xattrs={"system.posix_acl_access": "xxxx"})], False),
    "a long xattr name": ([file("f", xattrs={"user." + "k" * 300: "x"})], True),
    # I-11: depth
    "depth 5000": ([file("d/" * 2000 + "f")], True),
    "depth by entries": ([directory("/".join(["d"] * n)) for n in range(1, 300)], True),
    "depth by links": (
        [
            file("/".join(["d"] * 250) + "/f"),
            symlink("l", "/".join(["d"] * 250)),
            file("l/" + "/".join(["e"] * 100) + "/f"),
        ],
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_nothing_reaches_out(tmp_path: Path, style: Any, name: str) -> None:
    """The victim and all around it stay as they are; what must be refused is a CorruptError that names the layer."""
    members, refused = CASES[name]
    out = tmp_path / "out"
    out.mkdir()
    (out / "victim").write_bytes(b"untouched")
    (out / "victim").chmod(0o640)
    changed = []
    for info, content in members:
        mine = copy.copy(info)
        mine.name, mine.linkname = (text.replace(OUT, str(out)) for text in (info.name, info.linkname))
        changed.append((mine, content))
    before = surroundings(tmp_path)
    try:
        write(tmp_path, style, *changed)
    except CorruptError as error:
        outcome: CorruptError | None = error
    else:
        outcome = None
    assert surroundings(tmp_path) == before
    assert (outcome is not None) == refused, outcome
    if outcome:
        assert "layer sha256:" in str(outcome)
        assert "\n" not in str(outcome)


def test_where_writes_through_links_land(tmp_path: Path, style: Any) -> None:
    """A link in the middle of a path is followed inside the root, as if the tree were mounted on /."""
    tree = write(
        tmp_path,
        style,
        directory("usr"),
        directory("usr/bin"),
        symlink("bin", "/usr/bin"),
        file("bin/tool", b"tool"),
        symlink("usr/up", "../../../etc"),
        file("usr/up/f", b"etc"),
    )
    assert (tree / "usr/bin/tool").read_bytes() == b"tool"
    assert (tree / "etc/f").read_bytes() == b"etc"


def test_an_error_says_where(tmp_path: Path, style: Any) -> None:
    """The text of an error names the entry, its control characters escaped, and is one line."""
    with pytest.raises(CorruptError) as caught:
        write(tmp_path, style, file("d\x1b[31m\n/.wh."))
    assert r"entry 'd\x1b[31m\n/.wh.'" in str(caught.value)


def test_python_unpacks_nothing() -> None:
    """No library code lets tarfile or shutil extract anything (CVE-2007-4559, CVE-2025-4517)."""
    room = Path(cmanager.linux.layers.__file__).parent
    sources = [path for place in (room.parents[1], room.parents[2] / "plugins") for path in place.rglob("*.py")]
    assert room / "unpacking.py" in sources
    for path in sources:
        called = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not called & {"extract", "extractall", "unpack_archive"}, path


def test_private_names_are_left_out(tmp_path: Path, style: Any) -> None:
    """xattrs that instruct the host's kernel are dropped: overlayfs' own, trusted ones and security labels."""
    private = {
        "trusted.overlay.opaque": "y",
        "trusted.overlay.redirect": "/etc",
        "trusted.overlay.metacopy": "",
        "user.overlay.opaque": "y",
        "trusted.other": "x",
        "security.selinux": "system_u:object_r:shadow_t:s0",
        "security.ima": "x",
        "user.kept": "1",
    }
    tree = write(tmp_path, style, directory("d", xattrs=private), file("f", xattrs=private))
    assert [os.listxattr(tree / name) for name in ("d", "f")] == [["user.kept"], ["user.kept"]]
