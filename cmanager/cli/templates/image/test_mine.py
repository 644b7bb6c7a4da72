"""The contract of the image seam, tried on mine."""

from cmanager.testing import ImagesSuite


class TestMine(ImagesSuite):
    provider = "mine"
