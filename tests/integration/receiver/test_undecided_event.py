"""An event that the filter cannot judge is kept as a dead letter, answered with success and counted; none gets lost."""

from typing import Any

import pytest

from eventroute.runtime.stats import read_stats
from eventroute.schemes import Request
from support.own_valkey import OwnValkey
from support.queue import fields
from support.receipts import receipts
from support.receiving import Receiving, opened, pull_request, signed
from support.sample_routes import receiver_route

URL = "https://hooks.example.com/hooks/team-a/triage"
TRIAGE = "team-a/triage"

UNDECIDED = {
    "another type": ('payload.number > "1"', "type_mismatch"),
    "no yes or no": ("payload.number", "wrong_result"),
    "a division by zero": ("payload.number / 0 > 1", "arithmetic"),
    "too large": ("payload.many.exists(x, x == 1)", "too_large"),
}


def large() -> Request:
    return signed("github", {**pull_request(), "many": [0] * 20_000}, event="pull_request", delivery="gh-1")


@pytest.mark.parametrize(("expression", "reason"), UNDECIDED.values(), ids=UNDECIDED)
async def test_it_is_kept_and_answered_with_success(receiver: Receiving, expression: str, reason: str) -> None:
    await receiver.serve(receiver_route(filter=expression))
    before = receipts()
    answer = await receiver.post(large())
    (kept,) = await receiver.letters()
    assert (answer.status_code, answer.json()) == (200, {"status": "undecided", "delivery": kept})
    assert receipts() - before == {(TRIAGE, "undecided", reason): 1}
    assert await receiver.queued() == []
    letter = await receiver.delivery(kept)
    assert (letter.event, letter.provider_id, letter.route) == ("pull_request.opened", "gh-1", TRIAGE)
    assert bytes(letter.payload) == large().body
    told = await fields(receiver.redis, kept)
    assert (told["state"], told["outcome"], told["reason"]) == ("dead", "dead", "filter")
    assert told["detail"] == f"filter: {reason}"


async def test_it_is_kept_once_however_often_it_is_sent(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(filter="payload.number"))
    answers = [(await receiver.post(opened())).json() for _ in range(3)]
    assert len({answer["delivery"] for answer in answers}) == len(await receiver.letters()) == 1


async def test_sent_again_to_a_filter_that_still_cannot_judge_it_is_a_duplicate(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(filter="payload.number"))
    kept = (await receiver.post(opened())).json()["delivery"]
    assert (await receiver.post(opened())).json() == {"status": "duplicate", "delivery": kept}
    assert await receiver.letters() == [kept]


async def test_sent_again_to_a_filter_that_says_no_it_is_filtered_and_the_letter_stays(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(filter="payload.number"))
    kept = (await receiver.post(opened())).json()["delivery"]
    await receiver.serve(receiver_route(filter="payload.number == 2", generation=2))
    assert (await receiver.post(opened())).json() == {"status": "filtered"}
    assert await receiver.letters() == [kept]


def item(number: int, **changes: Any) -> dict[str, Any]:
    usual = {"eventId": number, "portalId": 1, "subscriptionId": 7, "occurredAt": number, "size": number}
    return {**usual, "subscriptionType": "contact.creation", **changes}


async def test_a_batch_may_hold_events_of_each_kind(receiver: Receiving) -> None:
    route = receiver_route("hubspot", public_url=URL, filter="payload.size > 1")
    await receiver.serve(route)
    items = [item(1), item(2, size="large"), item(3), item(4, size="small")]
    before = receipts()
    answer = await receiver.post(signed("hubspot", items, url=URL))
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    statuses = [entry["status"] for entry in answer.json()["deliveries"]]
    first, queued, second = [entry["delivery"] for entry in answer.json()["deliveries"]]
    assert statuses == ["undecided", "queued", "undecided"]
    assert await receiver.queued() == [queued]
    assert set(await receiver.letters()) == {first, second}
    assert receipts() - before == {(TRIAGE, "queued", ""): 1}
    await receiver.receiver.tally.flush(receiver.redis)
    [stats] = await read_stats(receiver.redis, [route.uid])
    assert stats.receipts == {"queued": 1, "undecided": 2, "filtered": 1}


async def test_without_redis_the_sender_is_asked_to_come_back(fragile_receiver: Receiving, fragile: OwnValkey) -> None:
    await fragile_receiver.serve(receiver_route(filter="payload.number"))
    fragile.kill()
    answer = await fragile_receiver.post(opened())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
