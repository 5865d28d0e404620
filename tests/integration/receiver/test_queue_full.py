"""A full queue admits nothing and remembers nothing, so that the sender's next attempt is a first one."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.schemes import Request
from support.queue import admit_job
from support.receipts import receipts
from support.receiving import Receiving, opened, receiving, signed
from support.sample_routes import receiver_route

HUBSPOT_URL = "https://hooks.example.com/hooks/team-a/batch"


@pytest.fixture
async def small(valkey_url: str, redis: Redis) -> AsyncIterator[Receiving]:
    """A receiver whose queue holds two jobs."""
    async with receiving(valkey_url, redis, max_queue_depth=2) as running:
        await running.serve(receiver_route(), receiver_route("hubspot", name="batch", public_url=HUBSPOT_URL))
        yield running


async def test_above_the_depth_senders_are_told_to_come_back(small: Receiving) -> None:
    for number in (1, 2):
        assert (await small.post(opened(number))).status_code == 200
    stored, before = set(await small.redis.keys("*")), receipts()
    answer = await small.post(opened(3))
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (503, b"", "5")
    assert receipts() - before == {("team-a/triage", "unavailable", "queue_full"): 1}
    assert set(await small.redis.keys("*")) == stored


async def test_what_was_refused_is_admitted_as_new_when_there_is_room(small: Receiving) -> None:
    for number in (1, 2, 3):
        await small.post(opened(number))
    await small.redis.zpopmin(keys.QUEUE)
    assert (await small.post(opened(3))).json()["status"] == "queued"


async def test_a_repeat_is_answered_as_one_however_full_the_queue_is(small: Receiving) -> None:
    for number in (1, 2):
        await small.post(opened(number))
    assert (await small.post(opened(1))).json()["status"] == "duplicate"


async def test_a_repeat_is_one_also_when_the_queue_is_longer_than_it_may_be_now(small: Receiving) -> None:
    await small.post(opened(1))
    for number in range(5):  # as when the limit was lowered
        await admit_job(small.redis, f"older-{number}")
    assert (await small.post(opened(1))).json()["status"] == "duplicate"


async def test_a_batch_that_does_not_fit_as_a_whole_is_refused_as_a_whole(small: Receiving) -> None:
    await small.post(opened())
    stored = set(await small.redis.keys("*"))
    answer = await small.post(batch(1, 2), name="batch")
    assert answer.status_code == 503
    assert set(await small.redis.keys("*")) == stored


async def test_only_the_new_items_of_a_batch_need_room(small: Receiving) -> None:
    await small.post(batch(1), name="batch")
    answer = await small.post(batch(1, 2), name="batch")
    assert [item["status"] for item in answer.json()["deliveries"]] == ["duplicate", "queued"]


def batch(*numbers: int) -> Request:
    items = [
        {"eventId": n, "portalId": 1, "subscriptionId": 7, "occurredAt": n, "subscriptionType": "contact.creation"}
        for n in numbers
    ]
    return signed("hubspot", items, url=HUBSPOT_URL)
