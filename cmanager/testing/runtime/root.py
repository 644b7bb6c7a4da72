"""The root file system and what is mounted in it."""

from __future__ import annotations

from pathlib import Path

from .base import Base
from .box import Box, traces
from .bundle import make_tree, mount
from .supervisor import supervised


@supervised
class RootSuite(Base):
    """What `root`, `mounts`, and the masked and read-only paths of config.json ask."""

    def test_the_root_is_the_bundles(self, box: Box) -> None:
        listed = set(box.sh("ls /; touch /made").split())
        assert {"bin", "data", "etc", "proc"} <= listed
        # A runtime may add the directories that it puts things into.
        assert listed <= {"bin", "data", "dev", "etc", "proc", "sys", "tmp", *("root", "run", "usr", "var")}
        assert (box.root / "made").exists()

    def test_nothing_of_the_host_is_seen_above_the_root(self, box: Box) -> None:
        assert box.sh("cd /../../../..; pwd; ls -d bin data").split() == ["/", "bin", "data"]
        assert box.sh("cat /proc/self/cwd/../../etc/motd") == "welcome"

    def test_a_readonly_root(self, box: Box) -> None:
        ended = box.run(
            "sh", "-c", "touch /new || echo refused; touch /dev/new && echo writable", root={"readonly": True}
        )
        assert ended.out == b"refused\nwritable\n"
        assert b"read-only file system" in ended.err.lower()
        assert not (box.root / "new").exists()

    def test_a_bind_mount(self, box: Box, tmp_path: Path) -> None:
        (tmp_path / "given").mkdir()
        (tmp_path / "given/in").write_text("from outside\n")
        shown = box.sh(
            "cat /mnt/in; echo from inside >/mnt/out", mounts=[mount("bind", tmp_path / "given", "/mnt", "bind")]
        )
        assert shown == "from outside"
        assert (tmp_path / "given/out").read_text() == "from inside\n"

    def test_a_bind_mount_that_is_read_only(self, box: Box, tmp_path: Path) -> None:
        (tmp_path / "given").mkdir()
        (tmp_path / "given/in").write_text("from outside\n")
        bind = mount("bind", tmp_path / "given", "/mnt", "rbind", "ro")
        ended = box.run("sh", "-c", "cat /mnt/in; touch /mnt/out", mounts=[bind])
        assert (ended.code, ended.out) == (1, b"from outside\n")
        assert b"read-only file system" in ended.err.lower()
        (tmp_path / "given/still-writable-outside").touch()

    def test_a_file_is_bound_onto_a_file(self, box: Box, tmp_path: Path) -> None:
        (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
        bind = mount("bind", tmp_path / "hosts", "/etc/hosts", "rbind", "ro")
        assert box.sh("cat /etc/hosts", mounts=[bind]) == "127.0.0.1 localhost"

    def test_a_bind_source_that_is_not_there_is_an_error(self, box: Box, tmp_path: Path) -> None:
        bind = mount("bind", tmp_path / "missing", "/mnt", "bind")
        box.refused(box.config("touch", "/ran", mounts=[bind]), at_start=True)
        assert not (box.root / "ran").exists()

    def test_a_tmpfs_with_its_options(self, box: Box) -> None:
        options = ("nosuid", "nodev", "noexec", "mode=1700", "size=65536")
        script = "stat -c %a /fresh; cat /bin/busybox >/fresh/file; wc -c </fresh/file; cat /proc/mounts"
        ended = box.run("sh", "-c", script, mounts=[mount("tmpfs", "tmpfs", "/fresh", *options)])
        mode, size, *table = ended.text.splitlines()
        assert (mode, size) == ("1700", "65536")
        found = next(line.split()[3].split(",") for line in table if line.split()[1] == "/fresh")
        assert {"rw", "nosuid", "nodev", "noexec"} <= set(found)

    def test_mounts_come_in_their_order(self, box: Box, tmp_path: Path) -> None:
        (tmp_path / "given").mkdir()
        (tmp_path / "given/in").touch()
        both = [mount("tmpfs", "tmpfs", "/mnt"), mount("bind", tmp_path / "given", "/mnt/deep/er", "bind")]
        assert box.sh("ls /mnt/deep/er", mounts=both) == "in"

    def test_mounts_stay_inside(self, box: Box) -> None:
        box.write({})
        before = traces()["mounts"]
        box.begin("sh", "-c", "echo ready; read line", mounts=[mount("tmpfs", "tmpfs", "/mnt")])
        box.line()
        assert traces()["mounts"] == before
        box.finish(b"go\n")
        box.delete()

    def test_a_link_in_the_root_cannot_lead_a_mount_outside(self, box: Box, tmp_path: Path) -> None:
        """Absolute links and `..` are resolved inside the root (CVE-2021-30465, CVE-2019-16884)."""
        outside = tmp_path / "outside"
        outside.mkdir()
        make_tree(box.root, box.busybox)
        (box.root / "link").symlink_to(outside)
        (box.root / "up").symlink_to("../" * 20 + str(outside).lstrip("/"))
        (box.root / str(outside).lstrip("/")).mkdir(parents=True)
        both = [mount("tmpfs", "tmpfs", "/link/one"), mount("tmpfs", "tmpfs", "/up/two")]
        assert box.sh(f"ls {outside}", mounts=both).split() == ["one", "two"]
        assert list(outside.iterdir()) == []

    def test_masked_paths_are_empty(self, box: Box) -> None:
        box.needs("masked_paths", "devices")
        masked = {"maskedPaths": ["/data", "/etc/motd", "/no/such"]}
        assert box.sh("ls /data; cat /etc/motd; echo end", linux=masked) == "end"

    def test_what_the_core_covers_in_proc_is_covered(self, box: Box) -> None:
        box.needs("masked_paths", "devices")
        box.needs_namespaces("pid")
        masked = ["/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/no/such"]
        fixed = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        look = f"for p in {' '.join(masked)}; do test -d $p && ls $p; test -f $p && cat $p; done"
        write = "echo 7 >/proc/sys/kernel/panic || echo refused; echo h >/proc/sysrq-trigger || echo refused"
        shown = box.sh(f"{look}; {write}", linux={"maskedPaths": masked, "readonlyPaths": fixed})
        assert shown.split() == ["refused", "refused"]

    def test_readonly_paths_are_read_only(self, box: Box) -> None:
        box.needs("masked_paths")
        ended = box.run("sh", "-c", "touch /data/new; cat /data/secret", linux={"readonlyPaths": ["/data", "/no/such"]})
        assert ended.out == b"hidden\n"
        assert b"read-only file system" in ended.err.lower()

    def test_the_standard_devices_are_there(self, box: Box) -> None:
        box.needs("devices")
        script = "for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a' /dev/$d; done; ls /dev"
        lines = box.sh(script).splitlines()
        numbers = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}
        assert lines[:6] == [f"/dev/{name} character special file {number} 666" for name, number in numbers.items()]
        assert {"fd", "stdin", "stdout", "stderr"} <= set(lines[6:])
        assert box.sh("echo gone >/dev/null; head -c 3 /dev/zero | wc -c; echo through >/dev/stdout") == "3\nthrough"

    def test_a_device_of_ones_own(self, box: Box) -> None:
        box.needs("devices")
        device = {"path": "/dev/deep/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4}
        shown = box.sh("stat -c '%F %t:%T %a %u:%g' /dev/deep/mine", linux={"devices": [device]})
        assert shown == "character special file 1:5 640 3:4"
