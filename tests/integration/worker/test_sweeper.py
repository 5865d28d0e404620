"""The sweeper: what can never run is found before it is due, and nothing else is touched."""

import time

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.ids import DeliveryId
from eventroute_worker.retention import DEAD
from eventroute_worker.sweeper import Sweeper
from support.queue import admit
from support.runs import build_runner, sample_delivery
from support.worker import record, running, until_empty

pytestmark = pytest.mark.real


async def test_a_deferred_member_without_a_payload_becomes_a_dead_letter(redis: Redis) -> None:
    for name, lost in (("d-1", keys.job), ("d-2", keys.delivery)):
        await admit(redis, sample_delivery(name), due_in_s=3600)
        await redis.delete(lost(DeliveryId(name)))
    assert await Sweeper(redis).sweep() == 2
    async with running(redis, build_runner(redis)):
        await until_empty(redis)
    assert (await record(redis, DeliveryId("d-1")))["detail"] == "the job is missing"
    assert (await record(redis, DeliveryId("d-2")))["detail"] == "the delivery is missing"


async def test_whole_deliveries_stay_as_they_are(redis: Redis) -> None:
    for number in range(1200):  # more than two pages
        await admit(redis, sample_delivery(f"d-{number}"), due_in_s=3600)
    before = await redis.zrange(keys.QUEUE, 0, -1, withscores=True)
    await redis.delete(keys.WAKE)
    assert await Sweeper(redis).sweep() == 0
    assert await redis.zrange(keys.QUEUE, 0, -1, withscores=True) == before
    assert not await redis.exists(keys.WAKE)


async def test_a_second_pass_finds_nothing_more(redis: Redis) -> None:
    await redis.zadd(keys.QUEUE, {"d-1": (time.time() + 3600) * 1000})
    sweeper = Sweeper(redis)
    assert [await sweeper.sweep(), await sweeper.sweep()] == [1, 0]


async def test_dead_letters_leave_the_list_when_their_records_have_expired(redis: Redis) -> None:
    now_ms = time.time() * 1000
    await redis.zadd(keys.DEAD, {"old": now_ms - DEAD.run_ms - 1000, "new": now_ms - DEAD.run_ms + 60_000})
    await Sweeper(redis).sweep()
    assert await redis.zrange(keys.DEAD, 0, -1) == [b"new"]
