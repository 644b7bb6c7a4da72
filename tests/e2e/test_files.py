"""cp, diff and export: a container's files from outside."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from cmanager import Engine
from cmanager.errors import NotFoundError
from cmanager.linux import files

from ..support import Cli, end, wait_until

pytestmark = pytest.mark.root

SLEEP = ("--init", "busybox", "sleep", "1000")


@pytest.fixture(params=["running", "stopped", "created"])
def box(cli: Cli, request: pytest.FixtureRequest) -> str:
    """A container `box` in each state, with /data/{file,dir/deep,link} in it."""
    script = "mkdir -p /data/dir; echo one > /data/file; echo two > /data/dir/deep; ln -s /data/dir /data/link"
    if request.param == "created":
        cli.ok("create", "--name", "box", "--network", "none", *SLEEP)
        (source := Path(cli.root.parent / f"made-{time.monotonic_ns()}")).mkdir()
        (source / "dir").mkdir()
        (source / "file").write_text("one\n")
        (source / "dir/deep").write_text("two\n")
        (source / "link").symlink_to("/data/dir")
        cli.ok("cp", "-q", f"{source}", "box:/data")
    else:
        cli.ok(
            "run", "-d", "--name", "box", "--network", "none", "--init", "busybox", "sh", "-c", f"{script}; sleep 99"
        )
        wait_until(lambda: "link" in cli("cp", "box:/data", "-").stdout, "its files are there")
        if request.param == "stopped":
            cli.ok("kill", "box")
            cli.ok("wait", "box")
    return "box"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host's with `file`, `dir/deep` and `link` to dir."""
    place = tmp_path / "host"
    (place / "dir").mkdir(parents=True)
    (place / "file").write_text("from host")
    (place / "dir/deep").write_text("deep from host")
    (place / "link").symlink_to("dir")
    return place


def look(cli: Cli, path: str) -> str:
    """The content of a file in container `box`."""
    done = cli("cp", f"box:{path}", "-")
    assert done.returncode == 0, done.stderr
    with tarfile.open(fileobj=io.BytesIO(raw(cli, path))) as tar:
        (member,) = tar
        found = tar.extractfile(member)
        assert found
        return found.read().decode()


def raw(cli: Cli, path: str) -> bytes:
    process = cli.start("cp", f"box:{path}", "-")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: member for member in tar}


# -- where things go ------------------------------------------------------------------------------------------------


