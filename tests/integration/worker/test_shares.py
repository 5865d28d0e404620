"""A route with very many deliveries leaves slots to others, and an idle worker hears of work at any time."""

import asyncio
import time
from collections import Counter

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, RoutePath, route_path
from eventroute_worker import bell
from eventroute_worker import worker as worker_module
from eventroute_worker.attempt import Attempt, End
from support.queue import admit, admit_job
from support.runs import sample_delivery
from support.waiting import until
from support.worker import DONE, Recorder, running, until_empty

pytestmark = pytest.mark.real

OTHER = route_path("team-b", "rare")


class _Held:
    """A handler whose runs end when they are told to."""

    def __init__(self) -> None:
        self.now: Counter[RoutePath] = Counter()
        self.go_on = asyncio.Event()

    async def __call__(self, attempt: Attempt) -> End:
        self.now[attempt.lease.path] += 1
        await self.go_on.wait()
        return DONE


async def test_a_flood_leaves_a_slot_in_five_to_a_route_that_was_seen_lately(redis: Redis) -> None:
    handler = _Held()
    handler.go_on.set()
    async with running(redis, handler, slots=5):
        await admit(redis, sample_delivery("d-other", route=OTHER))
        await until_empty(redis)
        handler.now.clear()
        handler.go_on.clear()
        for number in range(20):
            await admit_job(redis, f"d-{number}")
        await until(lambda: handler.now.total() >= 4)
        await asyncio.sleep(0.1)
        assert handler.now.total() == 4
        began = time.monotonic()
        await admit(redis, sample_delivery("d-again", route=OTHER))
        await until(lambda: handler.now[OTHER] == 1)
        assert time.monotonic() - began < 0.5
        handler.go_on.set()


async def test_a_worker_that_waits_for_long_hears_of_work_at_once(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_LOOK_S", 4.0)
    monkeypatch.setattr(bell, "_READ_S", 0.1)  # reads end without a token, and go on
    handler = Recorder()
    async with running(redis, handler):
        await asyncio.sleep(0.35)
        await admit_job(redis, "d-1")
        await until_empty(redis, timeout_s=2)
    assert [attempt.delivery for attempt in handler.attempts] == [DeliveryId("d-1")]
