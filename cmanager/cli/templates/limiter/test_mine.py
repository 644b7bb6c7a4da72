"""The contract of the limiter seam, tried on mine. Needs root."""

from cmanager.testing import LimiterSuite


class TestMine(LimiterSuite):
    provider = "mine"