def test_files_and_directories_go_out(cli: Cli, box: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    cli.ok("cp", "box:/data/file", str(out))
    assert (out / "file").read_text() == "one\n"
    cli.ok("cp", "box:/data/file", str(out / "renamed"))
    assert (out / "renamed").read_text() == "one\n"
    cli.ok("cp", "box:/data", str(out))
    assert (out / "data/dir/deep").read_text() == "two\n"
    assert os.readlink(out / "data/link") == "/data/dir"
    cli.ok("cp", "box:data", str(out / "new"))
    assert (out / "new/dir/deep").read_text() == "two\n"
    cli.ok("cp", "box:/data/dir/.", str(out))
    assert (out / "deep").read_text() == "two\n"


def test_files_and_directories_go_in(cli: Cli, box: str, host: Path) -> None:
    cli.ok("cp", str(host / "file"), "box:/data")
    assert look(cli, "/data/file") == "from host"
    cli.ok("cp", str(host / "file"), "box:/data/dir/renamed")
    assert look(cli, "/data/dir/renamed") == "from host"
    cli.ok("cp", str(host / "dir"), "box:/new")
    assert look(cli, "/new/deep") == "deep from host"
    cli.ok("cp", str(host / "dir"), "box:/new")
    assert look(cli, "/new/dir/deep") == "deep from host"
    cli.ok("cp", f"{host}/.", "box:/data/dir")
    assert look(cli, "/data/dir/dir/deep") == "deep from host"
    cli.ok("cp", str(host / "file"), "box:/data/link")
    assert look(cli, "/data/dir/file") == "from host"


@pytest.fixture
def stopped(cli: Cli) -> str:
    cli.ok("create", "--name", "box", "--network", "none", *SLEEP)
    return "box"


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("{host}/dir", "box:/etc/passwd", "onto the file"),
        ("{host}/file", "box:/nowhere/", "does not exist"),
        ("{host}/file", "box:/nowhere/file", "make it first"),
        ("{host}/file/", "box:/etc", "is not a directory"),
        ("{host}/file/.", "box:/etc", "is not a directory"),
        ("{host}/nothing", "box:/etc", "does not exist"),
        ("{host}/file", "box:/etc/passwd/", "is not a directory"),
        ("box:/nothing", "{host}", "does not exist"),
        ("box:/etc", "{host}/file", "onto the file"),
        ("box:/etc/passwd/x", "{host}", "not a directory"),
        ("box:/etc/passwd", "{host}/no/where", "make it first"),
        ("box:/etc/passwd", "/dev/null", "neither a file nor a directory"),
        ("box:/etc", "box:/opt", "between containers"),
        ("{host}/file", "{host}/other", "must be in a container"),
        ("{host}", "box:/bin/sh", "onto the file"),
    ],
)
def test_what_makes_no_sense_is_refused(
    cli: Cli, stopped: str, host: Path, source: str, target: str, said: str
) -> None:
    before = sorted(path for path in host.rglob("*"))
    done = cli("cp", source.format(host=host), target.format(host=host))
    assert done.returncode in (1, 125)
    assert said in done.stderr, done.stderr
    assert sorted(path for path in host.rglob("*")) == before
    assert cli.ok("diff", "box") == ""


