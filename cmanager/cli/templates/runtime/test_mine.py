"""The contract of the runtime seam, tried on mine. Needs root and a static busybox."""

from cmanager.testing import RuntimeSuite


class TestMine(RuntimeSuite):
    provider = "mine"
