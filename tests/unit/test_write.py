"""Archives that are written here are read the same here, by Python and by GNU tar."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmanager.linux.layers import tar
from cmanager.linux.layers.stream import Direct
from cmanager.linux.layers.tar import Entry
from cmanager.linux.layers.write import Changed, Writer

NAMES = st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name)


def archive(place: Path, *entries: Entry, content: bytes = b"") -> Path:
    source = place / "source"
    source.write_bytes(content)
    with (place / "out.tar").open("wb") as out, source.open("rb") as file:
        writer = Writer(out.fileno())
        for entry in entries:
            writer.add(entry, file.fileno())
        writer.finish()
    return place / "out.tar"


def read(path: Path) -> list[Entry]:
    return list(tar.entries(Direct(iter([path.read_bytes()]))))


@given(
    name=NAMES,
    link=NAMES,
    ids=st.tuples(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2)),
    mtime=st.integers(-(10**18), 10**19),
    mode=st.integers(0, 0o7777),
    key=st.from_regex(rb"user\.[a-z]{1,20}", fullmatch=True),
    value=st.binary(min_size=1, max_size=300),
)
def test_an_entry_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    name: bytes,
    link: bytes,
    ids: tuple[int, int],
    mtime: int,
    mode: int,
    key: bytes,
    value: bytes,
) -> None:
    place = tmp_path_factory.mktemp("write")
    entries = [
        Entry(name, tar.SYMLINK, mode, *ids, mtime, link=link),
        Entry(name, tar.DIRECTORY, mode, *ids, mtime, xattrs={key: value}),
        Entry(b"device", tar.CHARACTER, mode, *ids, mtime, major=5, minor=70),
    ]
    assert read(archive(place, *entries)) == entries


def test_gnu_tar_and_python_read_it(tmp_path: Path) -> None:
    long = b"d/" * 60 + b"name"
    entries = (
        Entry(long, tar.FILE, 0o644, 7, 8, 1_600_000_000_500_000_000, size=5),
        Entry(b"twin", tar.HARDLINK, link=long),
        Entry(b"sparse", tar.FILE, size=1 << 30, segments=((0, 2), ((1 << 30) - 3, 3))),
    )
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.write(b"hello")
        os.ftruncate(file.fileno(), 1 << 30)
    out = tmp_path / "out.tar"
    with out.open("wb") as target, source.open("rb") as file:
        writer = Writer(target.fileno())
        for entry in entries:
            writer.add(entry, file.fileno())
        writer.finish()
    assert out.stat().st_size < 20_000
    with tarfile.open(out) as found:
        assert [(m.name, m.size) for m in found] == [
            (os.fsdecode(long), 5),
            ("twin", 0),
            ("sparse", 1 << 30),
        ]
    (tmp_path / "x").mkdir()
    subprocess.run(["tar", "-xf", str(out), "-C", str(tmp_path / "x")], check=True)
    assert (tmp_path / "x/twin").read_bytes() == b"hello"
    assert (tmp_path / "x/sparse").stat().st_size == 1 << 30
    assert (tmp_path / "x/sparse").stat().st_blocks * 512 < 1 << 20


def test_a_file_that_was_cut_is_told(tmp_path: Path) -> None:
    with pytest.raises(Changed):
        archive(tmp_path, Entry(b"f", tar.FILE, size=100), content=b"short")


@pytest.mark.parametrize("length", [*range(80, 110), *range(980, 1010)])
def test_the_length_of_a_record_counts_itself(tmp_path: Path, length: int) -> None:
    entry = Entry(b"n" * length, tar.DIRECTORY, xattrs={b"user.k": b"v" * length})
    assert read(archive(tmp_path, entry)) == [entry]
