"""Published ports: what is refused before anything is made, and what an image adds to the request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ConflictError, InvalidError, UnsupportedError
from ..model.container import Container, RunRequest
from ..model.image import ImageConfig
from ..model.network import parse_exposed
from ..plugins import Plugins
from ..seams import Publish
from ..supervisor.steps import Step


def check(plugins: Plugins, request: RunRequest, *, now: bool = False) -> None:
    """Refuse ports that the request's network cannot publish; with `now` also those that are taken.

    request: with its network filled in. Raises as `Publish.check_ports`, and UnsupportedError for a network that
    publishes none.
    """
    if not request.ports and not request.publish_all:
        return
    network = request.network
    if network.startswith(("container:", "ns:")):
        raise UnsupportedError(f"network {network} is shared, publish ports where it was made, and leave out -p and -P")
    publisher(plugins, network).check_ports(request.ports, now=now)


def publisher(plugins: Plugins, network: str) -> Publish:
    """A network that publishes ports. Raises UnsupportedError for one that does not."""
    provider = plugins.get("network", network)
    if not isinstance(provider, Publish):
        raise UnsupportedError(f"network {network} cannot publish ports, leave out -p and -P or choose another network")
    return provider


def check_free(plugins: Plugins, request: RunRequest, settle: Callable[[], Any]) -> None:
    """The same with `now`. settle: as in `again_settled`."""
    again_settled(lambda: check(plugins, request, now=True), settle)


def again_settled(look: Callable[[], None], settle: Callable[[], Any]) -> None:
    """Look for free ports. settle: brings all records in line with the kernel, called when one is taken: a container
    that died unnoticed may hold it still."""
    try:
        look()
    except ConflictError:
        settle()
        look()


def steps(plugins: Plugins, container: Container, settle: Callable[[], Any]) -> list[Step]:
    """What a start does first, before anything is made: nothing where no ports are published."""
    if not container.request.ports:
        return []
    return [Step("ports", "see that its ports are free", lambda: check_free(plugins, container.request, settle))]


def exposed(request: RunRequest, image: ImageConfig) -> tuple[str, ...]:
    """Everything exposed as "80/tcp" strings, sorted: the image's, --expose's and what is published.

    An image's text that is no port is left out, unless all are to be published: then InvalidError.
    """
    found = set(request.expose) | {mapping.exposed for mapping in request.publish}
    for text in image.exposed_ports:
        try:
            found.update(parse_exposed(text))
        except InvalidError as error:
            if request.publish_all:
                raise InvalidError(f"image {request.image} exposes {error}, publish its ports one by one") from None
    return tuple(sorted(found, key=_by_number))


def _by_number(text: str) -> tuple[int, str]:
    port, _, protocol = text.partition("/")
    return int(port), protocol
