"""The tar reader: every format in the wild, and nothing but CorruptError for the rest."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmanager.errors import CorruptError
from cmanager.linux.layers import tar
from cmanager.linux.layers.stream import Stream
from cmanager.testing.storage import archive, directory, file, hardlink, member, symlink


def parse(content: bytes, piece: int = 1 << 20) -> list[tuple[tar.Entry, bytes]]:
    """All entries with their data, from a stream that comes in pieces of some size."""
    pieces = iter([content[at : at + piece] for at in range(0, len(content), piece)])
    with Stream(pieces) as stream:
        found = []
        for entry in tar.entries(stream):
            size = entry.size if entry.segments is None else sum(length for _, length in entry.segments)
            found.append((entry, stream.read(size) if entry.kind == tar.FILE else b""))
        stream.finish()
        return found


def one(content: bytes) -> tar.Entry:
    ((entry, _),) = parse(content)
    return entry


def header(name: bytes = b"f", kind: bytes = b"0", size: bytes = b"00000000000\0", **fields: bytes) -> bytes:
    """One header block made by hand, its checksum right."""
    block = bytearray(512)
    parts = {"mode": (100, b"0000644\0"), "uid": (108, b"0000000\0"), "gid": (116, b"0000000\0")}
    parts |= {
        "mtime": (136, b"00000000000\0"),
        "link": (157, b""),
        "magic": (257, b"ustar\x0000"),
        "prefix": (345, b""),
    }
    parts |= {"name": (0, name), "size": (124, size), "kind": (156, kind), "checksum": (148, b" " * 8)}
    for key, (at, default) in parts.items():
        value = fields.get(key, default)
        block[at : at + len(value)] = value
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    return header(b"pax", kind, b"%011o\0" % len(records)) + records + bytes(-len(records) % 512)


def record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    size = len(rest)
    while len(b"%d" % size) + len(rest) != size:
        size = len(b"%d" % size) + len(rest)
    return b"%d" % size + rest


END = bytes(1024)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("piece", [1, 511, 512, 1 << 20])
def test_formats(format: int, piece: int) -> None:
    """Members come out of each format as they went in, however the stream is cut."""
    buffer = io.BytesIO()
    long = "d/" * 40 + "n" * 90
    members = [
        directory("d", mode=0o1777),
        file(long, b"content", uid=1000, gid=100, mode=0o4755),
        symlink("s", "t" * 90),
        hardlink("h", long[:99]),
        member("c", tarfile.CHRTYPE, devmajor=10, devminor=229),
        member("p", tarfile.FIFOTYPE),
        file("last", b"x" * 513),
    ]
    with tarfile.open(fileobj=buffer, mode="w", format=format) as made:
        for info, content in members:
            made.addfile(info, io.BytesIO(content))
    found = parse(buffer.getvalue(), piece)
    assert [(e.name.rstrip(b"/"), e.kind, data) for e, data in found] == [
        (info.name.encode(), info.type, content) for info, content in members
    ]
    entries = [entry for entry, _ in found]
    assert (entries[1].uid, entries[1].gid, entries[1].mode) == (1000, 100, 0o4755)
    assert (entries[2].link, entries[3].link) == (b"t" * 90, long[:99].encode())
    assert (entries[4].major, entries[4].minor) == (10, 229)
    assert {entry.mtime for entry in entries} == {1_700_000_000 * 10**9}


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_ustar_cannot_hold(format: int) -> None:
    """Long names, long links, large ids and times before 1970 come through GNU and pax extensions."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as made:
        info = tarfile.TarInfo("n" * 3000)
        info.type, info.linkname, info.uid, info.gid, info.mtime = tarfile.SYMTYPE, "l" * 3000, 1 << 31, 1 << 22, -5
        made.addfile(info)
    entry = one(buffer.getvalue())
    assert (entry.name, entry.link) == (b"n" * 3000, b"l" * 3000)
    assert (entry.uid, entry.gid, entry.mtime) == (1 << 31, 1 << 22, -5 * 10**9)


def test_names_that_are_no_text() -> None:
    """Names are bytes: what is no UTF-8 comes out as it went in."""
    assert one(header(b"\xff\xfe") + END).name == b"\xff\xfe"


def test_an_old_directory() -> None:
    """A v7 archive has no type for directories, their names end in a slash."""
    assert one(header(b"d/", b"\0", magic=bytes(8)) + END).kind == tar.DIRECTORY
    assert one(header(b"d", b"\0", magic=bytes(8)) + END).kind == tar.FILE


def test_a_checksum_of_signed_bytes() -> None:
    """Some old archivers summed signed bytes; their archives are read."""
    block = bytearray(header(b"\xff\xfe"))
    block[148:156] = b"%06o\0 " % (sum(b - 256 * (b > 127) for b in block[:148] + block[156:]) + 256)
    assert one(bytes(block) + END).name == b"\xff\xfe"


