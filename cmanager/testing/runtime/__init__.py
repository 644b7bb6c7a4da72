"""The conformance suite of the runtime seam: what `cmanager.seams.Runtime` says, tried on a real kernel.

    class TestMine(RuntimeSuite):
        provider = "mine"

Needs root and a static busybox (the fixture `busybox`). Each test runs in a supervisor of its own, as every container
has one: a forked child that is a subreaper, in namespaces of its own, with the root file system mounted in its bundle.
There the runtime is made and asked for its `features`; what it does not announce is skipped, saying so, and must be
refused. A process that it keeps for itself from then on must end with the supervisor.

bundle.py      a root file system and a config.json to change
supervisor.py  the process each test runs in
box.py         one container under test
lifecycle.py, process.py, root.py, isolation.py, entering.py, terminal.py, refusals.py   the tests
"""

from __future__ import annotations

from .box import Box, Ended
from .entering import ExecSuite
from .isolation import IsolationSuite
from .lifecycle import LifecycleSuite
from .process import ProcessSuite
from .refusals import RefusalSuite
from .root import RootSuite
from .supervisor import supervised
from .terminal import TerminalSuite

__all__ = ["Box", "Ended", "RuntimeSuite", "supervised"]


# pytest begins with the last base: what everything else rests on comes first.
class RuntimeSuite(RefusalSuite, TerminalSuite, ExecSuite, IsolationSuite, RootSuite, ProcessSuite, LifecycleSuite):
    """Every promise of `cmanager.seams.Runtime`, and of `Exec` where the runtime has it, checked."""
