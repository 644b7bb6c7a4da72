"""What the containers of a pod share, as a table of steps: namespaces, /dev/shm, its place on the network.

Everything is named after the pod's id and held by a mount or a lease, not by a process: it lasts whoever dies.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from functools import partial

from ..errors import HostError
from ..linux import files, netns, pins, syscalls
from ..model.network import Attachment, Endpoint, Peer
from ..model.pod import SHARED, Pod
from ..plugins import Plugins
from ..state import Paths
from ..supervisor import etc
from ..supervisor.steps import Step

_SHM_FLAGS = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC


def table(plugins: Plugins, paths: Paths, pod: Pod) -> list[Step]:
    """The steps that make what `pod` shares; undone when it is removed. "pod link" is its attachment."""
    directory, request = paths.pod(pod.id), pod.request
    steps: list[Step] = []
    if "network" in request.share:
        steps += _network(plugins, paths, pod)
    if "ipc" in request.share:
        ipc, shm = f"{directory}/ipc", f"{directory}/shm"
        steps += [
            Step("pod ipc", "pin an ipc namespace", lambda: pins.pin_here(ipc, "ipc"), lambda: pins.unpin(ipc)),
            Step(
                "pod shm",
                f"mount its /dev/shm of {request.shm_size} bytes",
                lambda: _mount_shm(shm, request.shm_size),
                lambda: _unmount_shm(shm),
            ),
        ]
    if "uts" in request.share:
        uts = f"{directory}/uts"
        text = f"pin an uts namespace with host name {request.hostname}"
        name = partial(syscalls.sethostname, request.hostname)
        steps.append(Step("pod uts", text, lambda: pins.pin_here(uts, "uts", name), lambda: pins.unpin(uts)))
    return steps


def whole(plugins: Plugins, paths: Paths, pod: Pod) -> bool:
    """Whether everything that `table` mounts is still there."""
    directory, share = paths.pod(pod.id), pod.request.share
    isolated = "network" in share and plugins.get("network", pod.request.network).isolated
    expected = [*(["network"] if isolated else []), *(["ipc", "shm"] if "ipc" in share else [])]
    expected += ["uts"] if "uts" in share else []
    return all(pins.pinned(f"{directory}/{name}") for name in expected)


def discard(paths: Paths, id: str) -> None:
    """Undo, by name, all but the attachment of a pod whose record is gone or unreadable. Idempotent."""
    directory = paths.pod(id)
    for kind in SHARED:
        pins.unpin(f"{directory}/{kind}")
    _unmount_shm(f"{directory}/shm")
    for network in _listed(f"{paths.run_root}/hosts"):
        etc.Hosts(paths.hosts(network)).remove(id)
    files.remove_tree(directory)


def _network(plugins: Plugins, paths: Paths, pod: Pod) -> list[Step]:
    id, request, directory = pod.id, pod.request, paths.pod(pod.id)
    provider = plugins.get("network", request.network)
    path = f"{directory}/network" if provider.isolated else ""
    endpoint = Endpoint(request.hostname, aliases=(pod.name,), ports=request.publish)
    published = "".join(f", publish {p.binding} for {p.exposed}" for p in request.publish)
    hosts = etc.Hosts(paths.hosts(request.network))

    def write(link: Attachment) -> None:
        hosts.add(id, _peer(pod, link), request.add_hosts, link.gateway or "127.0.0.1")
        etc.write(directory, request.hostname, request.dns or link.dns, bool(path))

    pinned = Step("pod netns", "pin a network namespace", lambda: netns.pin(path), lambda: netns.unpin(path))
    return [
        *([pinned] if path else []),
        Step(
            "pod link",
            f"attach it to network {request.network}{published}",
            lambda: provider.attach(id, path, endpoint),
            lambda: provider.detach(id, path),
        ),
        Step(
            "pod hosts",
            "write its hosts file and resolv.conf, and tell its name to the others",
            lambda **made: write(made["pod link"]),
            lambda: hosts.remove(id),
            takes=("pod link",),
        ),
    ]


def _peer(pod: Pod, link: Attachment) -> Peer | None:
    if not link.addresses:
        return None
    return Peer(link.addresses[0].partition("/")[0], (pod.request.hostname, pod.name, pod.id[:12]))


def _mount_shm(path: str, size: int) -> None:
    """POSIX shared memory is files (shm_overview(7)). A mount of its own, or it had no size but the whole tmpfs's."""
    try:
        os.mkdir(path, 0o700)
        syscalls.mount("shm", path, "tmpfs", _SHM_FLAGS, f"mode=1777,size={size}")
    except OSError as error:
        raise HostError.of("mount the shared memory of a pod at", path, error) from None


def _unmount_shm(path: str) -> None:
    try:
        syscalls.umount(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
    except OSError as error:
        # EINVAL: the directory is there but nothing is mounted on it (killed in between).
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
    with suppress(FileNotFoundError):
        os.rmdir(path)


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []
