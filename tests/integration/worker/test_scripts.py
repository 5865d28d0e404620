"""Script calls that share a write: each gets its own answer, and trouble reaches those whom it concerns."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from eventroute.queue import LeaseLost, Work
from eventroute.runtime.link import LinkedRedis
from eventroute.runtime.scripts import ClientCaller, RedisAway, RedisForbids
from support.own_valkey import OwnValkey, own_valkey
from support.queue import GROUP, admit_job, fields, lease_all
from support.redis_link import linked
from support.waiting import until

pytestmark = pytest.mark.real


@pytest.fixture
async def work(valkey_url: str, redis: Redis) -> AsyncIterator[Work]:
    """The calls as a worker makes them, over a link."""
    async with linked(valkey_url) as link:
        assert await link.until_up(5)
        yield Work(ClientCaller(LinkedRedis(link)))


async def test_calls_of_the_same_moment_get_their_own_answers(redis: Redis, work: Work) -> None:
    names = [await admit_job(redis, f"d-{number}") for number in range(50)]
    leases = await lease_all(redis)
    begun = await asyncio.gather(*(work.begin(each, traceparent="") for each in leases))
    assert [each.seq for each in begun] == list(range(1, 51))
    await asyncio.gather(*(work.save(each, each.delivery.encode()) for each in leases))
    assert [(await fields(redis, name))["answer"] for name in names] == names


async def test_a_call_that_fails_fails_alone(redis: Redis, work: Work) -> None:
    for number in range(3):
        await admit_job(redis, f"d-{number}")
    leases = await lease_all(redis)
    await redis.delete(GROUP.delivery(leases[0].delivery))
    await redis.delete(GROUP.delivery(leases[1].delivery))
    await redis.set(GROUP.delivery(leases[1].delivery), "no hash")
    ends = await asyncio.gather(*(work.save(each, b"x") for each in leases), return_exceptions=True)
    assert [type(each) for each in ends] == [LeaseLost, RedisForbids, type(None)]


async def test_scripts_that_the_server_forgot_are_sent_again(redis: Redis, work: Work) -> None:
    await admit_job(redis, "d-1")
    leases = await lease_all(redis)
    for _ in range(2):
        await redis.script_flush()
        await asyncio.gather(*(work.note(each, last_error="x") for each in leases * 3))
    assert (await fields(redis, leases[0].delivery))["last_error"] == "x"


async def test_a_redis_that_is_away_is_every_callers_trouble_and_the_next_calls_go_through(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with own_valkey(tmp_path_factory.mktemp("own-valkey")) as valkey:
        await _assert_away_and_back(valkey)


async def _assert_away_and_back(valkey: OwnValkey) -> None:
    async with linked(valkey.url) as link:
        assert await link.until_up(5)
        client = LinkedRedis(link)
        work = Work(ClientCaller(client))
        for number in range(3):
            await admit_job(client, f"d-{number}")
        leases = await lease_all(client)
        valkey.kill()
        ends = await asyncio.gather(*(work.save(each, b"x") for each in leases), return_exceptions=True)
        assert [type(each) for each in ends] == [RedisAway] * 3
        valkey.restart()
        await until(lambda: link.is_up)
        await asyncio.gather(*(work.save(each, b"x") for each in leases))
