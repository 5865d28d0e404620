"""A dead letter that the provider sends again runs again, as the delivery that it was; nothing else does."""

from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, RoutePath
from eventroute.outcome import DeadReason
from eventroute.route_table import RateLimit
from eventroute.runtime.metrics import REGISTRY
from eventroute.runtime.stats import read_stats
from eventroute.schemes import Request
from support.queue import GROUP, bury, fields, lease, settle, upkeep_of, work_on
from support.receipts import receipts
from support.receiving import Receiving, opened, signed
from support.sample_routes import receiver_route

TRIAGE = RoutePath("team-a/triage")
URL = "https://hooks.example.com/hooks/team-a/triage"


async def lettered(receiver: Receiving, number: int = 1) -> DeliveryId:
    """Let a delivery become a dead letter."""
    delivery = DeliveryId((await receiver.post(opened(number))).json()["delivery"])
    await bury(receiver.redis, delivery)
    assert await receiver.letters() == [delivery]
    return delivery


def deliveries(outcome: str) -> float:
    return REGISTRY.get_sample_value("eventroute_deliveries_total", {"route": TRIAGE, "outcome": outcome}) or 0


async def usage(redis: Redis) -> dict[str, int]:
    own = await redis.hmget(GROUP.route(TRIAGE), "depth", "bytes", "dead_bytes")
    all_ = await redis.hmget(GROUP.usage, "depth", "bytes")
    assert own[:2] == all_
    return dict(zip(("depth", "bytes", "dead_bytes"), (int(each or 0) for each in own), strict=True))