def test_times_to_the_nanosecond() -> None:
    """pax times have fractions, also before 1970, and are not rounded through floating point."""
    for text, expected in (
        (b"1700000000.123456789", 1_700_000_000_123_456_789),
        (b"-1.5", -1_500_000_000),
        (b"7.", 7 * 10**9),
    ):
        assert one(pax(record(b"mtime", text)) + header() + END).mtime == expected


def test_global_headers() -> None:
    """A global header holds for all that follows, until an entry's own says otherwise; an empty value takes it back."""
    content = (
        pax(record(b"uid", b"7") + record(b"comment", b"ignored"), b"g")
        + header(b"a")
        + pax(record(b"uid", b"8"))
        + header(b"b")
        + header(b"c")
        + pax(record(b"uid", b""))
        + header(b"d")
        + END
    )
    assert [(e.name, e.uid) for e, _ in parse(content)] == [(b"a", 7), (b"b", 8), (b"c", 7), (b"d", 0)]


def test_xattrs() -> None:
    """Extended attributes are handed over by name, whatever bytes their values have."""
    entry = one(pax(record(b"SCHILY.xattr.user.k", b"\0=\n\xff")) + header() + END)
    assert entry.xattrs == {b"user.k": b"\0=\n\xff"}


def test_the_size_of_links_means_nothing() -> None:
    """Links and directories have no data even where an archiver wrote a size."""
    size = b"00000001000\0"
    content = header(b"l", b"2", size, link=b"t") + header(b"d", b"5", size) + header(b"f") + END
    assert [e.name for e, _ in parse(content)] == [b"l", b"d", b"f"]


