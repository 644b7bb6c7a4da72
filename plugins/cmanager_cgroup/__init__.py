"""The cgroup limiter: one cgroup per container in every hierarchy of the host, be it v1, v2 or both (cgroups(7)).

v1.py, v2.py  the tables: which limit is which file
tables.py     what a row of them is
block.py      disks, and who of them honours weights
check.py      what this host can apply
limiter.py    the limiter seam
"""

from __future__ import annotations

import re
from typing import Any

from attrs import field
from attrs.validators import matches_re

from cmanager import hookimpl
from cmanager.linux.values import frozen
from cmanager.model import Context, Provider


@frozen
class Options:
    """parent: str, the cgroup below which containers have theirs, one level, such as "/cmanager"; "" for one that
    belongs to the state directory, so that two managers on one host never meet."""

    parent: str = field(default="", validator=matches_re(re.compile(r"(/[A-Za-z0-9][A-Za-z0-9_.-]{0,63})?")))


def _cgroup(context: Context, options: Any) -> Any:
    from cmanager.linux.cgroupfs.tree import parent_for

    from .limiter import CgroupLimiter

    return CgroupLimiter(options.parent or parent_for(context.root), f"{context.state_dir}/places")


@hookimpl
def cmanager_limiters() -> list[Provider]:
    """One provider, `cgroup`."""
    return [Provider("cgroup", _cgroup, options=Options)]
