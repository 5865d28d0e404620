"""Durations, `1h30m`."""

import pytest

from eventroute.crd.duration import seconds


@pytest.mark.parametrize(
    ("duration", "expected"), [("90s", 90), ("2m", 120), ("1h30m", 5400), ("1h1m1s", 3661), ("720h", 2_592_000)]
)
def test_a_duration_counts_seconds(duration: str, expected: int) -> None:
    assert seconds(duration) == expected
