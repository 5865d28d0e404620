"""Pauses between attempts: exponential, spread out, bounded, and never shorter than what was asked for."""

import pytest

from eventroute_worker.backoff import CAP_S, pause_s

SAMPLES = range(500)


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 1), (2, 2), (5, 16), (9, 256), (10, CAP_S), (10_000, CAP_S)])
def test_the_pause_is_anywhere_up_to_its_ceiling(attempt: int, ceiling: float) -> None:
    pauses = [pause_s(attempt) for _ in SAMPLES]
    assert 0 <= min(pauses) < 0.1 * ceiling
    assert 0.9 * ceiling < max(pauses) <= ceiling


def test_the_wait_that_was_asked_for_comes_first() -> None:
    pauses = [pause_s(1, after_s=30) for _ in SAMPLES]
    assert 30 <= min(pauses) < max(pauses) <= 31


@pytest.mark.parametrize("after_s", [None, 0, -5])
def test_no_wait_and_a_wait_in_the_past_change_nothing(after_s: float | None) -> None:
    assert all(0 <= pause_s(1, after_s=after_s) <= 1 for _ in SAMPLES)
