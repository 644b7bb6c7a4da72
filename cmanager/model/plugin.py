"""What plugins hand to the core, and what the core hands to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import field

from ..linux.mounts import Mount
from ..linux.values import frozen


@frozen
class Context:
    """What a provider's factory receives besides its options.

    state_dir: durable directory of its own, made 0700 on first use by the provider; run_dir: the same on tmpfs, gone
    after a reboot; root: the manager's durable root; shipped: directory with the `plugins.toml` and the `registry/`
    recipes that came with cmanager, which is the checkout itself where it runs from one; name: what the provider is
    called here, which is not `Provider.name` where plugins.toml gives it another.
    """

    state_dir: str
    run_dir: str
    root: str
    shipped: str
    name: str = ""


@frozen
class Provider:
    """One implementation of a seam, as returned from a discovery hook.

    name: the word people type (`--runtime native`); factory: called as factory(context, options), once per process and
    only when it is needed; api: version of the seam it was written for; options: an attrs class whose fields are the
    keys accepted in `[SEAM.NAME]` of plugins.toml, with defaults, or None when it takes none.
    """

    name: str
    factory: Callable[[Context, Any], Any]
    api: int = 1
    options: type | None = None


@frozen
class Amendment:
    """An additive change to one container's OCI configuration.

    env: variables to add; mounts: to add; annotations: to add; hooks: OCI hooks by kind ("createRuntime", …), each a
    dict as in the runtime specification. A variable, mount target or annotation that exists already, or that two
    plugins claim, is an error naming who claimed it; hooks never clash.
    """

    env: dict[str, str] = field(factory=dict)
    mounts: tuple[Mount, ...] = ()
    annotations: dict[str, str] = field(factory=dict)
    hooks: dict[str, tuple[dict[str, Any], ...]] = field(factory=dict)


@frozen
class Event:
    """Something that happened.

    kind: container, image, volume or pod; action: Docker's words (create, start, die, destroy, oom, …); id: of the
    object, or its name; time: seconds since the epoch; attributes: name, image, exitCode, signal, …, and the labels of
    a container or pod.
    """

    kind: str
    action: str
    id: str
    time: float
    attributes: dict[str, str] = field(factory=dict)
