"""Failover by Sentinels: senders hear 503 for a moment, nothing acknowledged is lost, and no program is restarted."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from eventroute.runtime.redis import connect, find_primary
from eventroute.runtime.redis_url import Address, parse_redis_url
from eventroute_cli.local.processes import free_port
from support.queue import dead_letters
from support.receiving import Receiving, opened, receiving
from support.redis_link import Scripted, linked, naming
from support.runs import FakeRoutes, build_runner, results
from support.runs import worker_route as runnable_route
from support.sample_routes import receiver_route
from support.sentinels import Sentinels, sentinels
from support.waiting import until
from support.worker import running, until_empty

pytestmark = pytest.mark.real

FAILOVER_S = 30  # two busy processors; 2 s are usual
BURST = 100


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Sentinels]:
    with sentinels(tmp_path) as group:
        yield group


@contextlib.asynccontextmanager
async def installation(group: Sentinels) -> AsyncIterator[tuple[Receiving, Redis]]:
    """Run a receiver and a worker; also yields a client for the test."""
    await group.until_watched()
    async with connect(group.url) as redis, connect(group.url) as own, receiving(group.url, own) as receiver:
        await receiver.serve(receiver_route())
        async with running(redis, build_runner(redis, routes=FakeRoutes(runnable_route()))):
            yield receiver, own


async def post(receiver: Receiving, number: int) -> int:
    return (await receiver.post(opened(number))).status_code


async def until_served(receiver: Receiving, number: int) -> Counter[int]:
    """Send one webhook again and again, as its provider would; returns the answers."""
    answers = Counter[int]()

    async def is_served() -> bool:
        answers[status := await post(receiver, number)] += 1
        return status == 200

    await until(is_served, timeout_s=FAILOVER_S)
    return answers


async def replicated(redis: Redis) -> None:
    """Wait until the replica has all that was acknowledged; replication is asynchronous, whatever the client does."""
    await redis.set("test:mark", "1")
    assert await redis.wait(1, 5000) == 1


async def assert_each_ran_once(redis: Redis, count: int) -> None:
    await until_empty(redis, timeout_s=FAILOVER_S)
    entries = await results(redis)
    assert len({entry["delivery"] for entry in entries}) == len(entries) == count
    assert await dead_letters(redis) == []


async def test_a_killed_primary_costs_503s_and_no_delivery(group: Sentinels) -> None:
    async with installation(group) as (receiver, redis):
        assert {await post(receiver, number) for number in range(BURST)} == {200}
        await replicated(redis)
        old = await group.primary()
        group.kill(old)
        answers = await until_served(receiver, BURST)
        assert answers.keys() == {200, 503}
        assert await group.primary() != old
        for number in range(BURST + 1, 2 * BURST):
            assert await post(receiver, number) == 200
        await assert_each_ran_once(redis, 2 * BURST)

        group.restart(old)  # it takes itself for the primary until the Sentinels tell it otherwise
        async with connect(group.url) as newcomer:
            assert len(await results(newcomer)) == 2 * BURST
        assert await post(receiver, 2 * BURST) == 200
        await assert_each_ran_once(redis, 2 * BURST + 1)


async def test_a_frozen_primary_is_left_by_all_and_not_gone_back_to(group: Sentinels) -> None:
    async with installation(group) as (receiver, redis):
        assert await post(receiver, 1) == 200
        await replicated(redis)
        old = await group.primary()
        with group.frozen(old):
            answers = await until_served(receiver, 2)
            assert answers.keys() <= {200, 503}
            await assert_each_ran_once(redis, 2)
        assert await post(receiver, 3) == 200
        await assert_each_ran_once(redis, 3)


async def test_a_primary_that_is_demoted_in_service_is_left_for_the_new_one(group: Sentinels) -> None:
    async with installation(group) as (receiver, redis):
        old = await group.primary()
        assert await post(receiver, 1) == 200
        await replicated(redis)
        await group.failover()
        async with asyncio.timeout(FAILOVER_S):
            while await group.primary() == old:
                await asyncio.sleep(0.05)
        await until_served(receiver, 2)
        # Asked anew: until a Sentinel closes them, connections to the old one still read there, what is not the latest.
        async with Redis(port=await group.primary()) as new:
            assert (await new.info("replication"))["role"] == "master"
            await assert_each_ran_once(new, 2)


async def test_a_dead_sentinel_costs_nothing(group: Sentinels) -> None:
    await group.until_watched()
    group.kill_a_sentinel()
    async with connect(group.url) as redis, receiving(group.url, redis) as receiver:
        await receiver.serve(receiver_route())
        assert await post(receiver, 1) == 200


def url_of(*names: Scripted) -> str:
    return f"redis+sentinel://{','.join(f'127.0.0.1:{sentinel.port}' for sentinel in names)}/main"


async def test_what_most_sentinels_say_counts() -> None:
    stale, *majority = naming(1), naming(2), naming(2)
    async with contextlib.AsyncExitStack() as serving:
        for sentinel in (stale, *majority):
            await serving.enter_async_context(sentinel.serving())
        url = parse_redis_url(url_of(stale, *majority))
        assert await find_primary(url) == Address("127.0.0.1", 2)
    assert majority[0].commands == [[b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", b"main"]]


async def test_without_a_majority_it_is_what_those_say_that_answer() -> None:
    answering, silent, gone = naming(7), Scripted(lambda _command: b"+"), Scripted(lambda _command: b"")
    async with answering.serving(), silent.serving():
        started = time.monotonic()
        assert await find_primary(parse_redis_url(url_of(silent, gone, answering))) == Address("127.0.0.1", 7)
        assert time.monotonic() - started < 0.8


async def test_when_none_names_a_primary_the_trouble_of_each_is_told() -> None:
    ignorant, strict = Scripted(lambda _command: b"*-1\r\n"), Scripted(lambda _command: b"-NOAUTH Sign in first.\r\n")
    async with ignorant.serving(), strict.serving():
        url = f"{url_of(ignorant, strict).removesuffix('/main')},127.0.0.1:{free_port()}/main"
        with pytest.raises(RedisConnectionError) as told:
            await find_primary(parse_redis_url(url))
    for words in ("primary of main", "does not know it", "Sign in first", "Connect call failed"):
        assert words in str(told.value)


async def test_sentinels_are_told_their_own_password_and_not_the_servers() -> None:
    sentinel = Scripted(lambda command: b"+OK\r\n" if command[0] == b"AUTH" else b"*2\r\n$1\r\nr\r\n$4\r\n6379\r\n")
    async with sentinel.serving():
        url = url_of(sentinel).replace("//", "//someone:theirs@") + "?sentinel_username=watch&sentinel_password=own"
        assert await find_primary(parse_redis_url(url)) == Address("r", 6379)
    assert sentinel.commands[0] == [b"AUTH", b"watch", b"own"]
    assert b"theirs" not in [word for command in sentinel.commands for word in command]


async def test_a_replica_that_sentinels_still_name_is_not_used(redis: Redis, valkey_url: str) -> None:
    sentinel = naming(parse_redis_url(valkey_url).addresses[0].port)
    url = url_of(sentinel)
    async with sentinel.serving(), connect(url) as client:
        await redis.replicaof("127.0.0.1", "1")
        try:
            with pytest.raises(RedisConnectionError, match="not the primary"):
                await client.get("a")
            async with linked(url) as link:
                asked = len(sentinel.commands)
                await until(lambda: len(sentinel.commands) >= asked + 2)
                assert not link.is_up
                await redis.replicaof("NO", "ONE")
                await until(lambda: link.is_up)
        finally:
            await redis.replicaof("NO", "ONE")
        assert await client.get("a") is None
