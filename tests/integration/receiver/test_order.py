"""What a sender says in an order is worked on in that order: within a batch, and batch after batch."""

import asyncio

import pytest
from redis.asyncio import Redis

from eventroute.ids import RoutePath
from eventroute.schemes import Request
from support.queue import GROUP, upkeep_of, work_on
from support.receiving import Receiving, opened, signed
from support.sample_routes import receiver_route

URL = "https://hooks.example.com/hooks/team-a/{}"


def batch(name: str, *numbers: int) -> Request:
    items = [
        {"eventId": n, "portalId": 1, "subscriptionId": 7, "occurredAt": n, "subscriptionType": "contact.creation"}
        for n in numbers
    ]
    return signed("hubspot", items, url=URL.format(name))


async def sent(receiver: Receiving, name: str, *numbers: int) -> list[str]:
    """Post a batch; returns the ids of its items, in its order."""
    answer = (await receiver.post(batch(name, *numbers), name)).json()
    return [item["delivery"] for item in answer["deliveries"]]


async def leased(redis: Redis, count: int = 100) -> dict[RoutePath, list[str]]:
    """Lease so many deliveries, by route."""
    taken = await work_on(redis).lease(GROUP, worker="w", lease_ms=15_000, wanted=count, busy=0)
    found: dict[RoutePath, list[str]] = {}
    for each in taken.leases:
        found.setdefault(each.path, []).append(each.delivery)
    return found


@pytest.fixture
async def served(receiver: Receiving) -> Receiving:
    await receiver.serve(
        *(receiver_route("hubspot", name=name, public_url=URL.format(name)) for name in ("one", "two"))
    )
    return receiver


async def test_the_items_of_a_batch_are_leased_in_its_order(served: Receiving) -> None:
    ids = await sent(served, "one", *range(50, 0, -1))
    assert await leased(served.redis) == {RoutePath("team-a/one"): ids}


async def test_a_later_batch_comes_after_an_earlier_one(served: Receiving) -> None:
    ids = [*await sent(served, "one", 9, 1, 8, 2), *await sent(served, "one", 7, 3, 6, 4)]
    assert await leased(served.redis) == {RoutePath("team-a/one"): ids}


async def test_batches_of_two_routes_that_take_turns_keep_their_own_order(served: Receiving) -> None:
    ones, twos = await sent(served, "one", 3, 1, 2), await sent(served, "two", 6, 4, 5)
    ones += await sent(served, "one", 9, 7, 8)
    assert await leased(served.redis, 4) == {RoutePath("team-a/one"): ones[:2], RoutePath("team-a/two"): twos[:2]}
    assert await leased(served.redis) == {RoutePath("team-a/one"): ones[2:], RoutePath("team-a/two"): twos[2:]}


async def test_batches_that_arrive_at_once_are_not_shuffled_together(served: Receiving) -> None:
    batches = [range(start, start + 10) for start in range(0, 100, 10)]
    sent_ids = await asyncio.gather(*(sent(served, "one", *reversed(numbers)) for numbers in batches))
    found = (await leased(served.redis))[RoutePath("team-a/one")]
    parts = [found[start : start + 10] for start in range(0, 100, 10)]
    assert sorted(parts) == sorted(sent_ids)


async def test_an_item_that_was_tried_goes_before_those_that_came_after_it(served: Receiving) -> None:
    ids = await sent(served, "one", 5, 1, 4)
    work = work_on(served.redis)
    taken = await work.lease(GROUP, worker="w", lease_ms=15_000, wanted=2, busy=0)
    for each in reversed(taken.leases):
        await work.put_back(each, pause_ms=0, counts=False)
    assert await leased(served.redis) == {RoutePath("team-a/one"): ids}


async def test_what_a_held_route_gets_is_ready_and_takes_no_turn_until_it_is_released(
    receiver: Receiving, redis: Redis
) -> None:
    await receiver.serve(receiver_route())
    path, upkeep = receiver_route().path, upkeep_of(redis)
    await upkeep.hold(GROUP, path, "deleted")
    ids = [(await receiver.post(opened(number))).json()["delivery"] for number in range(3)]
    assert await receiver.queued() == ids
    assert await redis.exists(GROUP.rotation, GROUP.wake) == 0
    assert await leased(redis) == {}
    assert await redis.hget(GROUP.usage, "depth") == b"3"  # it takes its room all the same
    await upkeep.release(GROUP, [path])
    assert await redis.llen(GROUP.wake) == 3
    assert await leased(redis) == {path: ids}
