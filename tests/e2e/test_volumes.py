"""Volumes: what outlives a container, how it begins, and who may remove it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmanager.testing.images import image_of, offer
from cmanager.testing.storage import archive, directory, file, hardlink, symlink

from ..support import COMMAND, Cli

pytestmark = pytest.mark.root

#: In the container's words: mode, owner, name.
STAT = ("stat", "-c", "%a %u:%g %n")


@pytest.fixture(scope="module")
def place(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State directories for this file, and a registry with images that declare volumes."""
    here = tmp_path_factory.mktemp("volumes")
    shutil.copytree(registry / "busybox", here / "registry" / "busybox")
    (here / "plugins.toml").write_text(f'[image.layers]\nregistry = "{here}/registry"\n')
    (here / "outside").mkdir()
    (here / "outside/secret").write_text("the host's")
    documents = (json.loads(path.read_bytes()) for path in _blobs(here) if path.read_bytes()[:1] == b"{")
    manifest = next(document for document in documents if "layers" in document)
    base = [gzip.decompress(_blob(here, layer["digest"]).read_bytes()) for layer in manifest["layers"]]
    content = archive(
        directory("srv", mode=0o1770, uid=5, gid=6),
        file("srv/file", b"of the image\n", mode=0o4751, uid=7, gid=8),
        hardlink("srv/twin", "srv/file"),
        symlink("srv/link", "file"),
        directory("srv/deep"),
        file("srv/deep/er", b"", uid=9, xattrs={"user.mine": "value"}),
        directory("empty", mode=0o700, uid=1000, gid=1000),
        symlink("out", str(here / "outside")),
        symlink("away", "../../../.."),
        symlink("inside", "/../../srv"),
    )
    offer(here / "registry", "seeded", image_of(*base, content, Volumes={"/srv": {}, "/empty/": {}}))
    offer(here / "registry", "climber", image_of(*base, content, Volumes={"/../../srv": {}, "/inside": {}}))
    offer(here / "registry", "dangler", image_of(*base, content, Volumes={"/out": {}}))
    offer(here / "registry", "whole", image_of(*base, content, Volumes={"/..": {}}))
    offer(here / "registry", "rooted", image_of(*base, content, Volumes={"/away": {}}))
    return here


def _blobs(place: Path) -> list[Path]:
    return list((place / "registry/busybox/blobs/sha256").iterdir())


def _blob(place: Path, digest: str) -> Path:
    return place / "registry/busybox/blobs/sha256" / digest.removeprefix("sha256:")


@pytest.fixture
def cli(place: Path) -> Iterator[Cli]:
    """The command line on this file's directories; no container and no volume is left."""
    found = Cli(place / "root", place / "run", place / "plugins.toml")
    yield found
    assert found.clear() == []
    found.ok("volume", "prune", "-a", "-f")
    assert volumes(found) == []


def volumes(cli: Cli) -> list[str]:
    return cli.ok("volume", "ls", "-q").split()


def sh(cli: Cli, script: str, *options: str, image: str = "busybox") -> str:
    return cli.ok("run", "--rm", "--network", "none", *options, image, "sh", "-c", script)


def flags(cli: Cli, target: str, *options: str) -> set[str]:
    for line in sh(cli, "cat /proc/self/mountinfo", *options).splitlines():
        if line.split()[4] == target:
            return set(line.split()[5].split(",")) | set(line.split(" - ")[0].split()[6:])
    raise AssertionError(f"nothing is mounted at {target}")


# -- the verbs ----------------------------------------------------------------------------------------------------