def test_a_missing_container_is_code_1(cli: Cli, host: Path) -> None:
    for arguments in (("cp", "no-such:/x", str(host)), ("diff", "no-such"), ("export", "no-such")):
        done = cli(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert "no such container" in done.stderr


def test_links_are_copied_or_followed(cli: Cli, box: str, host: Path, tmp_path: Path) -> None:
    cli.ok("cp", "box:/data/link", str(tmp_path))
    assert os.readlink(tmp_path / "link") == "/data/dir"
    cli.ok("cp", "-L", "box:/data/link", str(tmp_path / "followed"))
    assert (tmp_path / "followed/deep").read_text() == "two\n"
    cli.ok("cp", str(host / "link"), "box:/data/copied")
    assert members(raw(cli, "/data/copied"))["copied"].linkname == "dir"
    cli.ok("cp", "-L", str(host / "link"), "box:/data/followed")
    assert look(cli, "/data/followed/deep") == "deep from host"


def test_a_file_replaces_a_link_and_a_directory_does_not(cli: Cli, stopped: str, host: Path, tmp_path: Path) -> None:
    cli.ok("cp", str(host), "box:/h")
    (host / "link").unlink()
    (host / "link").mkdir()
    done = cli("cp", f"{host}/.", "box:/h")
    assert done.returncode == 125
    assert "onto the file 'link'" in done.stderr


def test_archives_go_through_pipes(cli: Cli, box: str, host: Path) -> None:
    found = members(raw(cli, "/data"))
    assert {"data", "data/file", "data/dir/deep", "data/link"} <= set(found)
    assert members(raw(cli, "/data/.")).keys() >= {".", "./file"}
    plain = subprocess.run(["tar", "-cC", str(host), "."], check=True, capture_output=True).stdout
    packed = subprocess.run(["tar", "-czC", str(host), "dir"], check=True, capture_output=True).stdout
    cli.ok("cp", "-", "box:/data/dir", stdin=plain)
    assert look(cli, "/data/dir/file") == "from host"
    cli.ok("cp", "-", "box:/data", stdin=packed)
    assert look(cli, "/data/dir/deep") == "deep from host"
    refused = cli("cp", "-", "box:/data/file", stdin=plain)
    assert refused.returncode == 125
    assert "not a directory" in refused.stderr
    assert cli("cp", "-", "box:/data", stdin=b"no archive" * 100).returncode == 125


# -- what is kept -----------------------------------------------------------------------------------------------------


def test_modes_times_holes_and_hard_links_are_kept(cli: Cli, box: str, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.mkdir()
    (source / "file").write_text("x")
    os.chmod(source / "file", 0o640)
    os.link(source / "file", source / "twin")
    os.utime(source / "file", ns=(0, 1_600_000_000_123_456_789))
    with (source / "sparse").open("wb") as sparse:
        sparse.seek(64 << 20)
        sparse.write(b"end")
    (source / "empty").mkdir(mode=0o711)
    os.utime(source / "empty", (5, 5))
    os.mkfifo(source / "pipe")
    cli.ok("cp", str(source), "box:/kept")
    cli.ok("cp", "box:/kept", str(back))
    assert (back / "file").stat().st_mode & 0o7777 == 0o640
    assert (back / "file").stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert (back / "file").stat().st_ino == (back / "twin").stat().st_ino
    assert (back / "sparse").stat().st_size == (64 << 20) + 3
    assert (back / "sparse").stat().st_blocks * 512 < 1 << 20
    assert (back / "sparse").read_bytes()[-3:] == b"end"
    assert ((back / "empty").stat().st_mode & 0o7777, (back / "empty").stat().st_mtime) == (0o711, 5)
    assert stat.S_ISFIFO((back / "pipe").stat().st_mode)


def test_files_belong_to_root_unless_archived(cli: Cli, box: str, tmp_path: Path) -> None:
    source = tmp_path / "mine"
    source.write_text("x")
    os.chown(source, 1234, 4321)
    os.chmod(source, 0o4755)
    cli.ok("cp", str(source), "box:/data/plain")
    cli.ok("cp", "-a", str(source), "box:/data/kept")
    found = members(raw(cli, "/data"))
    plain, kept = found["data/plain"], found["data/kept"]
    assert (plain.uid, plain.gid, plain.mode) == (0, 0, 0o755)
    assert (kept.uid, kept.gid, kept.mode) == (1234, 4321, 0o4755)
    cli.ok("cp", "box:/data/kept", str(tmp_path / "out"))
    cli.ok("cp", "-a", "box:/data/kept", str(tmp_path / "out-a"))
    out, archived = (tmp_path / "out").stat(), (tmp_path / "out-a").stat()
    assert (out.st_uid, out.st_mode & 0o7777) == (0, 0o755)
    assert (archived.st_uid, archived.st_mode & 0o7777) == (1234, 0o4755)


def test_device_nodes_come_out_only_with_archive(cli: Cli, tmp_path: Path) -> None:
    cli.ok(
        "run", "--name", "box", "--network", "none", "busybox", "sh", "-c", "mkdir /d; mknod /d/disk b 7 0; touch /d/f"
    )
    done = cli("cp", "box:/d", str(tmp_path / "plain"))
    assert done.returncode == 0
    assert "left out" in done.stderr
    assert os.listdir(tmp_path / "plain") == ["f"]
    cli.ok("cp", "-a", "box:/d", str(tmp_path / "whole"))
    assert stat.S_ISBLK((tmp_path / "whole/disk").stat().st_mode)


@pytest.mark.usefixtures("user_namespaces")
@pytest.mark.parametrize("storage", ["overlay", "vfs"])
def test_a_user_namespace_maps_owners(cli: Cli, tmp_path: Path, storage: str) -> None:
    config = tmp_path / "plugins.toml"
    config.write_text(f'[defaults]\nstorage = "{storage}"\n')
    mapped = Cli(cli.root, cli.run_root, config)
    source = tmp_path / "mine"
    source.write_text("x")
    os.chown(source, 7, 8)
    script = "touch /ready; while ! [ -e /go ]; do sleep 0.05; done; stat -c '%u %g' /plain /kept; echo x > /made"
    mapped.ok("run", "-d", "--name", "box", "--userns", "auto", "--network", "none", "busybox", "sh", "-c", script)
    for state in ("running", "stopped"):
        mapped.ok("cp", str(source), "box:/plain")
        mapped.ok("cp", "-a", str(source), "box:/kept")
        found = members(raw(mapped, "/kept"))
        assert (found["kept"].uid, found["kept"].gid) == (7, 8), state
        os.chown(source, 70_000, 0)
        refused = mapped("cp", "-a", str(source), "box:/kept")
        assert refused.returncode == 125
        assert "user namespace" in refused.stderr
        os.chown(source, 7, 8)
        if state == "running":
            mapped.ok("cp", str(source), "box:/go")
            assert mapped.ok("wait", "box") == "0"
            assert mapped.ok("logs", "box") == "0 0\n7 8"
    assert (members(raw(mapped, "/made"))["made"].uid, "A /made" in mapped.ok("diff", "box")) == (0, True)


def test_volumes_and_tmpfs_are_seen(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "in").write_text("in")
    options = ("-v", f"{tmp_path}/volume:/v", "--tmpfs", "/t")
    cli.ok("run", "-d", "--name", "box", "--network", "none", *options, *SLEEP)
    cli.ok("cp", str(tmp_path / "in"), "box:/v/running")
    cli.ok("cp", str(tmp_path / "in"), "box:/t/running")
    assert (tmp_path / "volume/running").read_text() == "in"
    assert look(cli, "/t/running") == "in"
    cli.ok("kill", "box")
    cli.ok("wait", "box")
    cli.ok("cp", str(tmp_path / "in"), "box:/v/stopped")
    assert (tmp_path / "volume/stopped").read_text() == "in"
    assert cli.ok("diff", "box") == ""


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_read_only_container_takes_no_files(cli: Cli, host: Path, state: str) -> None:
    options = ("--read-only", "--tmpfs", "/t")
    cli.ok("run", "-d", "--name", "box", "--network", "none", *options, *SLEEP)
    if state == "stopped":
        cli.ok("kill", "box")
        cli.ok("wait", "box")
    else:
        cli.ok("cp", str(host / "file"), "box:/t")
    refused = cli("cp", str(host / "file"), "box:/etc")
    assert refused.returncode == 125
    assert "read-only" in refused.stderr


def test_the_kernels_files_are_no_files(cli: Cli, tmp_path: Path) -> None:
    cli.ok("run", "-d", "--name", "box", "--network", "none", *SLEEP)
    refused = cli("cp", "box:/proc/1/environ", str(tmp_path))
    assert refused.returncode == 125
    assert "kernel" in refused.stderr
    found = members(raw(cli, "/"))
    assert "./proc" in found
    assert not [name for name in found if name.startswith(("./proc/", "./sys/"))]
    assert "./dev/null" in found


# -- somebody else is at work -----------------------------------------------------------------------------------------


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory of the host's whose path exists in container `box` too."""
    place = tmp_path / "victim"
    place.mkdir()
    (place / "secret").write_text("of the host")
    return place


@pytest.fixture
def flipping(cli: Cli, victim: Path) -> str:
    """Container `box`, in which /flip is a directory and a link to / in turns; the path of the victim is in both."""
    script = f"""
        for root in / /one/; do mkdir -p "$root{victim}"; echo inside > "$root{victim}/secret"; done
        ln -s / /two
        mv /one /flip; touch /ready
        while :; do mv /flip /one; mv -T /two /flip 2>/dev/null || mv /two /flip; mv /flip /two; mv /one /flip; done
    """
    cli.ok("run", "-d", "--name", "box", "--network", "none", "--init", "busybox", "sh", "-c", script)
    wait_until(lambda: cli("cp", "box:/ready", "-").returncode == 0, "it flips")
    return "box"


def test_a_container_that_swaps_directories_for_links_reaches_nothing(
    cli: Cli, flipping: str, victim: Path, tmp_path: Path
) -> None:
    engine = Engine(str(cli.root), str(cli.run_root))
    new = tmp_path / "new"
    new.write_text("written")
    out = tmp_path / "out"
    ways = {"in": 0, "out": 0}
    for number in range(100):
        for way in ways:
            try:
                if way == "out":
                    engine.files.copy_out("box", f"/flip{victim}/secret", str(out), follow=bool(number % 2))
                    assert out.read_text() == "inside\n"
                else:
                    engine.files.copy_in("box", str(new), f"/flip{victim}/written-{number}")
                ways[way] += 1
            except NotFoundError:
                continue  # it was just moved
    assert min(ways.values()) > 10, "the race was not run"
    assert sorted(os.listdir(victim)) == ["secret"]
    assert (victim / "secret").read_text() == "of the host"


def test_links_in_a_container_lead_to_its_own_files(cli: Cli, victim: Path, tmp_path: Path) -> None:
    script = f"mkdir -p {victim}; echo inside > {victim}/secret; ln -s {victim} /way; ln -s / /root-link; sleep 99"
    cli.ok("run", "-d", "--name", "box", "--network", "none", "--init", "busybox", "sh", "-c", script)
    wait_until(lambda: cli("cp", "box:/root-link", "-").returncode == 0, "its files are there")
    for path in ("/way/secret", f"/root-link{victim}/secret", f"/root-link/../..{victim}/secret"):
        assert look(cli, path) == "inside\n"
    (tmp_path / "new").write_text("x")
    cli.ok("cp", str(tmp_path / "new"), "box:/way/new")
    assert sorted(os.listdir(victim)) == ["secret"]


def test_an_archive_cannot_leave_the_directory_it_is_unpacked_in(cli: Cli, stopped: str, victim: Path) -> None:
    def archive(*parts: tuple[str, bytes, str]) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name, kind, target in parts:
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, target
                tar.addfile(info)
        return buffer.getvalue()

    for hostile in (
        archive(("../etc/passwd", tarfile.REGTYPE, "")),
        archive(("way", tarfile.SYMTYPE, "/etc"), ("way/passwd", tarfile.REGTYPE, "")),
        archive(("way", tarfile.SYMTYPE, "../etc"), ("way/deep/passwd", tarfile.REGTYPE, "")),
        archive(("twin", tarfile.LNKTYPE, "../etc/passwd")),
        archive(("way", tarfile.SYMTYPE, "/etc"), ("twin", tarfile.LNKTYPE, "way/passwd")),
    ):
        done = cli("cp", "-", "box:/tmp", stdin=hostile)
        assert done.returncode in (1, 125)
    assert "root" in look(cli, "/etc/passwd")
    assert "/etc" not in cli.ok("diff", "box")


def test_what_a_container_packs_stays_below_the_destination(cli: Cli, victim: Path, tmp_path: Path) -> None:
    """Links come out as links, and are not followed by what comes after them, also not by an earlier copy's."""
    cli.ok("run", "--name", "box", "--network", "none", "busybox", "sh", "-c", f"mkdir /d; ln -s {victim} /d/way")
    cli.ok("cp", "box:/d", str(tmp_path / "out"))
    cli.ok("rm", "box")
    script = "mkdir -p /d/way; echo mine > /d/way/secret"
    cli.ok("run", "--name", "box", "--network", "none", "busybox", "sh", "-c", script)
    done = cli("cp", "box:/d/.", str(tmp_path / "out"))
    assert done.returncode == 125
    assert "onto the file 'way'" in done.stderr
    assert (victim / "secret").read_text() == "of the host"


def test_a_copy_from_a_container_that_ends_says_so(cli: Cli) -> None:
    script = "yes | head -c 30000000 > /big; touch /ready; sleep 99"
    cli.ok("run", "-d", "--name", "box", "--network", "none", "--init", "busybox", "sh", "-c", script)
    wait_until(lambda: "A /ready" in cli.ok("diff", "box"), "its file is there")
    copying = cli.start("cp", "box:/", "-")
    assert copying.stdout
    copying.stdout.read(1000)
    cli.ok("kill", "box")
    cli.ok("wait", "box")
    _, err = copying.communicate(timeout=60)
    end(copying)
    assert copying.returncode == 125, err
    assert b"ended while its files" in err


def test_a_start_waits_for_a_copy_into_a_stopped_container(cli: Cli, stopped: str) -> None:
    lock = cli.run_root / "locks" / cli.inspect("box")["Id"]

    def held() -> bool:
        try:
            with files.locked(str(lock), wait=False):
                return False
        except BlockingIOError:
            return True

    copying = cli.start("cp", "-", "box:/tmp")
    wait_until(held, "the copy has begun")
    starting = cli.start("start", "box")
    time.sleep(0.5)
    assert starting.poll() is None
    copying.communicate(tar_of("late"), timeout=60)
    starting.communicate(timeout=60)
    assert (copying.returncode, starting.returncode) == (0, 0)
    assert "A /tmp/late" in cli.ok("diff", "box")


def tar_of(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def test_nothing_is_left_mounted(cli: Cli, stopped: str, unchanged: None, tmp_path: Path) -> None:
    cli.ok("cp", "box:/etc", str(tmp_path / "etc"))
    assert os.listdir(cli.run_root / "waiters") == []


# -- diff, export -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["overlay", "vfs"])
def test_diff_tells_what_changed(cli: Cli, tmp_path: Path, storage: str) -> None:
    config = tmp_path / "plugins.toml"
    config.write_text(f'[defaults]\nstorage = "{storage}"\n')
    own = Cli(cli.root, cli.run_root, config)
    script = (
        "echo x >> /etc/passwd; mkdir /new; touch /new/a; rm /etc/group; mv /new/a /new/b; touch /root/f; rm /root/f"
    )
    own.ok("run", "--name", "box", "--network", "none", "busybox", "sh", "-c", script)
    assert own.ok("diff", "box").splitlines() == ["C /etc", "D /etc/group", "C /etc/passwd", "A /new", "A /new/b"]


def test_diff_prints_hostile_names_safely(cli: Cli) -> None:
    cli.ok("run", "--name", "box", "--network", "none", "busybox", "sh", "-c", r"touch $(printf '/a\033[31m\a\377')")
    assert cli.ok("diff", "box") == "A /a\\x1b[31m\\x07\\udcff"


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_export_is_the_root_file_system_without_mounts(cli: Cli, tmp_path: Path, state: str) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/inner").touch()
    script = "echo hi > /made; touch /ready; sleep 99"
    volume = ("-v", f"{tmp_path}/volume:/v")
    cli.ok("run", "-d", "--name", "box", "--network", "none", *volume, "--init", "busybox", "sh", "-c", script)
    wait_until(lambda: cli("cp", "box:/ready", "-").returncode == 0, "its files are there")
    if state == "stopped":
        cli.ok("kill", "box")
        cli.ok("wait", "box")
    target = tmp_path / "out.tar"
    cli.ok("export", "-o", str(target), "box")
    found = members(target.read_bytes())
    assert {"bin/busybox", "made", "etc/passwd", "v", "proc", "dev"} <= set(found)
    assert not {"v/inner", "dev/null", "proc/1"} & set(found)
    assert [path.name for path in tmp_path.glob("out.tar*")] == ["out.tar"]
    assert cli("export", "-o", str(tmp_path / "no/where"), "box").returncode == 1


def test_archives_are_not_written_to_a_terminal(cli: Cli, stopped: str) -> None:
    ours, theirs = os.openpty()
    try:
        for arguments in (("export", "box"), ("cp", "box:/etc", "-")):
            process = cli.start(*arguments, stdout=theirs)
            _, err = process.communicate(timeout=60)
            assert process.returncode == 125
            assert b"terminal" in err
    finally:
        os.close(ours)
        os.close(theirs)
