"""How a container comes into a pod: what it may ask there, and the pod that `--pod new:NAME` makes."""

from __future__ import annotations

from attrs import evolve

from ..errors import InvalidError
from ..model.container import RunRequest
from ..model.pod import SHM_SIZE, Membership, Pod, PodRequest

NEW = "new:"


def wanted(request: RunRequest) -> tuple[RunRequest, PodRequest]:
    """A request with "new:NAME" taken apart: what is left for the container, and the pod that gets the rest.

    Raises InvalidError.
    """
    name = request.pod.removeprefix(NEW)
    if not name:
        raise InvalidError("--pod new: needs a name, such as new:web")
    pod = PodRequest(
        name=name,
        hostname=request.hostname,
        network=request.network,
        publish=request.publish,
        dns=request.dns,
        add_hosts=request.add_hosts,
        shm_size=request.shm_size,
    )
    left = evolve(request, network="", publish=(), hostname="", dns=(), add_hosts=(), shm_size=SHM_SIZE)
    return left, pod


def admitted(request: RunRequest, pod: Pod) -> RunRequest:
    """The request as that of a member of `pod`. Raises InvalidError, naming the flag, for what belongs to the pod."""
    share, spaces = pod.request.share, request.namespaces
    flags = {
        "--network": ("network", request.network),
        "--publish": ("network", request.publish),
        "--publish-all": ("network", request.publish_all),
        "--dns": ("network", request.dns),
        "--add-host": ("network", request.add_hosts),
        "--hostname": ("uts", request.hostname),
        "--uts": ("uts", spaces.uts),
        "--ipc": ("ipc", spaces.ipc),
        "--shm-size": ("ipc", request.shm_size != SHM_SIZE),
    }
    for flag, (kind, given) in flags.items():
        if given and kind in share:
            raise InvalidError(f"{flag} and --pod exclude each other: the {kind} namespace belongs to pod {pod.name}")
    if share and spaces.user not in ("", "host"):
        raise InvalidError(
            f"--userns and --pod exclude each other: the {share[0]} namespace of pod {pod.name} belongs to the host's "
            "user namespace, and root of another has no power over it"
        )
    given = evolve(request, pod=pod.id, member=Membership(pod.id, pod.name, share))
    if "network" in share:
        given = evolve(given, network=pod.request.network, dns=pod.request.dns, add_hosts=pod.request.add_hosts)
    if "uts" in share:
        given = evolve(given, hostname=pod.request.hostname)
    if "ipc" in share:
        given = evolve(given, shm_size=pod.request.shm_size)
    return given
