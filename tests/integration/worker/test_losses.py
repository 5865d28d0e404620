"""Whatever is wrong with a delivery or with its attempt, it ends as a dead letter with its reason, and alone."""

import pytest
from redis.asyncio import Redis

from eventroute.runtime.scripts import RedisAway
from eventroute_worker.attempt import Attempt, End, Handler
from support.queue import GROUP, admit, admit_job, dead_letters, depth, fields
from support.runs import build_runner, sample_delivery
from support.worker import DONE, Recorder, record, running, until_empty

pytestmark = pytest.mark.real

NAME = sample_delivery().id


async def _dead_reason(redis: Redis, handler: Handler | None = None) -> tuple[str, str]:
    """Work the queue off; a healthy delivery behind the sick one shows that the worker has survived it."""
    behind = await admit_job(redis, "d-healthy")
    async with running(redis, handler or build_runner(redis), slots=1):
        await until_empty(redis)
    assert (await record(redis, behind))["outcome"] == "succeeded"
    assert await dead_letters(redis) == [NAME]
    found = await record(redis, NAME)
    assert found["outcome"] == "dead"
    return found["reason"], found["detail"]


async def test_a_delivery_without_a_body(redis: Redis) -> None:
    await admit(redis, sample_delivery())
    await redis.hdel(GROUP.delivery(NAME), "body")
    assert await _dead_reason(redis) == ("decode", "the delivery is missing")


async def test_a_delivery_of_which_only_the_place_is_left(redis: Redis) -> None:
    await admit(redis, sample_delivery())
    await redis.delete(GROUP.delivery(NAME))
    assert await _dead_reason(redis) == ("decode", "the delivery is missing")
    assert await redis.pttl(GROUP.delivery(NAME)) > 0


@pytest.mark.parametrize("stored", [b"", b"{}", b"\xff", b"\x80\x04K*.", b"[" * 100_000, b'{"provider":7}'])
async def test_an_unreadable_delivery(redis: Redis, stored: bytes) -> None:
    await admit(redis, sample_delivery())
    await redis.hset(GROUP.delivery(NAME), "body", stored)
    behind = await admit_job(redis, "d-healthy")
    async with running(redis, build_runner(redis), slots=1):
        await until_empty(redis)
    assert await dead_letters(redis) == [NAME]
    assert await redis.hget(GROUP.delivery(NAME), "reason") == b"decode"
    assert (await record(redis, behind))["outcome"] == "succeeded"


async def test_a_delivery_under_a_key_of_another_type_costs_nobody_else(redis: Redis) -> None:
    await admit_job(redis, NAME)
    behind = await admit_job(redis, "d-healthy")
    await redis.delete(GROUP.delivery(NAME))
    await redis.lpush(GROUP.delivery(NAME), "x")
    handler = Recorder()
    async with running(redis, handler):
        while not handler.attempts or await depth(redis) > 1:
            await redis.lpush(GROUP.wake, "1")
    assert [attempt.delivery for attempt in handler.attempts] == [behind]


@pytest.mark.parametrize("error", [ValueError("secret text"), RecursionError(), ExceptionGroup("x", [KeyError("x")])])
async def test_an_exception_of_the_handler(redis: Redis, error: Exception) -> None:
    async def handler(attempt: Attempt) -> End:
        if attempt.delivery == NAME:
            raise error
        return DONE

    await admit_job(redis, NAME)
    reason, detail = await _dead_reason(redis, handler)
    assert reason == "internal"
    assert "secret" not in detail


async def test_a_handler_without_redis_is_tried_again_and_it_does_not_count(redis: Redis) -> None:
    attempts: list[int] = []

    async def handler(attempt: Attempt) -> End:
        attempts.append(attempt.lease.fence)
        if len(attempts) == 1:
            raise RedisAway("LOADING", "LOADING reads its data")
        return DONE

    await admit_job(redis, NAME)
    async with running(redis, handler):
        await until_empty(redis)
    assert attempts == [1, 2]
    assert await dead_letters(redis) == []
    assert "attempts" not in await fields(redis, NAME)
