"""A batch is answered item by item, counts as one request, and tells what became of each event."""

from typing import Any

import pytest

from eventroute.schemes import Request
from support.queue import GROUP
from support.receipts import receipts
from support.receiving import Receiving, signed
from support.sample_routes import receiver_route

URL = "https://hooks.example.com/hooks/team-a/triage"


def item(number: int, **changes: Any) -> dict[str, Any]:
    usual = {"eventId": number, "portalId": 1, "subscriptionId": 7, "occurredAt": number}
    return {**usual, "subscriptionType": "contact.creation", **changes}


def batch(*items: Any) -> Request:
    return signed("hubspot", list(items), url=URL)


@pytest.fixture
async def served(receiver: Receiving) -> Receiving:
    await receiver.serve(receiver_route("hubspot", public_url=URL, filter="payload.eventId != 3"))
    return receiver


async def test_each_queued_item_is_named_in_the_order_of_the_batch(served: Receiving) -> None:
    before = receipts()
    answer = await served.post(batch(item(2), item(1)))
    assert answer.status_code == 200
    deliveries = [entry["delivery"] for entry in answer.json()["deliveries"]]
    assert answer.json() == {
        "status": "queued",
        "deliveries": [{"status": "queued", "delivery": d} for d in deliveries],
    }
    assert [(await served.delivery(d)).provider_id.split(":")[0] for d in deliveries] == ["2", "1"]
    assert receipts() - before == {("team-a/triage", "queued", ""): 1}


async def test_filtered_items_are_left_out(served: Receiving) -> None:
    answer = await served.post(batch(item(2), item(3), item(4)))
    assert len(answer.json()["deliveries"]) == 2
    assert len(await served.queued()) == 2


async def test_of_nothing_but_filtered_items_the_request_counts_as_filtered(served: Receiving) -> None:
    before = receipts()
    answer = await served.post(batch(item(3), item(3, occurredAt=9)))
    assert (answer.status_code, answer.json()) == (200, {"status": "filtered"})
    assert receipts() - before == {("team-a/triage", "filtered", ""): 1}


async def test_one_item_is_answered_like_one_event(served: Receiving) -> None:
    answer = await served.post(batch(item(1)))
    assert answer.json() == {"status": "queued", "delivery": (await served.queued())[0]}


async def test_of_nothing_but_repeats_the_request_counts_as_a_duplicate(served: Receiving) -> None:
    first = await served.post(batch(item(1), item(2)))
    before = receipts()
    second = await served.post(batch(item(1), item(2)))
    assert second.json()["status"] == "duplicate"
    assert [entry["delivery"] for entry in second.json()["deliveries"]] == [
        entry["delivery"] for entry in first.json()["deliveries"]
    ]
    assert receipts() - before == {("team-a/triage", "duplicate", ""): 1}


async def test_an_item_that_stands_twice_in_a_batch_is_a_repeat_of_itself(served: Receiving) -> None:
    answer = await served.post(batch(item(1), item(1)))
    first, second = answer.json()["deliveries"]
    assert (first["status"], second["status"]) == ("queued", "duplicate")
    assert second["delivery"] == first["delivery"]
    assert await served.redis.llen(GROUP.wake) == 1


async def test_an_empty_batch_is_success_and_starts_nothing(served: Receiving) -> None:
    answer = await served.post(batch())
    assert (answer.status_code, answer.content) == (200, b"")
    assert await served.queued() == []


@pytest.mark.parametrize("stranger", [None, 1, "text", [], [item(1)]], ids=repr)
async def test_one_item_that_is_no_object_refuses_the_whole_batch(served: Receiving, stranger: object) -> None:
    answer = await served.post(batch(item(1), stranger))
    assert (answer.status_code, answer.json()["status"]) == (422, "unparsable")
    assert await served.queued() == []


async def test_a_batch_whose_filters_take_their_time_is_judged_like_any_other(receiver: Receiving) -> None:
    expression = "payload.steps.all(step, step < 1000) && payload.eventId != 3"
    await receiver.serve(receiver_route("hubspot", public_url=URL, filter=expression))
    answer = await receiver.post(batch(*(item(number, steps=list(range(100))) for number in range(100))))
    assert [entry["status"] for entry in answer.json()["deliveries"]] == ["queued"] * 99
    assert len(await receiver.queued()) == 99
