"""What is decided and refused before a pod is made."""

from __future__ import annotations

import os
import time

from attrs import evolve

from ..errors import InvalidError
from ..linux.process import Process
from ..model.names import check_name, new_id, new_name
from ..model.pod import SHARED, SHM_SIZE, Pod, PodRequest, PodStatus
from ..plugins import Plugins
from ..supervisor import etc
from . import checks, ports


def planned(plugins: Plugins, request: PodRequest) -> Pod:
    """The record of a pod that this process is about to make, with its defaults filled in.

    Raises InvalidError, NotFoundError or UnsupportedError for anything that could only fail later; changes nothing.
    """
    _check_share(request)
    name = check_name(request.name or new_name(), "pod name")
    checks.check_hostname(request.hostname)
    etc.check(request.dns, request.add_hosts)
    network = request.network or plugins.default("network")
    if network.startswith(("container:", "ns:")):
        raise InvalidError(f"the network of a pod cannot be {network}, give it one of its own, such as bridge or none")
    plugins.get("network", network)
    if request.publish:
        ports.publisher(plugins, network).check_ports(request.publish, now=False)
    id = new_id()
    # A host name has 63 characters at most, a name may have more.
    hostname = request.hostname or (name if len(name) < 64 else id[:12])
    filled = evolve(request, name=name, network=network, hostname=hostname)
    return Pod(id, name, time.time(), filled, PodStatus(maker=Process.of(os.getpid())))


def _check_share(request: PodRequest) -> None:
    flags = {
        "--publish": ("network", request.publish),
        "--network": ("network", request.network),
        "--dns": ("network", request.dns),
        "--add-host": ("network", request.add_hosts),
        "--hostname": ("uts", request.hostname),
        "--shm-size": ("ipc", request.shm_size != SHM_SIZE),
    }
    for kind in request.share:
        if kind not in SHARED:
            raise InvalidError(f"a pod cannot share a {kind} namespace, only {', '.join(SHARED)}")
    for flag, (kind, given) in flags.items():
        if given and kind not in request.share:
            raise InvalidError(f"{flag} is about the {kind} namespace, which the pod is not to share")
