"""The conformance suite of the runtime seam: what `cmanager.seams.Runtime` says, tried on a real kernel.

    from cmanager.testing.runtime import RuntimeSuite

    class TestMine(RuntimeSuite):
        def make(self, directory):
            return Mine(directory)

Needs root and a static busybox (the fixture `busybox`). Each test runs in a supervisor of its own, as every container
has one: a forked child that is a subreaper, in namespaces of its own, with the root file system mounted in its bundle.
What the runtime does not announce in `features` is skipped, saying so, and must be refused.

bundle.py      a root file system and a config.json to change
supervisor.py  the process each test runs in
box.py         one container under test
lifecycle.py, process.py, root.py, isolation.py, entering.py, terminal.py, refusals.py   the tests
"""

from __future__ import annotations

import pytest

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


@pytest.mark.root
class RuntimeSuite(LifecycleSuite, ProcessSuite, RootSuite, IsolationSuite, ExecSuite, TerminalSuite, RefusalSuite):
    """Subclass it and say with `make` how the runtime is made."""
