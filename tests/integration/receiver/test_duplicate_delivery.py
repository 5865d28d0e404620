"""One event is queued once, however often and in whatever disguise it arrives; two events are never taken for one."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from eventroute.expression import Budget
from eventroute.ids import ClaimId, DeliveryId
from eventroute.queue import Admitted, Limits, New
from eventroute.schemes import SCHEMES, Event, Events, Mark, Request
from eventroute_receiver.admit import Admission
from eventroute_receiver.intake import Intake
from eventroute_receiver.routes import prepare
from support.queue import GROUP, lease, settle, state
from support.receipts import receipts
from support.receiving import Receiving, opened, pull_request, signed
from support.sample_routes import receiver_route

CLAIMS = GROUP.claim(ClaimId("*"))


async def test_fifty_copies_at_once_make_one_job_and_all_hear_of_the_same_delivery(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    before = receipts()
    answers = await asyncio.gather(*(receiver.post(opened()) for _ in range(50)))
    (queued,) = await receiver.queued()
    assert {answer.json()["delivery"] for answer in answers} == {queued}
    assert receipts() - before == {("team-a/triage", "queued", ""): 1, ("team-a/triage", "duplicate", ""): 49}
    assert await receiver.redis.llen(GROUP.wake) == 1


async def test_once_the_claim_has_expired_the_event_is_a_new_one_that_runs_beside_the_first(
    receiver: Receiving,
) -> None:
    await receiver.serve(receiver_route())
    first = DeliveryId((await receiver.post(opened())).json()["delivery"])
    await settle(receiver.redis, await lease(receiver.redis))
    await forget_claims(receiver.redis)
    second = (await receiver.post(opened())).json()
    assert second["status"] == "queued"
    assert second["delivery"] != first
    assert await state(receiver.redis, first) == "settled"
    assert await receiver.queued() == [second["delivery"]]


async def test_while_it_runs_and_when_it_is_done_a_repeat_is_one_as_long_as_the_claim_lives(
    receiver: Receiving,
) -> None:
    await receiver.serve(receiver_route())
    first = (await receiver.post(opened())).json()["delivery"]
    running = await lease(receiver.redis)
    assert (await receiver.post(opened())).json() == {"status": "duplicate", "delivery": first}
    await settle(receiver.redis, running)
    assert (await receiver.post(opened())).json() == {"status": "duplicate", "delivery": first}
    assert await receiver.queued() == []


async def test_claims_live_as_long_as_the_provider_may_send_again(receiver: Receiving) -> None:
    scheme = receiver_route().scheme
    await receiver.serve(receiver_route())
    await receiver.post(opened())
    claims = await receiver.redis.keys(CLAIMS)
    assert claims
    for claim in claims:
        assert scheme.dedup_ttl_s - 5 <= await receiver.redis.ttl(claim) <= scheme.dedup_ttl_s


@pytest.mark.parametrize(
    ("provider", "payload"),
    [
        ("linear", {"type": "Issue", "action": "create"}),
        ("mailgun", {"event-data": {"event": "failed"}, "signature": {"token": "a" * 50}}),
    ],
)
async def test_the_last_attempt_which_has_the_first_ones_timestamp_runs_once(
    receiver: Receiving, provider: str, payload: dict[str, object]
) -> None:
    await receiver.serve(receiver_route(provider))
    first_attempt = time.time() - SCHEMES[provider].retry_window_s
    request = signed(provider, payload, delivery="d-1", now=first_attempt)
    answers = [await receiver.post(request) for _ in range(2)]
    assert [answer.json()["status"] for answer in answers] == ["queued", "duplicate"]
    for claim in await receiver.redis.keys(CLAIMS):  # as long as its timestamp passes
        assert await receiver.redis.ttl(claim) > SCHEMES[provider].retry_window_s


async def test_what_one_action_causes_in_shopify_are_events_of_their_own(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("shopify"))
    answers = [
        await receiver.post(signed("shopify", {"id": 1, "financial_status": state}, event=topic, delivery="e-1"))
        for topic, state in (("orders/create", "pending"), ("orders/paid", "paid"), ("orders/paid", "paid"))
    ]
    assert [answer.json()["status"] for answer in answers] == ["queued", "queued", "duplicate"]


async def test_one_event_that_reaches_two_subscriptions_of_shopify_runs_once(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("shopify"))
    request = signed("shopify", {"id": 1}, event="orders/create", delivery="e-1")
    heads = [[*request.headers, (b"x-shopify-webhook-id", webhook)] for webhook in (b"w-1", b"w-2")]
    told = []
    for request.headers in heads:
        told.append((await receiver.post(request)).json()["status"])
    assert told == ["queued", "duplicate"]


async def test_a_captured_request_with_a_new_unsigned_id_is_a_repeat_of_the_first(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    first = await receiver.post(opened(delivery="gh-1"))
    replayed = await receiver.post(opened(delivery="gh-2"))
    assert replayed.json() == {"status": "duplicate", "delivery": first.json()["delivery"]}
    assert len(await receiver.queued()) == 1


async def test_the_same_id_with_another_body_is_a_repeat(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    first = await receiver.post(opened(1, delivery="gh-1"))
    assert (await receiver.post(opened(2, delivery="gh-1"))).json()["delivery"] == first.json()["delivery"]
    assert len(await receiver.queued()) == 1


async def test_the_same_event_on_two_routes_is_two_deliveries(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(name="one"), receiver_route(name="two"))
    answers = [await receiver.post(opened(), name=name) for name in ("one", "two")]
    assert [answer.json()["status"] for answer in answers] == ["queued", "queued"]
    assert len(await receiver.queued()) == 2


async def test_a_route_that_was_deleted_and_made_anew_remembers_nothing(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    await receiver.post(opened())
    await receiver.serve(receiver_route(uid="uid-of-the-second-life"))
    assert (await receiver.post(opened())).json()["status"] == "queued"


WEIRD_IDS = ["evt:1:2", "evt_*", "evt_[a-z]?", "evt\n1", "evt\r\nDEL er:{g0}:usage", "é漢🙂", "a" * 10_240, " x "]


def event(delivery: object, number: int = 1) -> Request:
    return signed("stripe", {"id": delivery, "type": "invoice.paid", "number": number})


@pytest.mark.parametrize("weird", WEIRD_IDS, ids=repr)
async def test_an_id_of_any_content_is_recognised_and_never_becomes_part_of_a_key(
    receiver: Receiving, weird: str
) -> None:
    await receiver.serve(receiver_route("stripe"))
    answers = [await receiver.post(event(weird, number)) for number in (1, 2)]
    assert len({answer.json()["delivery"] for answer in answers}) == 1
    (queued,) = await receiver.queued()
    names = await receiver.redis.keys("*")
    assert all(len(name) < 100 and name.isascii() and name.decode().isprintable() for name in names)
    assert weird.startswith((await receiver.delivery(queued)).provider_id)


async def test_different_ids_of_any_content_are_different_deliveries(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("stripe"))
    for weird in WEIRD_IDS:
        await receiver.post(event(weird))
    assert len(await receiver.queued()) == len(WEIRD_IDS)


@pytest.mark.parametrize("unset", [None, "", 0, "00000000-0000-0000-0000-000000000000", "null"])
async def test_distinct_events_whose_id_was_never_set_are_both_queued(receiver: Receiving, unset: object) -> None:
    await receiver.serve(receiver_route("stripe"))
    for number in (1, 2):
        await receiver.post(event(unset, number))
    assert len(await receiver.queued()) == 2


@pytest.mark.parametrize("provider", ["generic-token", "intercom", "x", "none"])
async def test_a_copy_without_an_id_is_a_repeat_for_ten_minutes(receiver: Receiving, provider: str) -> None:
    await receiver.serve(receiver_route(provider))
    first = (await receiver.post(signed(provider, pull_request()))).json()
    assert (await receiver.post(signed(provider, pull_request()))).json() == {**first, "status": "duplicate"}
    (claim,) = await receiver.redis.keys(CLAIMS)
    assert 595 <= await receiver.redis.ttl(claim) <= 600
    assert (await receiver.post(signed(provider, pull_request(2)))).json()["status"] == "queued"


async def test_the_same_bytes_after_those_ten_minutes_are_a_new_event_of_an_id_of_its_own(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("generic-token"))
    first = (await receiver.post(signed("generic-token", pull_request()))).json()
    await forget_claims(receiver.redis)
    second = (await receiver.post(signed("generic-token", pull_request()))).json()
    assert (first["status"], second["status"]) == ("queued", "queued")
    assert first["delivery"] != second["delivery"]


async def test_empty_bodies_are_events_of_their_own(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("none"))
    assert [(await receiver.post(signed("none", b""))).json()["status"] for _ in range(2)] == ["queued", "queued"]


async def test_each_claim_of_a_delivery_lives_as_long_as_it_says(receiver: Receiving) -> None:
    route = receiver_route()
    await receiver.serve(route)
    event = Event("a", "1", b"{}", (Mark("id", b"1", 1000), Mark("digest", b"2", 50)))
    intake = Intake(prepare(route), opened(), Budget(), received_ms=1, key_index=0)
    (candidate,) = intake.choose(Events((event,))).kept
    admission = Admission(receiver.receiver.link, limits=Limits(10, 0))
    assert await admission.admit(route, [candidate], traceparent="") == Admitted([New(candidate.delivery.id)])
    long, short = [await receiver.redis.ttl(GROUP.claim(claim.id)) for claim in candidate.claims]
    assert 995 <= long <= 1000
    assert 45 <= short <= 50


async def forget_claims(redis: Redis) -> None:
    claims = await redis.keys(CLAIMS)
    assert claims
    await redis.delete(*claims)
