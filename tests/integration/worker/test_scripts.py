"""Script calls that share a write: each gets its own answer, and trouble reaches those whom it concerns."""

import asyncio

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from eventroute.runtime.redis import connect
from eventroute_cli.local.processes import free_port
from eventroute_worker.scripts import Batch, load

pytestmark = pytest.mark.real


async def test_calls_of_the_same_moment_get_their_own_answers(redis: Redis) -> None:
    save, batch = load(redis, "save_answer"), Batch(redis)
    answers = await asyncio.gather(*(batch.call(save, [f"run:{n}"], [str(n)]) for n in range(50)))
    assert answers == [str(n).encode() for n in range(50)]


async def test_a_call_that_fails_fails_alone(redis: Redis) -> None:
    await redis.set("run:1", "no hash")
    save, batch = load(redis, "save_answer"), Batch(redis)
    answers = await asyncio.gather(
        *(batch.call(save, [f"run:{n}"], [str(n)]) for n in range(3)), return_exceptions=True
    )
    assert (answers[0], answers[2]) == (b"0", b"2")
    assert isinstance(answers[1], ResponseError)


async def test_scripts_that_the_server_forgot_are_sent_again(redis: Redis) -> None:
    save, batch = load(redis, "save_answer"), Batch(redis)
    for _ in range(2):
        await redis.script_flush()
        answers = await asyncio.gather(*(batch.call(save, [f"run:{n}"], [str(n)]) for n in range(3)))
        assert answers == [b"0", b"1", b"2"]


async def test_a_redis_that_is_away_is_every_callers_trouble_and_the_next_calls_go_through(redis: Redis) -> None:
    away = connect(f"redis://127.0.0.1:{free_port()}/0")
    save, batch = load(redis, "save_answer"), Batch(away)
    answers = await asyncio.gather(*(batch.call(save, [f"run:{n}"], ["x"]) for n in range(3)), return_exceptions=True)
    assert all(isinstance(answer, RedisConnectionError) for answer in answers)
    batch._redis = redis
    assert await batch.call(save, ["run:1"], ["back"]) == b"back"
    await away.aclose()
