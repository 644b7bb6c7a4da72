"""The contract of the storage seam, tried on mine. Needs root."""

from cmanager.testing import StorageSuite


class TestMine(StorageSuite):
    provider = "mine"
