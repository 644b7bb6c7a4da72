"""The contract of the network seam, tried on mine. Needs root."""

from cmanager.testing import NetworkSuite


class TestMine(NetworkSuite):
    provider = "mine"