def test_created_listed_inspected_removed(cli: Cli) -> None:
    assert cli.ok("volume", "create", "-l", "tier=web", "data") == "data"
    assert cli.ok("volume", "create", "data") == "data"  # success, as in docker
    header, row = cli.ok("volume", "ls").splitlines()
    assert (header.split(), row.split()) == (["DRIVER", "VOLUME", "NAME"], ["overlay", "data"])
    [found] = json.loads(cli.ok("volume", "inspect", "data"))
    assert found["Name"] == "data"
    assert found["Labels"] == {"tier": "web"}
    assert (found["Driver"], found["Scope"], found["Options"]) == ("overlay", "local", {})
    assert os.path.isdir(found["Mountpoint"])
    assert found["CreatedAt"].startswith("20")
    assert cli.ok("volume", "inspect", "-f", "{{.Name}} {{.Labels.tier}}", "data") == "data web"
    assert cli.inspect("data") == found
    assert cli.ok("volume", "rm", "data") == "data"
    assert not os.path.exists(found["Mountpoint"])


def test_what_is_missing(cli: Cli) -> None:
    done = cli("volume", "inspect", "nothing")
    assert (done.returncode, json.loads(done.stdout)) == (1, [])
    assert "no such volume: nothing" in done.stderr
    assert cli("volume", "inspect", "../x").returncode == 1
    assert cli("volume", "rm", "nothing").returncode == 1
    assert cli("volume", "rm", "-f", "nothing").returncode == 0


def test_a_volume_without_a_name_gets_64_digits_and_counts_as_anonymous(cli: Cli) -> None:
    name = cli.ok("volume", "create")
    assert len(name) == 64
    assert set(name) <= set("0123456789abcdef")
    assert name in cli.ok("volume", "prune", "-f")


