"""All that an attempt does in every situation: told in `tests/golden/runs.yaml`."""

import pytest
from redis.asyncio import Redis

from support.golden_runs import SITUATIONS, USUAL, expected, told

pytestmark = pytest.mark.real


@pytest.mark.parametrize("name", SITUATIONS)
async def test_an_attempt_does_what_is_expected_and_nothing_else(redis: Redis, name: str) -> None:
    assert await told(redis, name, expected()[USUAL]) == expected()[name]


def test_no_situation_is_left_over() -> None:
    assert list(expected()) == list(SITUATIONS)
