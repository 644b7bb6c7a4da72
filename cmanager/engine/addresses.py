"""What `--ip`, `--mac-address` and `--network-alias` ask of a network, refused where it cannot be."""

from __future__ import annotations

from ..errors import UnsupportedError
from ..model.container import RunRequest
from ..plugins import Plugins
from ..seams import Assign


def check(plugins: Plugins, request: RunRequest, *, now: bool) -> None:
    """Refuse an address that the request's network cannot give; before anything is made.

    request: with its network filled in; now: also one that is taken. Raises as `Assign.check_address`, and
    UnsupportedError for a network that gives none.
    """
    asked = {"--ip": request.address, "--mac-address": request.mac, "--network-alias": request.aliases}
    flag = next((flag for flag, value in asked.items() if value), "")
    if not flag:
        return
    network = request.network
    if network.startswith(("container:", "ns:")):
        raise UnsupportedError(f"network {network} is shared, give {flag} where it was made")
    provider = plugins.get("network", network)
    if not isinstance(provider, Assign):
        raise UnsupportedError(f"network {network} gives no addresses, leave out {flag} or choose another network")
    provider.check_address(request.address, request.mac, now=now)
