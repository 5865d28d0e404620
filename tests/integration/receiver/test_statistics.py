"""What the status of a route tells of its requests: each event once, the last one accepted, and the secret it used."""

import time
from typing import Any

import msgspec
from opentelemetry.sdk.trace import TracerProvider
from redis.asyncio import Redis

from eventroute.outcome import LeftOut, Receipt
from eventroute.route_table import RateLimit
from eventroute.runtime.stats import Effect, RouteStats, read_stats
from eventroute.runtime.tracing import parse_traceparent
from eventroute.schemes import SCHEMES, Request
from eventroute.secret import Secret
from support.queue import GROUP
from support.receiving import Receiving, opened, receiving, signed
from support.sample_routes import SECRET, receiver_route

URL = "https://hooks.example.com/hooks/team-a/triage"


async def _stats(receiving: Receiving) -> RouteStats:
    await receiving.receiver.tally.flush(receiving.redis)
    [stats] = await read_stats(receiving.redis, [receiver_route().uid])
    return stats


async def _receipts(receiver: Receiving, *requests: Request, **changes: Any) -> dict[str, int]:
    await receiver.serve(receiver_route(**changes))
    for request in requests:
        await receiver.post(request)
    return (await _stats(receiver)).receipts


async def test_the_last_accepted_delivery_is_told(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    before_ms = time.time_ns() // 1_000_000
    ids = [(await receiver.post(opened(number))).json()["delivery"] for number in (1, 2, 1)]
    last = (await _stats(receiver)).last
    assert last is not None
    assert (last.outcome, last.delivery) == (Receipt.QUEUED, ids[1])
    assert before_ms <= last.time_ms <= time.time_ns() // 1_000_000


async def test_its_trace_is_the_one_that_travels_in_the_delivery(redis: Redis, valkey_url: str) -> None:
    async with receiving(valkey_url, redis) as receiver:
        receiver.receiver.hooks.webhooks._tracer = TracerProvider().get_tracer("test")
        await receiver.serve(receiver_route())
        await receiver.post(opened())
        last = (await _stats(receiver)).last
        assert last is not None
        [trace] = [await redis.hget(GROUP.delivery(name), "trace") for name in await receiver.queued()]
    assert len(last.trace_id) == 32
    assert last.trace_id in trace.decode()
    assert parse_traceparent(f"00-{last.trace_id}-{'1' * 16}-01") is not None


async def test_repeats_and_refusals_are_counted_apart(receiver: Receiving) -> None:
    found = await _receipts(receiver, opened(1), opened(1), opened(2, secret="wrong"))
    assert found == {"queued": 1, "duplicate": 1, "unauthenticated": 1}


async def test_each_event_of_a_batch_counts(receiver: Receiving) -> None:
    items = [
        {"eventId": n, "portalId": 1, "subscriptionId": 7, "occurredAt": n, "subscriptionType": "a.b"} for n in range(5)
    ]
    request = signed("hubspot", items, url=URL)
    route: dict[str, Any] = {"provider": "hubspot", "public_url": URL, "filter": "payload.eventId > 1"}
    assert await _receipts(receiver, request, **route) == {"queued": 3, "filtered": 2}
    assert await _receipts(receiver, request, **route, generation=2, suspend="drop") == {
        "queued": 3,
        "filtered": 2,
        "suspended": 5,
    }


async def test_our_own_actions_in_a_batch_are_left_out_and_counted_apart(receiver: Receiving) -> None:
    scheme = msgspec.structs.replace(SCHEMES["generic"], batch="body", id=("item:id",), actor=("item:by", "item:by_id"))
    items: list[dict[str, Any]] = [{"id": "1", "by": "us"}, {"id": "2", "by": "ada"}, {"id": "3", "by_id": 7}]
    route: dict[str, Any] = {"scheme": scheme, "own_actors": ("us", "7")}
    assert await _receipts(receiver, signed("generic", items), **route) == {"queued": 1, "own_action": 2}
    filtered = {**route, "generation": 2, "filter": 'payload.id == "9"'}
    assert await _receipts(receiver, signed("generic", items), **filtered) == {
        "queued": 1,
        "own_action": 4,
        "filtered": 1,
    }


async def test_what_is_to_come_again_is_not_counted_as_settled(receiver: Receiving) -> None:
    limit = RateLimit(per_second=0.001, burst=1)
    found = await _receipts(receiver, opened(1), opened(2), filter="true", rate_limit=limit)
    assert found == {"queued": 1, "rate_limited": 1}


async def test_the_secret_that_matched_is_named(receiver: Receiving) -> None:
    secrets = (Secret(b"the-new-secret-of-the-hook"), Secret(SECRET.encode()))
    await receiver.serve(receiver_route(secrets=secrets, secret_names=("new/secret", "old/secret")))
    await receiver.post(opened(1))
    await receiver.post(opened(2, secret="of-somebody-else"))
    assert list((await _stats(receiver)).secrets) == ["old/secret"]


async def test_a_request_without_a_route_belongs_to_no_status(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    await receiver.post(opened(), name="unheard-of")
    assert (await _stats(receiver)).receipts == {}


async def test_a_receiver_that_stops_writes_what_it_has(redis: Redis, valkey_url: str) -> None:
    async with receiving(valkey_url, redis) as receiver:
        await receiver.serve(receiver_route())
        await receiver.post(opened())
    [stats] = await read_stats(redis, [receiver_route().uid])
    assert stats.receipts == {"queued": 1}


async def _effect(receiver: Receiving, *requests: Request, **changes: Any) -> Effect:
    await _receipts(receiver, *requests, **changes)
    effect = (await _stats(receiver)).effect
    assert effect is not None
    return effect


async def test_events_that_a_filter_leaves_out_are_told_by_type(receiver: Receiving) -> None:
    effect = await _effect(receiver, opened(1), opened(2), filter="false", generation=3)
    assert (effect.generation, effect.queued) == (3, 0)
    assert effect.left == {LeftOut.FILTERED: {"pull_request.opened": 2}}


async def test_a_filter_that_fails_on_events_is_told_too(receiver: Receiving) -> None:
    effect = await _effect(receiver, opened(1), filter="1 / 0 == 1")
    assert (effect.queued, effect.left) == (0, {LeftOut.UNDECIDED: {"pull_request.opened": 1}})


async def test_our_own_actions_are_told_without_a_type(receiver: Receiving) -> None:
    scheme = msgspec.structs.replace(SCHEMES["generic"], batch="body", id=("item:id",), actor=("item:by",))
    items = [{"id": "1", "by": "us"}, {"id": "2", "by": "us"}]
    effect = await _effect(receiver, signed("generic", items), scheme=scheme, own_actors=("us",))
    assert effect.left == {LeftOut.OWN_ACTION: {"": 2}}


async def test_what_is_queued_is_counted_once_and_a_forger_counts_nothing(receiver: Receiving) -> None:
    forged = opened(2, secret="wrong")
    effect = await _effect(receiver, opened(1), opened(1), forged)
    assert (effect.queued, effect.left) == (1, {})


async def test_a_forger_alone_leaves_nothing_to_tell(receiver: Receiving) -> None:
    await _receipts(receiver, opened(2, secret="wrong"), filter="false")
    assert (await _stats(receiver)).effect is None
