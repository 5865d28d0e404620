"""The receiver tells whom an event is about where a route wants one at a time of each, and names that one by a hash."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from support.queue import fields, lease_all, settle
from support.receiving import Receiving, opened, signed
from support.sample_routes import receiver_route

pytestmark = pytest.mark.real

ENTITY = "payload.pull_request.user"


async def _sent(receiver: Receiving, number: int, user: object) -> DeliveryId:
    body = {"number": number, "pull_request": {"user": user}}
    answer = await receiver.post(signed("github", body, event="pull_request", delivery=f"gh-{number}"))
    assert answer.status_code == 200
    return DeliveryId(answer.json()["delivery"])


async def test_events_of_one_entity_come_one_at_a_time_and_others_do_not_wait(
    receiver: Receiving, redis: Redis
) -> None:
    await receiver.serve(receiver_route(entity=ENTITY, per_entity=True))
    first, second, other = [await _sent(receiver, number, user) for number, user in enumerate(("ann", "ann", "bob"))]
    assert await receiver.queued() == [first, other]
    for each in await lease_all(redis):
        await settle(redis, each)
    assert await receiver.queued() == [second]


async def test_a_number_is_an_entity_too_and_texts_of_any_kind_are(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(entity=ENTITY, per_entity=True))
    found = [await _sent(receiver, number, user) for number, user in enumerate((7, 7, "ä\n:*\U0001f600", "7"))]
    assert await receiver.queued() == [found[0], found[2]], "7 and '7' are one: both are texts in the end"


@pytest.mark.parametrize("user", [None, "", {}, [], True])
async def test_events_of_which_no_entity_can_be_told_wait_for_nobody(receiver: Receiving, user: object) -> None:
    await receiver.serve(receiver_route(entity=ENTITY, per_entity=True))
    found = [await _sent(receiver, number, user) for number in range(3)]
    assert await receiver.queued() == found


async def test_so_do_those_that_lack_the_field(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(entity="payload.nobody.name", per_entity=True))
    assert (await receiver.post(opened(1))).json()["status"] == "queued"
    assert (await receiver.post(opened(2))).json()["status"] == "queued"
    assert len(await receiver.queued()) == 2


async def test_who_it_is_stands_nowhere_in_clear_and_differs_between_routes(receiver: Receiving, redis: Redis) -> None:
    await receiver.serve(
        receiver_route(entity=ENTITY, per_entity=True), receiver_route(name="other", entity=ENTITY, per_entity=True)
    )
    body = {"pull_request": {"user": "ann@example.com"}}
    lanes = set()
    for name in ("triage", "other"):
        request = signed("github", body, event="pull_request", delivery=f"gh-{name}")
        delivery = DeliveryId((await receiver.post(request, name)).json()["delivery"])
        lanes.add((await fields(redis, delivery))["lane"])
    assert len(lanes) == 2
    assert not await redis.keys("*ann*")


async def test_a_route_that_works_in_no_order_has_no_lanes(receiver: Receiving, redis: Redis) -> None:
    await receiver.serve(receiver_route())
    found = [await _sent(receiver, number, "ann") for number in range(2)]
    assert await receiver.queued() == found
    assert "lane" not in await fields(redis, found[0])


async def test_a_filter_and_an_entity_are_both_asked(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(entity=ENTITY, per_entity=True, filter="payload.number > 1"))
    assert (await receiver.post(opened(1))).json()["status"] == "filtered"
    found = [await _sent(receiver, number, "ann") for number in (2, 3)]
    assert await receiver.queued() == found[:1]


async def test_an_event_that_the_filter_cannot_judge_is_in_its_lane_once_it_is_work(
    receiver: Receiving, redis: Redis
) -> None:
    await receiver.serve(receiver_route(entity=ENTITY, per_entity=True, filter="payload.number > 'x'"))
    letter = await _sent(receiver, 1, "ann")
    assert await receiver.letters() == [letter]
    assert "lane" in await fields(redis, letter)
