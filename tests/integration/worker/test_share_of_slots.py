"""How many slots a single route may take while there are others: all but one in five, and at least one."""

import asyncio

import pytest
from redis.asyncio import Redis

from eventroute.ids import RoutePath
from eventroute_worker.attempt import Attempt, End
from support.queue import admit
from support.runs import PATH, sample_delivery
from support.waiting import until
from support.worker import DONE, running

pytestmark = pytest.mark.real

OTHER = RoutePath("team-b/z")


class Hanging:
    """A handler that ends nothing but what it is told to."""

    def __init__(self) -> None:
        self.runs: list[RoutePath] = []
        self.ends = asyncio.Event()

    async def __call__(self, attempt: Attempt) -> End:
        self.runs.append(attempt.lease.path)
        if attempt.lease.path == OTHER:
            await self.ends.wait()
            return DONE
        await asyncio.Event().wait()
        return DONE


@pytest.mark.parametrize(("slots", "most"), [(1, 1), (2, 1), (4, 3), (5, 4), (10, 8)])
async def test_a_flood_leaves_room_once_another_route_was_seen(redis: Redis, slots: int, most: int) -> None:
    handler = Hanging()
    async with running(redis, handler, slots=slots):
        await admit(redis, sample_delivery("other", route=OTHER))
        await until(lambda: handler.runs == [OTHER])
        for number in range(slots + 1):
            await admit(redis, sample_delivery(f"d-{number}"))
            if number == 0:
                await asyncio.sleep(0.1)  # a look while both have something
                handler.ends.set()
            await asyncio.sleep(0.05)
        await until(lambda: handler.runs.count(PATH) >= most)
        await asyncio.sleep(0.3)
        assert handler.runs.count(PATH) == most
        if slots > 1:
            await admit(redis, sample_delivery("another", route=OTHER))
            await until(lambda: handler.runs.count(OTHER) == 2, timeout_s=1)
