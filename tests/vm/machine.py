"""A virtual machine with Debian 12's own kernel and nothing but cgroup v2, booted by QEMU for one command.

A boot writes to a throw-away layer over the cached root file system. The checkout and the command come in on a second
disk; what the command prints goes out on the second serial line, what the kernel says on the first.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import rootfs
from rootfs import CHECKOUT, Failed

#: A kernel that cannot go on ends the machine, and QEMU by -no-reboot.
_KERNEL = "console=ttyS0 quiet panic=-1 watchdog_thresh=60 softlockup_panic=1"
_LAST = re.compile(rb"\nvm: exit code (\d+)\r?\n")


def boot(job: str, *, shell: bool = False, seconds: int = 1800) -> int:
    """Run the shell script `job` in the checkout, in a fresh machine, and pass its output on; returns its exit code.

    shell: give it this terminal as stdin. Raises Failed, also when it takes longer than `seconds`.
    """
    made = rootfs.made()
    with tempfile.TemporaryDirectory(prefix="cmanager-vm-", dir="/var/tmp") as work:
        console, disk = Path(work) / "console", _job_disk(Path(work), job, shell)
        command = [
            *("timeout", "--foreground", str(seconds), "qemu-system-x86_64"),
            # Not kvm by itself: where it is there, it may still not work. One thread: with more, QEMU 7.2 now and then
            # loses the interrupt that wakes an idle processor, and the machine stands still.
            *("-accel", os.environ.get("CMANAGER_VM_ACCEL", "tcg,thread=single"), "-cpu", "max"),
            *("-smp", "2", "-m", "1536", "-nodefaults", "-nic", "none", "-display", "none", "-no-reboot"),
            *("-kernel", f"{made}/vmlinuz", "-initrd", f"{made}/initrd"),
            *("-append", f"root=/dev/vda rw init=/init {_KERNEL}"),
            *("-drive", f"file={made}/root.ext4,format=raw,if=virtio,snapshot=on"),
            *("-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"),
            *("-serial", f"file:{console}", "-chardev", "stdio,id=out,signal=off", "-serial", "chardev:out"),
        ]
        said = _follow(command, shell)
        if found := _LAST.search(said):
            return int(found[1])
        words = console.read_text(errors="replace").splitlines()[-30:] if console.exists() else []
        raise Failed("\n".join(("the virtual machine ended before its command did, its console said:", *words)))


def _follow(command: list[str], shell: bool) -> bytes:
    """Pass on what the machine prints, as it comes; returns the end of it."""
    last = b""
    with subprocess.Popen(command, stdin=None if shell else subprocess.DEVNULL, stdout=subprocess.PIPE) as machine:
        assert machine.stdout is not None
        try:
            while data := machine.stdout.read1(65536):  # type: ignore[attr-defined]
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
                last = (last + data)[-200:]
        except BaseException:
            machine.terminate()
            raise
    return last


def _job_disk(work: Path, job: str, shell: bool) -> Path:
    """A disk with the checkout's files, the images that are built in its registry, and the command."""
    tree, disk = work / "tree", work / "job.ext4"
    listed = rootfs.run(
        *("git", "-c", f"safe.directory={CHECKOUT}"),
        *("ls-files", "-z", "--cached", "--others", "--exclude-standard"),
    )
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).is_file():
            (tree / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, tree / "checkout" / name)
    for index in CHECKOUT.glob("registry/*/index.json"):
        shutil.copytree(index.parent, tree / "checkout" / index.parent.relative_to(CHECKOUT))
    if not (tree / "checkout/registry/busybox").exists():
        raise Failed("registry/busybox is not built yet: cmanager registry build busybox")
    (tree / "job").write_text(job)
    if shell:
        (tree / "shell").touch()
    rootfs.disk(tree, disk, "2G")
    shutil.rmtree(tree)
    return disk
