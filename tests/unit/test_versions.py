"""Which version of a runtime's program is old enough to be warned of."""

from __future__ import annotations

import pytest

from cmanager_oci.probing import is_safe

_SERIES = ("1.3.6", "1.4.3", "1.5.0")


@pytest.mark.parametrize("version", ["1.3.6", "1.3.10", "1.4.3", "1.5.0", "1.5.0-rc.3", "1.6.0", "2.0", "1.4.3+ds1"])
def test_from_the_first_that_is_mended_in_its_series(version: str) -> None:
    assert is_safe(version, _SERIES)


@pytest.mark.parametrize("version", ["1.1.5+ds1", "1.2.9", "1.3.5", "1.4.2", "1.0.0-rc10", "", "unknown"])
def test_older_and_unknown_ones_are_not(version: str) -> None:
    assert not is_safe(version, _SERIES)


def test_without_a_minimum_all_are() -> None:
    assert is_safe("0.1", ())
