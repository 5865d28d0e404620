"""What a call does when it is made again, because its reply was lost."""

import pytest
from redis.asyncio import Redis

from eventroute.queue import Lease
from support.queue import GROUP, admit_job, fields, lease, work_on

pytestmark = pytest.mark.real

STREAM = "team-a/results"


async def add(redis: Redis, taken: Lease, sink: str, *, most: int = 1000) -> None:
    await work_on(redis).add_to_stream(taken, sink, STREAM, {"text": sink}, max_entries=most)


async def test_an_answer_is_added_to_a_stream_once_for_each_sink(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    taken = await lease(redis)
    for sink in ("one", "one", "two", "one"):
        await add(redis, taken, sink)
    entries = await redis.xrange(GROUP.stream("team-a", "results"))
    assert [entry for _, entry in entries] == [{b"text": b"one"}, {b"text": b"two"}]
    told = await fields(redis, name)
    assert (told["sink:one"], told["sink:two"]) == ("1", "1")


async def test_a_stream_keeps_about_as_many_entries_as_the_sink_says(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    taken = await lease(redis)
    for number in range(400):
        await add(redis, taken, f"s-{number}", most=100)
    assert 100 <= await redis.xlen(GROUP.stream("team-a", "results")) < 300


async def test_a_conclusion_is_remembered_once(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    taken = await lease(redis)
    for entry in (b"one", b"another"):
        await work_on(redis).remember(taken, "route/x", entry, seq=taken.fence, keep=3, ttl_s=600)
    assert await redis.zrange(GROUP.history("route/x"), 0, -1) == [b"one"]
