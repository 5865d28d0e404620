"""A route's rate limit is a token bucket in Redis: shared by all receivers, spent by new deliveries only."""

import asyncio

import pytest

from eventroute import keys
from eventroute.ids import RouteUid
from eventroute.route_table import RateLimit
from eventroute.schemes import Request
from support.receipts import receipts
from support.receiving import Receiving, opened, signed
from support.sample_routes import receiver_route

URL = "https://hooks.example.com/hooks/team-a/triage"


async def test_above_the_burst_the_sender_hears_when_to_come_back(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(rate_limit=RateLimit(per_second=0.25, burst=2)))
    for number in (1, 2):
        assert (await receiver.post(opened(number))).status_code == 200
    before = receipts()
    answer = await receiver.post(opened(3))
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (429, b"", "4")
    assert receipts() - before == {("team-a/triage", "rate_limited", ""): 1}
    assert len(await receiver.queued()) == 2


async def test_what_was_limited_is_admitted_as_new_once_there_is_a_token(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(rate_limit=RateLimit(per_second=10, burst=1)))
    await receiver.post(opened(1))
    assert (await receiver.post(opened(2))).status_code == 429
    await asyncio.sleep(0.12)
    assert (await receiver.post(opened(2))).json()["status"] == "queued"


async def test_the_bucket_never_holds_more_than_the_burst(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(rate_limit=RateLimit(per_second=1000, burst=2)))
    await receiver.post(opened(1))
    await asyncio.sleep(0.05)  # fifty tokens' time
    answers = await asyncio.gather(*(receiver.post(opened(number)) for number in range(2, 12)))
    statuses = [answer.status_code for answer in answers]
    assert 2 <= statuses.count(200) < 10
    assert statuses.count(200) + statuses.count(429) == 10


async def test_repeats_cost_nothing_and_are_not_limited(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(rate_limit=RateLimit(per_second=0.01, burst=2)))
    for _ in range(10):
        assert (await receiver.post(opened(1))).status_code == 200
    assert (await receiver.post(opened(2))).json()["status"] == "queued"
    assert (await receiver.post(opened(3))).status_code == 429
    assert (await receiver.post(opened(1))).json()["status"] == "duplicate"


@pytest.mark.parametrize(
    "request_", [opened(secret="forged-by-somebody-else"), Request(method="POST", url=None, headers=[], body=b"{}")]
)
async def test_what_is_not_genuine_costs_nothing(receiver: Receiving, request_: Request) -> None:
    await receiver.serve(receiver_route(rate_limit=RateLimit(per_second=0.01, burst=1)))
    for _ in range(10):
        assert (await receiver.post(request_)).status_code == 401
    assert (await receiver.post(opened())).status_code == 200


async def test_each_item_of_a_batch_costs_a_token(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("hubspot", public_url=URL, rate_limit=RateLimit(per_second=0.01, burst=5)))
    assert (await receiver.post(batch(range(3)))).status_code == 200
    assert (await receiver.post(batch(range(3, 6)))).status_code == 429
    assert (await receiver.post(batch(range(3, 5)))).status_code == 200
    assert len(await receiver.queued()) == 5


async def test_a_batch_larger_than_the_bucket_takes_all_of_it_and_is_admitted(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("hubspot", public_url=URL, rate_limit=RateLimit(per_second=0.01, burst=2)))
    assert (await receiver.post(batch(range(10)))).status_code == 200
    assert (await receiver.post(batch(range(10, 11)))).status_code == 429


async def test_one_routes_limit_is_not_anothers(receiver: Receiving) -> None:
    limit = RateLimit(per_second=0.01, burst=1)
    await receiver.serve(receiver_route(name="one", rate_limit=limit), receiver_route(name="two", rate_limit=limit))
    assert (await receiver.post(opened(1), name="one")).status_code == 200
    assert (await receiver.post(opened(2), name="two")).status_code == 200
    assert (await receiver.post(opened(2), name="one")).status_code == 429


async def test_a_bucket_that_would_be_full_again_is_forgotten(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(rate_limit=RateLimit(per_second=2, burst=4)))
    await receiver.post(opened())
    assert 0 < await receiver.redis.pttl(keys.bucket(RouteUid("uid-triage"))) <= 3000


def batch(numbers: range) -> Request:
    items = [
        {"eventId": n, "portalId": 1, "subscriptionId": 7, "occurredAt": n, "subscriptionType": "contact.creation"}
        for n in numbers
    ]
    return signed("hubspot", items, url=URL)
