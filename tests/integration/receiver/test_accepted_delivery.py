"""Success is answered after everything that the worker needs is in Redis, and nothing that it must not see."""

import msgspec
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, RoutePath
from support.queue import GROUP
from support.receiving import Receiving, opened, pull_request, signed
from support.sample_routes import receiver_route

TRIAGE = RoutePath("team-a/triage")


async def test_an_accepted_delivery_is_queued_counted_and_wakes_a_worker(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    answer = await receiver.post(opened())
    assert answer.status_code == 200
    (queued,) = await receiver.queued()
    assert answer.json() == {"status": "queued", "delivery": queued}
    stored = await receiver.redis.hgetall(GROUP.delivery(queued))
    assert stored.keys() == {b"body", b"path", b"seq", b"at"}
    counts = {b"depth": b"1", b"bytes": b"%d" % len(stored[b"body"])}
    assert await receiver.redis.hgetall(GROUP.usage) == {**counts, b"seq": b"1"}
    assert await receiver.redis.hgetall(GROUP.route(TRIAGE)) == counts
    assert await receiver.redis.zrange(GROUP.rotation, 0, -1) == [TRIAGE.encode()]
    assert await receiver.redis.llen(GROUP.wake) == 1


async def test_the_record_holds_the_payload_as_it_was_sent(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    body = b'{ "action":"opened",\n "pull_request" : {"title":"\\u00e9\xc3\xa9"}}'
    answer = await receiver.post(signed("github", body, event="pull_request", delivery="gh-1"))
    delivery = await receiver.delivery(answer.json()["delivery"])
    assert bytes(delivery.payload) == body
    assert (delivery.event, delivery.provider, delivery.provider_id) == ("pull_request.opened", "github", "gh-1")
    assert (delivery.route, delivery.generation, delivery.key_index) == ("team-a/triage", 1, 0)


async def test_the_record_holds_no_signature_and_no_credentials(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    request = opened()
    request.headers = [*request.headers, (b"authorization", b"Bearer hidden"), (b"cookie", b"hidden")]
    answer = await receiver.post(request)
    stored = b"".join((await receiver.redis.hgetall(GROUP.delivery(answer.json()["delivery"]))).values())
    assert b"hidden" not in stored
    assert b"sha256=" not in stored
    assert (await receiver.delivery(answer.json()["delivery"])).headers["x-github-event"] == "pull_request"


async def test_nothing_that_is_queued_expires_before_it_was_worked_on(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    delivery = DeliveryId((await receiver.post(opened())).json()["delivery"])
    for name in (GROUP.delivery(delivery), GROUP.ready(TRIAGE), GROUP.rotation, GROUP.usage, GROUP.route(TRIAGE)):
        assert await receiver.redis.ttl(name) == -1


async def test_the_previous_secret_is_accepted_and_its_index_recorded(receiver: Receiving) -> None:
    (current,) = receiver_route(name="x").secrets
    previous = type(current)(b"the-secret-before-the-rotation")
    await receiver.serve(receiver_route(secrets=(current, previous)))
    answer = await receiver.post(opened(secret="the-secret-before-the-rotation"))
    assert (await receiver.delivery(answer.json()["delivery"])).key_index == 1


async def test_a_lost_script_cache_goes_unnoticed(receiver: Receiving, redis: Redis) -> None:
    await receiver.serve(receiver_route())
    await receiver.post(opened(1))
    await redis.script_flush()
    assert (await receiver.post(opened(2))).json()["status"] == "queued"


async def test_a_form_is_stored_as_json(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("slack"))
    request = signed("slack", b"command=%2Fask&text=hello+world&trigger_id=1.2")
    request.headers = [
        (name, b"application/x-www-form-urlencoded" if name == b"content-type" else value)
        for name, value in request.headers
    ]
    answer = await receiver.post(request)
    assert (answer.status_code, answer.content) == (200, b"")  # as Slack wants to hear of a command
    [name] = await receiver.queued()
    delivery = await receiver.delivery(name)
    assert msgspec.json.decode(delivery.payload)["text"] == "hello world"


async def test_a_batch_becomes_one_delivery_per_item(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("hubspot", public_url=HUBSPOT_URL))
    answer = await receiver.post(signed("hubspot", [hubspot_item(n) for n in range(100)], url=HUBSPOT_URL))
    assert answer.status_code == 200
    assert len(await receiver.queued()) == 100
    assert {item["status"] for item in answer.json()["deliveries"]} == {"queued"}
    assert await receiver.redis.llen(GROUP.wake) == 64


HUBSPOT_URL = "https://hooks.example.com/hooks/team-a/triage"


def hubspot_item(number: int) -> dict[str, object]:
    return {
        "eventId": number,
        "subscriptionId": 7,
        "portalId": 62515,
        "occurredAt": 1_700_000_000_000 + number,
        "subscriptionType": "contact.creation",
        "objectId": 123,
    }


async def test_a_batch_with_one_repeat_admits_the_other_ninety_nine(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("hubspot", public_url=HUBSPOT_URL))
    first = await receiver.post(signed("hubspot", [hubspot_item(57)], url=HUBSPOT_URL))
    answer = await receiver.post(signed("hubspot", [hubspot_item(n) for n in range(100)], url=HUBSPOT_URL))
    assert len(await receiver.queued()) == 100
    repeats = [item for item in answer.json()["deliveries"] if item["status"] == "duplicate"]
    assert repeats == [{"status": "duplicate", "delivery": first.json()["delivery"]}]


async def test_a_batch_with_one_malformed_item_admits_nothing(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("hubspot", public_url=HUBSPOT_URL))
    items: list[object] = [hubspot_item(n) for n in range(100)]
    items[57] = "not an object"
    answer = await receiver.post(signed("hubspot", items, url=HUBSPOT_URL))
    assert answer.status_code == 422
    assert await receiver.queued() == []


async def test_an_item_twice_in_one_batch_is_queued_once(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("hubspot", public_url=HUBSPOT_URL))
    await receiver.post(signed("hubspot", [hubspot_item(1), hubspot_item(1)], url=HUBSPOT_URL))
    assert len(await receiver.queued()) == 1


async def test_the_filter_sees_payload_event_headers_and_route(receiver: Receiving) -> None:
    expression = (
        'payload.number == 2 && event == "pull_request.opened" && headers["x-github-event"] == "pull_request" '
        '&& route.namespace == "team-a" && route.name == "triage"'
    )
    await receiver.serve(receiver_route(filter=expression))
    refused, accepted = await receiver.post(opened(1)), await receiver.post(opened(2))
    assert (refused.status_code, refused.json()) == (200, {"status": "filtered"})
    assert accepted.json()["status"] == "queued"
    assert len(await receiver.queued()) == 1


async def test_a_filter_that_names_a_missing_field_counts_as_no(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(filter="payload.absent.field == 1"))
    assert (await receiver.post(opened())).json() == {"status": "filtered"}
    assert await receiver.queued() == []


async def test_a_suspended_route_answers_success_and_queues_nothing(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(suspend="drop"))
    answer = await receiver.post(signed("github", pull_request(), event="pull_request", delivery="gh-1"))
    assert (answer.status_code, answer.json()) == (200, {"status": "suspended"})
    assert await receiver.queued() == []
