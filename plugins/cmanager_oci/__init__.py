"""Command-line OCI runtimes: runc, crun, and every other program that takes their verbs.

In plugins.toml another one needs no code:

    [plugins]
    runtime.youki = "cmanager_oci:oci [api1]"

    [runtime.youki]
    path = "/usr/local/bin/youki"
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cmanager import hookimpl
from cmanager.linux.values import frozen
from cmanager.model import Context, Provider


@frozen
class Options:
    """What `[runtime.NAME]` may say.

    path: of the program, by default the one of the runtime's name; arguments: given to it before each verb;
    minimum: the first version without known escapes, one for each series that is still mended ("1.3.6"); strict:
    refuse older ones instead of warning; lacks: options of `Features` that the program ignores and does not say so;
    hybrid: whether it works where some controllers are in cgroup v1 and some in v2.
    """

    path: str = ""
    arguments: tuple[str, ...] = ()
    minimum: tuple[str, ...] = ()
    strict: bool = False
    lacks: tuple[str, ...] = ()
    hybrid: bool = True


@frozen
class RuncOptions(Options):
    """runc's: CVE-2025-31133, CVE-2025-52565, CVE-2025-52881 and CVE-2026-41579 are mended from these on.

    It runs poststart hooks when it creates.
    """

    lacks: tuple[str, ...] = ("poststart",)
    minimum: tuple[str, ...] = ("1.3.6", "1.4.3", "1.5.0")


@frozen
class CrunOptions(Options):
    """crun's: CVE-2026-47766, CVE-2026-88264 and CVE-2026-88265 are mended from here on."""

    minimum: tuple[str, ...] = ("1.30",)
    hybrid: bool = False


def _runtime(direct: bool) -> Callable[[Context, Options], Any]:
    def factory(context: Context, options: Options) -> Any:
        from .runtime import Command

        return Command(context, options, direct=direct)

    return factory


@hookimpl
def cmanager_runtimes() -> list[Provider]:
    """`runc` and `crun`, and `oci` for any other, whose containers may be more than processes of this kernel."""
    return [
        Provider("runc", _runtime(direct=True), options=RuncOptions),
        Provider("crun", _runtime(direct=True), options=CrunOptions),
        Provider("oci", _runtime(direct=False), options=Options),
    ]
