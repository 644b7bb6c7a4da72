"""The native runtime: an OCI bundle in namespaces of its own, made with system calls and nothing else."""

from __future__ import annotations

from typing import Any

from cmanager import hookimpl
from cmanager.model import Context, Provider


def _native(context: Context, options: Any) -> Any:
    from .runtime import Native

    return Native(f"{context.state_dir}/seccomp")


@hookimpl
def cmanager_runtimes() -> list[Provider]:
    """One provider, `native`."""
    return [Provider("native", _native)]