def test_what_cannot_be_honoured_is_refused(cli: Cli) -> None:
    for arguments, said in [
        (("-o", "type=nfs", "data"), "storage plugin 'overlay' takes none"),
        (("-d", "floppy", "data"), "floppy"),
        (("a/b",), "a/b"),
        ((".hid",), ".hid"),
    ]:
        done = cli("volume", "create", *arguments)
        assert (done.returncode, done.stdout) == (125, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    assert volumes(cli) == []


def test_lists_can_be_filtered_and_formatted(cli: Cli) -> None:
    for name, label in [("web-data", "tier=web"), ("db-data", "tier=db"), ("cache", "x")]:
        cli.ok("volume", "create", "-l", label, name)
    cli.ok("create", "-v", "cache:/cache", "busybox")

    def found(*filters: str) -> list[str]:
        given = [word for text in filters for word in ("-f", text)]
        return cli.ok("volume", "ls", "-q", *given).split()

    assert found() == ["cache", "db-data", "web-data"]
    assert found("name=data") == ["db-data", "web-data"]
    assert found("label=tier=db") == ["db-data"]
    assert found("label=tier") == ["db-data", "web-data"]
    assert found("dangling=true") == ["db-data", "web-data"]
    assert found("dangling=false") == ["cache"]
    assert found("driver=vfs") == []
    assert found("name=web", "label=x") == []
    bad = cli("volume", "ls", "-f", "colour=red")
    assert bad.returncode == 125
    assert "dangling" in bad.stderr
    row = json.loads(cli.ok("volume", "ls", "-f", "name=cache", "--format", "json"))
    assert (row["Name"], row["Driver"], row["Scope"], row["Labels"]) == ("cache", "overlay", "local", "x=")
    assert cli.ok("volume", "ls", "-f", "name=cache", "--format", "{{.Name}}@{{.Driver}}") == "cache@overlay"


def test_lists_can_be_sorted_and_typed(cli: Cli) -> None:
    for name in ("b", "a"):
        cli.ok("volume", "create", "-l", "tier=db", name)
    assert cli.ok("volume", "ls", "-q", "--sort", "created").split() == ["b", "a"]
    assert cli.ok("volume", "ls", "--noheading", "--sort", "-name").split() == ["overlay", "b", "overlay", "a"]
    document = json.loads(cli.ok("volume", "ls", "--output", "json"))
    assert document["schema"] == "cmanager.volumes/1"
    first = document["items"][0]
    assert (first["name"], first["labels"], first["anonymous"], first["problem"]) == ("a", {"tier": "db"}, False, None)
    assert cli("volume", "ls", "--sort", "colour").returncode == 125


def test_a_volume_in_use_is_not_removed(cli: Cli) -> None:
    cli.ok("create", "--name", "user", "-v", "data:/data", "busybox")
    cli.ok("run", "--name", "stopped", "--network", "none", "-v", "data:/data", "busybox", "true")
    for name in ("user", "stopped"):
        refused = cli("volume", "rm", "-f", "data")
        assert refused.returncode == 1
        assert "in use" in refused.stderr
        cli.ok("rm", name)
    assert volumes(cli) == ["data"]
    assert cli.ok("volume", "rm", "data") == "data"


def test_the_refusal_names_the_user(cli: Cli) -> None:
    identity = cli.ok("create", "--name", "user", "-v", "data:/data", "busybox")
    said = cli("volume", "rm", "data").stderr
    assert "user" in said
    assert identity[:12] in said


def test_prune_takes_anonymous_ones_that_nobody_uses(cli: Cli) -> None:
    cli.ok("volume", "create", "named")
    cli.ok("volume", "create", "-l", "keep", "kept")
    free = cli.ok("volume", "create")
    cli.ok("create", "--name", "user", "-v", "/used", "busybox")
    [used] = set(volumes(cli)) - {"named", "kept", free}
    assert cli.ok("volume", "prune", stdin="n\n") == "Total reclaimed space: 0B"
    assert cli.ok("volume", "prune") == "Total reclaimed space: 0B"  # nobody said yes
    asked = cli("volume", "prune", stdin="y\n")
    assert "[y/N]" in asked.stderr
    assert asked.stdout.splitlines()[:2] == ["Deleted Volumes:", free]
    assert asked.stdout.splitlines()[-1].startswith("Total reclaimed space: ")
    assert set(volumes(cli)) == {"named", "kept", used}
    assert "named" in cli.ok("volume", "prune", "-a", "-f", "--filter", "label!=keep")
    assert set(volumes(cli)) == {"kept", used}


def test_prune_removes_nothing_while_a_record_is_corrupt(cli: Cli) -> None:
    identity = cli.ok("create", "-v", "data:/data", "busybox")
    record = Path(cli.root, "containers", identity, "config.json")
    whole = record.read_bytes()
    record.write_text("{")
    refused = cli("volume", "prune", "-a", "-f")
    assert refused.returncode == 125
    assert identity[:12] in refused.stderr
    record.write_bytes(whole)
    assert volumes(cli) == ["data"]


def test_gc_leaves_volumes_alone(cli: Cli) -> None:
    cli.ok("volume", "create")
    sh(cli, "echo kept > /data/file", "-v", "data:/data")
    cli.ok("gc")
    assert len(volumes(cli)) == 2
    assert sh(cli, "cat /data/file", "-v", "data:/data") == "kept"


def test_another_storage_plugin_can_keep_it(cli: Cli) -> None:
    cli.ok("volume", "create", "-d", "vfs", "elsewhere")
    assert sh(cli, "echo there > /data/file; cat /data/file", "-v", "elsewhere:/data") == "there"
    [found] = json.loads(cli.ok("volume", "inspect", "elsewhere"))
    assert found["Driver"] == "vfs"
    assert Path(found["Mountpoint"], "file").read_text() == "there\n"
    clash = cli("volume", "create", "-d", "overlay", "elsewhere")
    assert clash.returncode == 125
    assert "vfs" in clash.stderr
    clash = cli("create", "--mount", "source=elsewhere,target=/x,volume-driver=overlay", "busybox")
    assert clash.returncode == 125
    assert "vfs" in clash.stderr


# -- in containers ------------------------------------------------------------------------------------------------


def test_what_is_written_outlives_the_container(cli: Cli) -> None:
    sh(cli, "echo kept > /data/file", "-v", "data:/data")
    assert sh(cli, "cat /other/file", "-v", "data:/other") == "kept"
    assert sh(cli, "cat /other/file", "--mount", "type=volume,src=data,dst=/other") == "kept"
    assert volumes(cli) == ["data"]


def test_two_containers_share_a_volume(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "first", "--network", "none", "-v", "data:/data", "busybox", "sleep", "1000")
    sh(cli, "echo from the second > /data/file", "-v", "data:/data")
    pid = cli.inspect("first")["State"]["Pid"]
    assert Path(f"/proc/{pid}/root/data/file").read_text() == "from the second\n"


def test_volumes_are_nosuid_and_nodev_unless_asked(cli: Cli) -> None:
    assert {"rw", "nosuid", "nodev"} <= flags(cli, "/data", "-v", "data:/data")
    assert "noexec" in flags(cli, "/data", "-v", "data:/data:noexec")
    asked = flags(cli, "/data", "-v", "data:/data:suid,dev")
    assert not {"nosuid", "nodev"} & asked
    assert {"nosuid", "nodev"} <= flags(cli, "/srv", "-v", "/srv")


@pytest.mark.parametrize("words", [("-v", "data:/data:ro"), ("--mount", "type=volume,source=data,target=/data,ro")])
def test_a_read_only_volume(cli: Cli, words: tuple[str, str]) -> None:
    assert {"ro", "nosuid", "nodev"} <= flags(cli, "/data", *words)
    done = cli("run", "--rm", "--network", "none", *words, "busybox", "touch", "/data/file")
    assert done.returncode == 1
    assert "read-only" in done.stderr.lower()


def test_labels_of_a_volume_that_is_made_on_use(cli: Cli) -> None:
    sh(cli, "true", "--mount", 'type=volume,source=data,target=/data,volume-label=a=b,"volume-label=c=d,e"')
    assert json.loads(cli.ok("volume", "inspect", "data"))[0]["Labels"] == {"a": "b", "c": "d,e"}


def test_a_part_of_a_volume(cli: Cli) -> None:
    sh(cli, "mkdir -p /v/a/b; echo deep > /v/a/b/file; ln -s /a/b /v/link; ln -s /etc /v/out", "-v", "data:/v")
    option = "type=volume,source=data,target=/part,volume-subpath="
    assert sh(cli, "cat /part/file", "--mount", option + "a/b") == "deep"
    assert sh(cli, "cat /part", "--mount", option + "a/b/file") == "deep"
    assert sh(cli, "cat /part/file", "--mount", option + "link") == "deep"
    assert {"nosuid", "nodev"} <= flags(cli, "/part", "--mount", option + "a")
    for missing in ("nothing", "out"):
        done = cli("run", "--rm", "--network", "none", "--mount", option + missing, "busybox", "ls", "/part")
        assert done.returncode == 125
        assert missing in done.stderr


@pytest.mark.usefixtures("user_namespaces")
def test_nothing_of_a_volume_shows_on_the_host(cli: Cli) -> None:
    before = Path("/proc/self/mountinfo").read_bytes()
    options = ("-v", "data:/data", "--mount", "source=data,target=/part,volume-subpath=.", "--userns", "auto")
    cli.ok("run", "-d", "--name", "up", "--network", "none", *options, "busybox", "sleep", "1000")
    during = Path("/proc/self/mountinfo").read_text()
    assert "data" not in [line.split()[4] for line in during.splitlines() if "/data" in line.split()[4]]
    assert [line for line in during.splitlines() if str(cli.root) in line] == []
    cli.ok("rm", "-f", "up")
    assert Path("/proc/self/mountinfo").read_bytes() == before


def test_ps_and_inspect_show_it(cli: Cli) -> None:
    cli.ok(
        "create", "--name", "shown", "-v", "data:/data:ro", "-v", "/anon", "--tmpfs", "/t", "-v", "/tmp:/h", "busybox"
    )
    found = {mount["Destination"]: mount for mount in cli.inspect("shown")["Mounts"]}
    named, anonymous = found["/data"], found["/anon"]
    assert (named["Type"], named["Name"], named["Driver"]) == ("volume", "data", "overlay")
    assert (named["Mode"], named["RW"], named["Propagation"]) == ("ro", False, "")
    assert os.path.isdir(named["Source"])
    assert (len(anonymous["Name"]), anonymous["RW"]) == (64, True)
    assert (found["/h"]["Type"], found["/h"]["Source"], found["/h"]["Propagation"]) == ("bind", "/tmp", "rprivate")
    assert (found["/t"]["Type"], found["/t"]["Source"]) == ("tmpfs", "")
    cli.ok("create", "--name", "other", "busybox")
    for value in ("data", "/data", anonymous["Name"]):
        assert cli.ok("ps", "-a", "--filter", f"volume={value}", "--format", "{{.Names}}") == "shown"
    row = cli.ok("ps", "-a", "--filter", "volume=data", "--format", "{{.LocalVolumes}} {{.Mounts}}")
    assert row == f"2 /tmp,data,{anonymous['Name'][:14]}…"


# -- anonymous volumes ----------------------------------------------------------------------------------------------


def test_anonymous_volumes_stay_unless_rm_v(cli: Cli) -> None:
    cli.ok("create", "--name", "one", "-v", "/anon", "-v", "named:/n", "busybox")
    cli.ok("rm", "one")
    [left] = set(volumes(cli)) - {"named"}
    assert len(left) == 64
    cli.ok("create", "--name", "two", "-v", "/anon", "-v", "named:/n", "busybox")
    cli.ok("rm", "-v", "two")
    assert set(volumes(cli)) == {left, "named"}


def test_rm_takes_anonymous_volumes_along(cli: Cli) -> None:
    sh(cli, "echo x > /anon/file", "-v", "/anon", "-v", "named:/n")
    assert volumes(cli) == ["named"]
    cli.ok("run", "-d", "--rm", "--name", "killed", "--network", "none", "-v", "/anon", "busybox", "sleep", "1000")
    assert len(volumes(cli)) == 2
    cli.ok("rm", "-f", "killed")
    assert volumes(cli) == ["named"]


def test_a_start_that_fails_takes_them_along_too(cli: Cli) -> None:
    assert cli("run", "--rm", "--network", "none", "-v", "/anon", "busybox", "no-such-command").returncode == 127
    assert volumes(cli) == []


def test_an_anonymous_volume_is_kept_over_restarts(cli: Cli) -> None:
    script = "cat /anon/kept 2>/dev/null; echo more >> /anon/kept"
    cli.ok("run", "--name", "keeper", "--network", "none", "-v", "/anon", "busybox", "sh", "-c", script)
    assert cli.ok("start", "-a", "keeper") == "more"


def test_volumes_from_another_container(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("bound")
    cli.ok("create", "--name", "owner", "-v", "data:/data", "-v", "/anon", "-v", f"{tmp_path}:/bound", "busybox")
    cli.ok(
        "run", "--name", "writer", "--volumes-from", "owner", "busybox", "sh", "-c", "echo x > /anon/f; cat /bound/file"
    )
    assert sh(cli, "cat /anon/f", "--volumes-from", "owner:ro") == "x"
    assert "ro" in flags(cli, "/data", "--volumes-from", "owner:ro")
    assert "ro" in flags(cli, "/bound", "--volumes-from", "owner:ro")
    # Its own mounts win, and the last user takes the anonymous volume along.
    assert sh(cli, "ls /anon", "--volumes-from", "owner", "--tmpfs", "/anon") == ""
    cli.ok("rm", "-v", "owner")
    assert len(volumes(cli)) == 2
    cli.ok("rm", "-v", "writer")
    assert volumes(cli) == ["data"]
    assert cli("create", "--volumes-from", "nobody", "busybox").returncode == 125


# -- what the image has ---------------------------------------------------------------------------------------------


def test_the_images_volumes_are_made_and_filled(cli: Cli) -> None:
    cli.ok("run", "--name", "seeded", "--network", "none", "seeded", *STAT, "/srv", "/srv/file", "/empty")
    assert cli.ok("logs", "seeded").splitlines() == ["1770 5:6 /srv", "4751 7:8 /srv/file", "700 1000:1000 /empty"]
    found = {mount["Destination"]: mount for mount in cli.inspect("seeded")["Mounts"]}
    assert set(found) == {"/srv", "/empty"}
    srv = Path(found["/srv"]["Source"])
    assert (srv / "file").stat().st_ino == (srv / "twin").stat().st_ino
    assert (srv / "file").stat().st_mtime == 1_700_000_000
    assert os.readlink(srv / "link") == "file"
    assert os.getxattr(srv / "deep/er", "user.mine") == b"value"
    assert stat.S_IMODE((srv / "file").stat().st_mode) == 0o4751
    cli.ok("rm", "-v", "seeded")
    assert volumes(cli) == []


def test_a_named_volume_is_filled_once(cli: Cli) -> None:
    assert sh(cli, "cat /srv/file; rm /srv/*; echo mine > /srv/mine", "-v", "data:/srv", image="seeded")
    assert sh(cli, "ls /srv", "-v", "data:/srv", image="seeded").split() == ["deep", "mine"]


def test_what_a_container_emptied_stays_empty_when_it_starts_again(cli: Cli) -> None:
    script = "ls /srv; rm -r /srv/*"
    cli.ok("run", "--name", "cleaner", "--network", "none", "-v", "data:/srv", "seeded", "sh", "-c", script)
    assert cli("start", "-a", "cleaner").stdout == ""


def test_nocopy_leaves_it_empty(cli: Cli) -> None:
    assert sh(cli, "ls /srv", "-v", "data:/srv:nocopy", image="seeded") == ""
    mount = "type=volume,source=other,target=/srv,volume-nocopy"
    assert sh(cli, "ls /srv", "--mount", mount, image="seeded") == ""


def test_a_mount_of_ones_own_takes_the_place_of_the_images_volume(cli: Cli) -> None:
    assert sh(cli, "ls /srv", "--tmpfs", "/srv/", "--mount", "type=tmpfs,dst=/empty", image="seeded") == ""
    cli.ok("create", "--name", "none", "--tmpfs", "/srv", "-v", "/tmp:/empty", "seeded", "true")
    assert volumes(cli) == []


def test_another_users_volume_can_be_written_by_him(cli: Cli) -> None:
    cli.ok("run", "--rm", "--network", "none", "-u", "1000:1000", "-v", "data:/empty", "seeded", "touch", "/empty/mine")


def test_no_volume_of_an_image_leads_out(cli: Cli, place: Path) -> None:
    """CVE-2022-23648: `..` and links in VOLUME stay in the image's root."""
    listed = cli.ok(
        "run", "--name", "climber", "--network", "none", "climber", "sh", "-c", "cat /srv/file; ls -a /inside"
    )
    assert listed.startswith("of the image")
    found = cli.inspect("climber")["Mounts"]
    assert {mount["Destination"] for mount in found} == {"/srv", "/inside"}
    assert [sorted(os.listdir(mount["Source"])) for mount in found] == [["deep", "file", "link", "twin"]] * 2
    assert cli("run", "--network", "none", "dangler", "ls", "/out").returncode == 125
    [mount] = cli.inspect(cli.ok("ps", "-l", "-q"))["Mounts"]
    assert os.listdir(mount["Source"]) == []
    assert os.listdir(place / "outside") == ["secret"]


@pytest.mark.parametrize("image", ["whole", "rooted"])
def test_a_volume_over_the_root_is_refused(cli: Cli, image: str) -> None:
    cli.ok("pull", "-q", image)
    done = cli("run", "--rm", "--network", "none", image, "true")
    assert done.returncode == 125
    assert done.stderr.count("\n") == 1
    assert (volumes(cli), cli.names()) == ([], [])


@pytest.mark.usefixtures("user_namespaces")
def test_a_user_namespace_sees_its_own_ids_and_writes_the_volumes(cli: Cli) -> None:
    options = ("--userns", "auto", "-v", "data:/srv")
    script = "stat -c '%u:%g %n' /srv /srv/file; touch /srv/new; chown 12:13 /srv/new"
    assert sh(cli, script, *options, image="seeded").splitlines() == ["5:6 /srv", "7:8 /srv/file"]
    # The same ids in another range, without one, and on the disk.
    assert sh(cli, "stat -c '%u:%g' /srv/new", *options) == "12:13"
    assert sh(cli, "stat -c '%u:%g' /srv/new", "-v", "data:/srv") == "12:13"
    [found] = json.loads(cli.ok("volume", "inspect", "data"))
    info = os.stat(f"{found['Mountpoint']}/new")
    assert (info.st_uid, info.st_gid) == (12, 13)
    assert {"nosuid", "nodev"} <= flags(cli, "/srv", *options)


# -- binds and tmpfs ------------------------------------------------------------------------------------------------


def in_a_namespace(cli: Cli, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script whose mounts the host does not see; "$@" in it is `cmanager run --rm`."""
    command = [*COMMAND, "run", "--rm", "--network", "none"]
    arguments = ["unshare", "--mount", "sh", "-c", script, "sh", *command]
    return subprocess.run(arguments, env=cli.environment, capture_output=True, text=True, timeout=60)


def test_a_bind_brings_what_is_mounted_below_unless_asked_not_to(cli: Cli, tmp_path: Path) -> None:
    script = f"""
        mount -t tmpfs tmpfs {tmp_path}
        mkdir {tmp_path}/sub; mount -t tmpfs tmpfs {tmp_path}/sub; touch {tmp_path}/sub/below
        for option in bind-recursive=enabled bind-nonrecursive bind-recursive=disabled; do
            "$@" --mount type=bind,source={tmp_path},target=/b,$option busybox ls /b/sub
            echo $option
        done
        for option in readonly readonly,bind-recursive=readonly; do
            "$@" --mount type=bind,source={tmp_path},target=/b,$option busybox touch /b/sub/x
        done
    """
    done = in_a_namespace(cli, script)
    expected = ["below", "bind-recursive=enabled", "bind-nonrecursive", "bind-recursive=disabled"]
    assert done.stdout.split() == expected, done.stderr
    assert done.stderr.lower().count("read-only") == 2


def test_a_slave_sees_what_the_host_mounts_later_and_others_do_not(cli: Cli, tmp_path: Path) -> None:
    waiting = (
        "touch /b/ready; for n in $(seq 50); do [ -e /b/late/file ] && echo seen && exit; sleep 0.1; done; echo not"
    )
    script = f"""
        mount -t tmpfs tmpfs {tmp_path}; mount --make-shared {tmp_path}
        mkdir {tmp_path}/late
        for option in rslave rprivate; do
            rm -f {tmp_path}/ready
            "$@" --mount type=bind,source={tmp_path},target=/b,bind-propagation=$option busybox sh -c '{waiting}' &
            while [ ! -e {tmp_path}/ready ]; do sleep 0.05; done
            mount -t tmpfs tmpfs {tmp_path}/late; touch {tmp_path}/late/file
            wait
            umount {tmp_path}/late
        done
    """
    done = in_a_namespace(cli, script)
    assert done.stdout.split() == ["seen", "not"], done.stderr


def test_mounts_of_a_container_are_never_shown_to_the_host(cli: Cli) -> None:
    for option in (("-v", "/tmp:/x:rshared"), ("--mount", "type=bind,source=/tmp,target=/x,bind-propagation=shared")):
        done = cli("create", *option, "busybox")
        assert done.returncode == 125
        assert "rslave" in done.stderr
    assert cli.names() == []


def test_a_tmpfs_of_a_size_and_mode(cli: Cli) -> None:
    option = "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=0750"
    assert sh(cli, "stat -c %a /t; df -k /t | tail -1 | awk '{print $2}'", "--mount", option).split() == ["750", "1024"]
    assert {"ro", "nosuid", "nodev", "noexec"} <= flags(cli, "/t", "--mount", "type=tmpfs,target=/t,readonly")
