"""What each call to the queue returns and changes in every situation, in full: told in `tests/golden/queue`."""

import pytest
from redis.asyncio import Redis

from eventroute.queue import scripts
from eventroute.runtime.scripts import Script
from support.golden_queue import FOLDER, SITUATIONS, expected, told
from support.still_queue import StillQueue

pytestmark = pytest.mark.real

NOT_TOLD = {"memory"}  # what a server uses differs each time


@pytest.mark.parametrize(("script", "name"), [(script, name) for script in SITUATIONS for name in SITUATIONS[script]])
async def test_a_call_changes_what_is_expected_and_nothing_else(redis: Redis, script: str, name: str) -> None:
    assert await told(StillQueue(redis), SITUATIONS[script][name]) == expected(script)[name]


def test_each_script_has_situations_and_no_file_is_left_over() -> None:
    names = {value.name for value in vars(scripts).values() if isinstance(value, Script)}
    assert set(SITUATIONS) == names - NOT_TOLD
    assert {path.stem: list(expected(path.stem)) for path in FOLDER.glob("*.yaml")} == {
        script: list(situations) for script, situations in SITUATIONS.items()
    }