async def test_it_is_ready_again_under_its_old_id_and_told_as_redelivered(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    delivery = await lettered(receiver)
    before, counted = receipts(), deliveries("redelivered")
    answer = await receiver.post(opened())
    assert (answer.status_code, answer.json()) == (200, {"status": "redelivered", "delivery": delivery})
    assert await receiver.queued() == [delivery]
    assert await receiver.letters() == []
    assert receipts() - before == {(TRIAGE, "redelivered", ""): 1}
    assert deliveries("redelivered") == counted + 1
    await receiver.receiver.tally.flush(receiver.redis)
    [stats] = await read_stats(receiver.redis, [receiver_route().uid])
    assert stats.receipts == {"queued": 1, "redelivered": 1}
    assert stats.last is not None
    assert stats.last.delivery == delivery


async def test_it_wakes_a_worker_takes_its_turn_and_counts_as_queued(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    delivery = await lettered(receiver)
    await receiver.redis.delete(GROUP.wake)
    await receiver.post(opened())
    assert await receiver.redis.llen(GROUP.wake) == 1
    size = await receiver.redis.hstrlen(GROUP.delivery(delivery), "body")
    assert await usage(receiver.redis) == {"depth": 1, "bytes": size, "dead_bytes": 0}
    assert await receiver.redis.ttl(GROUP.delivery(delivery)) == -1
    assert (await lease(receiver.redis)).delivery == delivery


async def test_nothing_of_its_end_is_left_and_its_attempts_and_deadlines_count_anew(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    delivery = DeliveryId((await receiver.post(opened())).json()["delivery"])
    work, taken = work_on(receiver.redis), await lease(receiver.redis)
    assert (await work.begin(taken, traceparent="")).attempts == 1
    await work.save(taken, b"an answer")
    await work.mark_sink(taken, "results")
    await settle(receiver.redis, taken, "dead", DeadReason.SINK)
    long_ago = {"at": 1, "since": 1, "saved": 1}
    await receiver.redis.hset(GROUP.delivery(delivery), mapping=long_ago)
    await receiver.post(opened())
    told = await fields(receiver.redis, delivery)
    assert {"state", "outcome", "reason", "detail", "finished", "attempts"}.isdisjoint(told)
    begun = await work.begin(await lease(receiver.redis), traceparent="")
    assert begun.attempts == 1
    assert begun.answer == b"an answer"  # what was paid for is not lost
    assert begun.sinks_done == {"results"}
    for time_ms in (begun.accepted_ms, begun.since_ms, begun.saved_ms):
        assert begun.now_ms - time_ms < 60_000


async def test_while_it_waits_runs_or_has_succeeded_another_copy_is_a_duplicate(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    delivery = await lettered(receiver)
    await receiver.post(opened())
    duplicate = {"status": "duplicate", "delivery": delivery}
    assert (await receiver.post(opened())).json() == duplicate
    taken = await lease(receiver.redis)
    assert (await receiver.post(opened())).json() == duplicate
    await settle(receiver.redis, taken)
    assert (await receiver.post(opened())).json() == duplicate
    assert await usage(receiver.redis) == {"depth": 0, "bytes": 0, "dead_bytes": 0}


async def test_it_may_die_and_be_sent_again_as_often_as_the_provider_does(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    delivery = await lettered(receiver)
    for _ in range(3):
        assert (await receiver.post(opened())).json() == {"status": "redelivered", "delivery": delivery}
        await bury(receiver.redis, delivery)
    assert await receiver.letters() == [delivery]


async def test_the_copy_that_came_last_is_what_runs_and_no_byte_is_counted_for_the_old_one(
    receiver: Receiving,
) -> None:
    await receiver.serve(receiver_route())
    delivery = await lettered(receiver)
    again = opened()
    again.headers = [*again.headers, (b"x-retry", b"7" * 500)]
    assert (await receiver.post(again)).json()["status"] == "redelivered"
    assert (await receiver.delivery(delivery)).headers["x-retry"] == "7" * 500
    assert (await usage(receiver.redis))["dead_bytes"] == 0


async def test_it_comes_after_what_was_accepted_meanwhile(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    delivery = await lettered(receiver)
    second = (await receiver.post(opened(2))).json()["delivery"]
    await receiver.post(opened(1))
    assert await receiver.queued() == [second, delivery]


async def test_a_letter_that_the_filter_could_not_judge_runs_once_the_filter_passes_it(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(filter="payload.number"))
    delivery = (await receiver.post(opened())).json()["delivery"]
    await receiver.serve(receiver_route(filter="payload.number == 1", generation=2))
    before = receipts()
    assert (await receiver.post(opened())).json() == {"status": "redelivered", "delivery": delivery}
    assert receipts() - before == {(TRIAGE, "redelivered", ""): 1}
    assert (await receiver.queued(), await receiver.letters()) == ([delivery], [])
    assert (await receiver.delivery(delivery)).generation == 2


async def test_a_body_that_nobody_can_read_stays_a_duplicate(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    bodies = [await receiver.post(signed("github", b"{", event="push", delivery="gh-1")) for _ in range(2)]
    assert [(answer.status_code, answer.json()["status"]) for answer in bodies] == [(422, "unparsable")] * 2
    assert await receiver.letters() == [bodies[0].json()["delivery"]]
    assert await receiver.queued() == []


async def test_it_costs_a_token_of_the_routes_rate(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(rate_limit=RateLimit(per_second=0.001, burst=1)))
    delivery = await lettered(receiver)
    assert (await receiver.post(opened())).status_code == 429
    assert await receiver.letters() == [delivery]


async def test_of_a_held_route_it_waits_with_the_others(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    delivery = await lettered(receiver)
    await upkeep_of(receiver.redis).hold(GROUP, TRIAGE, "deleted")
    await receiver.redis.delete(GROUP.wake)
    assert (await receiver.post(opened())).json()["status"] == "redelivered"
    assert await receiver.queued() == [delivery]
    assert await receiver.redis.exists(GROUP.rotation, GROUP.wake) == 0


@pytest.mark.parametrize("copies", [1, 2])
async def test_in_a_batch_each_item_is_told_for_itself(receiver: Receiving, copies: int) -> None:
    await receiver.serve(receiver_route("hubspot", public_url=URL))
    first = (await receiver.post(batch(1))).json()["delivery"]
    await bury(receiver.redis, first)
    answer = await receiver.post(batch(*[1] * copies, 2))
    told = [(item["status"], item["delivery"]) for item in answer.json()["deliveries"]]
    assert told[:-1] == [("redelivered", first), ("duplicate", first)][:copies]
    assert told[-1][0] == "queued"
    assert await receiver.queued() == [first, told[-1][1]]
    assert (await usage(receiver.redis))["depth"] == 2


def batch(*numbers: int) -> Request:
    items: list[dict[str, Any]] = [
        {"eventId": n, "portalId": 1, "subscriptionId": 7, "occurredAt": n, "subscriptionType": "contact.creation"}
        for n in numbers
    ]
    return signed("hubspot", items, url=URL)
