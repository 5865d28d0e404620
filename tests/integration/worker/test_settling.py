"""What stays in Redis after a job has ended: nothing of arq's, and the records for a while."""

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.outcome import DeadReason, RunOutcome
from eventroute_worker.attempt import Attempt, End, Later, Settled, dead
from eventroute_worker.retention import DEAD, SETTLED
from support.queue import admit_job
from support.worker import Recorder, record, running, until_empty

pytestmark = pytest.mark.real


async def _arq_keys(redis: Redis) -> list[bytes]:
    return [key async for key in redis.scan_iter("arq:*")]


async def test_a_settled_job_leaves_no_key_of_arq(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    async with running(redis, Recorder()):
        await until_empty(redis)
    assert await _arq_keys(redis) == []


async def test_the_records_of_a_settled_delivery_expire(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await redis.set(keys.delivery(name), "{}")
    async with running(redis, Recorder(Settled(outcome=RunOutcome.SUCCEEDED, fields={"answer": "42"}))):
        await until_empty(redis)
    assert 0 < await redis.pttl(keys.delivery(name)) <= SETTLED.delivery_ms
    assert SETTLED.delivery_ms < await redis.pttl(keys.run(name)) <= SETTLED.run_ms
    found = await record(redis, name)
    assert int(found.pop("finished_ms")) > 0
    assert found == {"outcome": "succeeded", "reason": "", "detail": "", "attempts": "1", "answer": "42"}
    assert not await redis.exists(keys.DEAD)


async def test_a_dead_letter_is_listed_and_keeps_its_payload(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await redis.set(keys.delivery(name), "{}")
    async with running(redis, Recorder(dead(DeadReason.BILLING, "no credit"))):
        await until_empty(redis)
    assert await redis.zrange(keys.DEAD, 0, -1) == [b"d-1"]
    assert SETTLED.run_ms < await redis.pttl(keys.delivery(name)) <= DEAD.delivery_ms
    assert (await record(redis, name))["reason"] == "billing"
    assert await _arq_keys(redis) == []


async def test_nothing_expires_before_it_has_settled(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await redis.set(keys.delivery(name), "{}")
    seen: list[int] = []

    async def handler(attempt: Attempt) -> End:
        if attempt.number == 1:
            return Later(delay_s=0)
        seen.extend([await redis.pttl(key) for key in (keys.delivery(name), keys.job(name), keys.tries(name))])
        return dead(DeadReason.RENDER, "")

    async with running(redis, handler):
        await until_empty(redis)
    assert seen == [-1, -1, -1]


async def test_only_attempts_that_count_are_counted(redis: Redis) -> None:
    handler = Recorder(Later(delay_s=0), Later(delay_s=0, counts=False), Later(delay_s=0))
    name = await admit_job(redis, "d-1")
    async with running(redis, handler):
        await until_empty(redis)
    assert [attempt.number for attempt in handler.attempts] == [1, 2, 2, 3]
    assert (await record(redis, name))["attempts"] == "3"