@pytest.mark.parametrize(
    "arguments", [["--format=gnu"], *(["--format=pax", f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0"))]
)
def test_sparse_files(tmp_path: Path, arguments: list[str]) -> None:
    """Sparse files written by GNU tar have their map, their real size and their data."""
    with open(tmp_path / "holes", "wb") as made:
        for at in range(60):
            made.seek(at * (1 << 20))
            made.write(b"%04d" % at * 1024)
        made.truncate(100 << 20)
    made = subprocess.run(["/bin/tar", "-cS", *arguments, "-C", tmp_path, "holes"], capture_output=True, check=True)
    ((entry, data),) = parse(made.stdout)
    assert (entry.name, entry.kind, entry.size) == (b"holes", tar.FILE, 100 << 20)
    assert entry.segments is not None
    content = bytearray(100 << 20)
    for offset, length in entry.segments:
        content[offset : offset + length], data = data[:length], data[length:]
    assert bytes(content) == (tmp_path / "holes").read_bytes()
    assert data == b""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        END,
        bytes(512),
        header(b"a") + bytes(512),
        header(b"a"),
    ],
)
def test_endings(content: bytes) -> None:
    """An archive may end with two zero blocks, one, or none."""
    assert len(parse(content)) == (1 if len(content.strip(b"\0")) else 0)


def test_what_follows_the_end() -> None:
    """What follows the end of the archive is no entry, but belongs to the digest."""
    content = header(b"a") + END + b"anything"
    assert len(parse(content)) == 1
    with Stream(iter([content])) as stream, Stream(iter([content[:-1]])) as other:
        list(tar.entries(stream))
        assert stream.finish() != other.finish()


BAD = {
    "no tar": os.urandom(1024),
    "half a header": header()[:100],
    "bad checksum": header()[:-1] + b"x" + END,
    "data cut": header(size=b"00000001000\0") + b"x" * 100,
    "padding cut": header(size=b"00000000001\0") + b"x",
    "lone zero block": header() + bytes(512) + header(),
    "negative size": header(size=b"\xff" * 12) + END,
    "size with a sign": header(size=b"-0000000001\0") + END,
    "size with an underscore": header(size=b"00_00000001\0") + END,
    "size with a prefix": header(size=b"0o000000001\0") + END,
    "size of nine": header(size=b"00000000009\0") + END,
    "enormous size": header(size=b"\x80" + b"\xff" * 11) + END,
    "enormous time": header(mtime=b"\x80" + b"\xff" * 11) + END,
    "time in words": pax(record(b"mtime", b"noon")) + header() + END,
    "time as exponent": pax(record(b"mtime", b"1e9")) + header() + END,
    "uid in words": pax(record(b"uid", b"root")) + header() + END,
    "uid with underscore": pax(record(b"uid", b"1_0")) + header() + END,
    "record without length": pax(b"path=x\n") + header() + END,
    "record too long": pax(b"99 path=x\n") + header() + END,
    "record too short": pax(b"3 path=x\n") + header() + END,
    "record of length zero": pax(b"0 path=x\n") + header() + END,
    "record without newline": pax(b"9 path=xy") + header() + END,
    "record without key": pax(b"5 =x\n") + header() + END,
    "nothing after pax": pax(record(b"path", b"x")) + END,
    "pax of 2 MiB": header(b"pax", b"x", b"%011o\0" % (2 << 20)) + bytes(2 << 20) + END,
    "long name of 1 MiB": header(b"l", b"L", b"%011o\0" % (1 << 20)) + b"x" * (1 << 20) + header() + END,
    "global headers without end": b"".join(
        pax(record(b"SCHILY.xattr.user.%d" % n, b"x" * 60000), b"g") for n in range(30)
    ),
    "sparse beyond its size": pax(record(b"GNU.sparse.map", b"0,1") + record(b"GNU.sparse.size", b"0"))
    + header()
    + END,
    "sparse overlap": pax(record(b"GNU.sparse.map", b"0,2,1,2") + record(b"GNU.sparse.size", b"9")) + header() + END,
    "sparse odd": pax(record(b"GNU.sparse.map", b"0,2,1") + record(b"GNU.sparse.size", b"9")) + header() + END,
    "sparse without size": pax(record(b"GNU.sparse.map", b"0,2")) + header() + END,
    "sparse version 2": pax(record(b"GNU.sparse.major", b"2") + record(b"GNU.sparse.size", b"9")) + header() + END,
    "sparse map without end": pax(record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.realsize", b"9"))
    + header(size=b"00000002000\0")
    + b"1" * 1024
    + END,
    "sparse map of a million": pax(record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.realsize", b"9"))
    + header(size=b"00000001000\0")
    + b"1000000\n".ljust(512, b"\0")
    + END,
}


@pytest.mark.parametrize("name", BAD)
def test_broken_archives(name: str) -> None:
    """A broken archive is a CorruptError."""
    with pytest.raises(CorruptError):
        parse(BAD[name])


def test_base_256() -> None:
    """Numbers too large for octal digits come in base 256."""
    assert one(header(uid=b"\x80\0\0\0\xff\xff\xff\xfe") + END).uid == (1 << 32) - 2
    assert one(header(mtime=b"\xff" * 12) + END).mtime == -(10**9)


VALID = archive(
    directory("d"),
    file("d/" + "n" * 200, b"content" * 300, uid=1 << 30, xattrs={"user.k": "v"}),
    symlink("s", "t" * 200),
    hardlink("h", "d"),
)
SPARSE = (
    pax(record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0") + record(b"GNU.sparse.realsize", b"99"))
    + header(size=b"00000002000\0")
    + b"1\n7\n512\n".ljust(512, b"\0")
    + bytes(512)
    + END
)


def harmless(content: bytes) -> None:
    try:
        parse(content)
    except CorruptError:
        return


@given(st.binary(max_size=4096))
def test_fuzz_random_bytes(content: bytes) -> None:
    """Random bytes raise CorruptError or nothing."""
    harmless(content)


@given(
    st.sampled_from([VALID, SPARSE]),
    st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.binary(min_size=1, max_size=14)), min_size=1, max_size=6),
)
def test_fuzz_damaged_archives(content: bytes, damages: list[tuple[int, bytes]]) -> None:
    """A damaged archive whose checksums are made right again raises CorruptError or nothing."""
    changed = bytearray(content)
    for at, what in damages:
        at %= len(content)
        changed[at : at + len(what)] = what
    for at in range(0, len(changed) - 511, 512):
        if changed[at + 257 : at + 262] == b"ustar":
            changed[at + 148 : at + 156] = b" " * 8
            changed[at + 148 : at + 156] = b"%06o\0 " % sum(changed[at : at + 512])
    harmless(bytes(changed))


@given(st.binary(max_size=600), st.sampled_from([b"x", b"g", b"L", b"K", b"S"]))
def test_fuzz_extensions(records: bytes, kind: bytes) -> None:
    """Extended headers of random content raise CorruptError or nothing."""
    harmless(pax(records, kind) + header() + END)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    b"path",
                    b"size",
                    b"uid",
                    b"mtime",
                    b"linkpath",
                    b"GNU.sparse.map",
                    b"GNU.sparse.size",
                    b"GNU.sparse.realsize",
                    b"GNU.sparse.major",
                    b"GNU.sparse.minor",
                    b"GNU.sparse.offset",
                    b"GNU.sparse.numbytes",
                    b"GNU.sparse.name",
                    b"SCHILY.xattr.user.x",
                ]
            ),
            st.one_of(st.binary(max_size=20), st.integers().map(lambda n: b"%d" % n)),
        ),
        max_size=8,
    )
)
def test_fuzz_records(records: list[tuple[bytes, bytes]]) -> None:
    """Well-formed records with random values raise CorruptError or nothing."""
    harmless(pax(b"".join(record(*pair) for pair in records)) + header(size=b"00000001000\0") + bytes(512) + END)
