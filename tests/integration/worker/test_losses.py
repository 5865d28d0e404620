"""Each way in which stock arq drops a job without a word ends as a dead letter with its reason."""

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from eventroute import keys
from eventroute.ids import DeliveryId
from eventroute_worker.attempt import Attempt, End, Handler
from support.queue import admit_job
from support.worker import DONE, Recorder, record, running, until_empty

pytestmark = pytest.mark.real

NAME = DeliveryId("d-1")


async def _dead_reason(redis: Redis, handler: Handler | None = None) -> tuple[str, str]:
    """Work the queue off; a healthy job behind the sick one shows that the worker has survived it."""
    behind = await admit_job(redis, "d-healthy")
    async with running(redis, handler or Recorder(), slots=1):
        await until_empty(redis)
    assert (await record(redis, behind))["outcome"] == "succeeded"
    assert await redis.zrange(keys.DEAD, 0, -1) == [NAME.encode()]
    assert [key async for key in redis.scan_iter("arq:*")] == []
    found = await record(redis, NAME)
    assert found["outcome"] == "dead"
    return found["reason"], found["detail"]


async def test_a_missing_job(redis: Redis) -> None:
    await redis.zadd(keys.QUEUE, {NAME: 1})
    assert await _dead_reason(redis) == ("decode", "the job is missing")


@pytest.mark.parametrize(
    "job",
    [
        b"\x80\x04K*.",  # a pickle: arq's own default
        b"",
        b"[" * 100_000,
        b"{}",
        b'{"t":null,"f":"run","a":[],"k":{},"et":0}',
        b'{"t":null,"f":"run","a":["d-1",7],"k":{},"et":0}',
        b'{"t":null,"f":"run","a":["d-1","\xff"],"k":{},"et":0}',
    ],
)
async def test_an_undecodable_job(redis: Redis, job: bytes) -> None:
    await admit_job(redis, NAME)
    await redis.set(keys.job(NAME), job)
    reason, detail = await _dead_reason(redis)
    assert reason == "decode"
    assert detail.startswith("the job is unreadable: ")


async def test_an_unknown_function(redis: Redis) -> None:
    await redis.set(keys.job(NAME), b'{"t":null,"f":"other","a":["d-1",""],"k":{},"et":0}')
    await redis.zadd(keys.QUEUE, {NAME: 1})
    assert await _dead_reason(redis) == ("decode", "the job names an unknown function")


async def test_a_count_of_tries_that_is_no_number(redis: Redis) -> None:
    await admit_job(redis, NAME)
    await redis.set(keys.tries(NAME), "many")
    assert await _dead_reason(redis) == ("decode", "the count of tries is not a number")


@pytest.mark.parametrize("key", [keys.job(NAME), keys.tries(NAME)])
async def test_a_key_of_another_type(redis: Redis, key: str) -> None:
    await admit_job(redis, NAME)
    await redis.delete(key)
    await redis.lpush(key, "x")
    assert (await _dead_reason(redis))[0] == "decode"


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


async def test_any_number_of_tries_is_the_handlers_to_judge(redis: Redis) -> None:
    await admit_job(redis, NAME)
    await redis.set(keys.tries(NAME), 1_000_000)
    handler = Recorder()
    async with running(redis, handler):
        await until_empty(redis)
    assert [attempt.number for attempt in handler.attempts] == [1_000_001]


async def test_a_handler_without_redis_is_tried_again_and_it_does_not_count(redis: Redis) -> None:
    attempts: list[int] = []

    async def handler(attempt: Attempt) -> End:
        attempts.append(attempt.number)
        if len(attempts) == 1:
            raise RedisConnectionError
        return DONE

    await admit_job(redis, NAME)
    async with running(redis, handler):
        await until_empty(redis)
    assert attempts == [1, 1]
    assert not await redis.exists(keys.DEAD)


async def test_a_member_that_cannot_be_a_delivery_is_removed(redis: Redis) -> None:
    await redis.zadd(keys.QUEUE, {b"\xff\xfe": 1})
    name = await admit_job(redis, "d-healthy")
    handler = Recorder()
    async with running(redis, handler):
        await until_empty(redis)
    assert [attempt.delivery for attempt in handler.attempts] == [name]
