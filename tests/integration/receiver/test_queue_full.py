"""A full queue admits nothing and remembers nothing; no route fills it alone, and repeats cost nothing."""

from collections.abc import AsyncIterator
from itertools import cycle
from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute.ids import RoutePath
from eventroute.schemes import Request
from support.queue import GROUP, admit_job, bury, lease, settle
from support.receipts import receipts
from support.receiving import Receiving, opened, pull_request, receiving, signed
from support.sample_routes import receiver_route

URL = "https://hooks.example.com/hooks/team-a/five"
ROOM = 4
NAMES = ("one", "two", "six", "ten")  # of one length, so that their deliveries have one size
BOUNDS = ("max_queue_depth", "max_queue_bytes")


async def bounded(url: str, redis: Redis, bound: str, room: int) -> AsyncIterator[Receiving]:
    """Run a receiver whose queue holds `room` deliveries of the kind that the tests send."""
    settings: dict[str, Any] = {bound: room}
    routes = [
        *(receiver_route(name=name) for name in NAMES),
        receiver_route("hubspot", name="five", public_url=URL),
    ]
    if bound == "max_queue_bytes":
        async with receiving(url, redis) as learning:
            await learning.serve(*routes)
            await learning.post(opened(), "one")
            settings[bound] *= int(await redis.hget(GROUP.usage, "bytes"))
        await redis.flushall()
    async with receiving(url, redis, **settings) as running:
        await running.serve(*routes)
        yield running


@pytest.fixture(params=BOUNDS)
async def small(request: pytest.FixtureRequest, valkey_url: str, redis: Redis) -> AsyncIterator[Receiving]:
    async for running in bounded(valkey_url, redis, request.param, ROOM):
        yield running


async def test_one_flood_takes_half_of_the_queue_and_another_route_finds_room(small: Receiving) -> None:
    before = receipts()
    assert [(await small.post(opened(number), "one")).status_code for number in range(1, 5)] == [200, 200, 503, 503]
    assert receipts() - before == {
        ("team-a/one", "queued", ""): 2,
        ("team-a/one", "unavailable", "route_full"): 2,
    }
    assert (await small.post(opened(1), "two")).json()["status"] == "queued"


async def test_the_sender_hears_when_to_come_back_and_nothing_is_written(small: Receiving) -> None:
    for number in (1, 2):
        await small.post(opened(number), "one")
    stored = await everything(small.redis)
    answer = await small.post(opened(3), "one")
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (503, b"", "5")
    assert await everything(small.redis) == stored


@pytest.mark.parametrize("bound", BOUNDS)
async def test_two_floods_take_a_third_each(valkey_url: str, redis: Redis, bound: str) -> None:
    async for receiver in bounded(valkey_url, redis, bound, 9):
        for number, name in zip(range(1, 10), cycle(("one", "two"))):
            await receiver.post(opened(number), name)
        for name in ("one", "two"):
            assert await redis.hget(GROUP.route(RoutePath(f"team-a/{name}")), "depth") == b"3"
        assert (await receiver.post(opened(), "six")).json()["status"] == "queued"


async def test_when_all_of_it_is_taken_it_is_the_queue_that_is_full(small: Receiving) -> None:
    for number, name in ((1, "one"), (2, "one"), (1, "two"), (1, "six")):
        assert (await small.post(opened(number), name)).status_code == 200
    before = receipts()
    for name in NAMES:
        assert (await small.post(opened(3), name)).status_code == 503
    assert receipts() - before == {(f"team-a/{name}", "unavailable", "queue_full"): 1 for name in NAMES}


async def test_what_was_refused_is_admitted_as_new_when_there_is_room(small: Receiving) -> None:
    for number in (1, 2, 3):
        await small.post(opened(number), "one")
    taken = await lease(small.redis)
    assert (await small.post(opened(3), "one")).status_code == 503  # what runs has not left the queue
    await settle(small.redis, taken)
    assert (await small.post(opened(3), "one")).json()["status"] == "queued"


async def test_a_repeat_is_answered_as_one_and_changes_nothing(small: Receiving) -> None:
    for number, name in ((1, "one"), (2, "one"), (1, "two"), (1, "six")):
        await small.post(opened(number), name)
    stored = await everything(small.redis)
    for number, name in ((1, "one"), (2, "one"), (1, "two"), (1, "six")):
        assert (await small.post(opened(number), name)).json()["status"] == "duplicate"
    assert await everything(small.redis) == stored


async def test_a_repeat_is_one_also_when_the_queue_is_longer_than_it_may_be_now(small: Receiving) -> None:
    await small.post(opened(1), "one")
    for number in range(9):  # as when the limit was lowered
        await admit_job(small.redis, f"older-{number}")
    assert (await small.post(opened(1), "one")).json()["status"] == "duplicate"
    assert (await small.post(opened(2), "one")).status_code == 503


async def test_a_dead_letter_runs_again_only_if_there_is_room(small: Receiving) -> None:
    letter = (await small.post(opened(1), "one")).json()["delivery"]
    await bury(small.redis, letter)
    for number in (2, 3):
        assert (await small.post(opened(number), "one")).status_code == 200  # dead letters take no room
    assert (await small.post(opened(1), "one")).status_code == 503
    assert await small.letters("one") == [letter]
    await settle(small.redis, await lease(small.redis))
    assert (await small.post(opened(1), "one")).json() == {"status": "redelivered", "delivery": letter}


async def test_a_batch_that_does_not_fit_as_a_whole_is_refused_as_a_whole(small: Receiving) -> None:
    stored = await everything(small.redis)
    answer = await small.post(batch(*range(9)), "five")
    assert answer.status_code == 503
    assert await everything(small.redis) == stored


async def test_only_the_new_items_of_a_batch_need_room(valkey_url: str, redis: Redis) -> None:
    async for receiver in bounded(valkey_url, redis, "max_queue_depth", ROOM):
        await receiver.post(batch(1), "five")
        answer = await receiver.post(batch(1, 2), "five")
        assert [item["status"] for item in answer.json()["deliveries"]] == ["duplicate", "queued"]
        assert (await receiver.post(batch(1, 2, 3), "five")).status_code == 503


async def test_without_a_bound_in_bytes_only_the_number_counts(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    large = signed("github", {**pull_request(1), "text": "x" * 1_000_000}, event="pull_request", delivery="gh-1")
    assert (await receiver.post(large)).status_code == 200
    assert (await receiver.post(opened(2))).status_code == 200


async def everything(redis: Redis) -> dict[bytes, bytes]:
    """Dump all keys of the queue."""
    return {name: await redis.dump(name) for name in await redis.keys(f"{GROUP.prefix}*")}


def batch(*numbers: int) -> Request:
    items = [
        {"eventId": n, "portalId": 1, "subscriptionId": 7, "occurredAt": n, "subscriptionType": "contact.creation"}
        for n in numbers
    ]
    return signed("hubspot", items, url=URL)
