"""What providers ask before they deliver is answered as they want it, starts nothing, and gives a forger nothing."""

import msgspec
import pytest

from eventroute.schemes import SCHEMES, KeyPair, Request, generate_secret
from eventroute.secret import Secret
from support.receipts import receipts
from support.receiving import JSON, Receiving, signed
from support.sample_routes import receiver_route

DISCORD = generate_secret(SCHEMES["discord"])


def challenge(text: object, **changes: object) -> Request:
    return signed("slack", {"type": "url_verification", "challenge": text, **changes})


def from_discord(payload: object, keys: KeyPair = DISCORD) -> Request:
    return signed("discord", payload, secret=keys.signing.decode())


async def test_slacks_challenge_is_echoed_as_json(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("slack"))
    before = receipts()
    answer = await receiver.post(challenge("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}
    assert receipts() - before == {("team-a/triage", "handshake", ""): 1}
    assert await receiver.queued() == []


async def test_a_challenge_that_nobody_signed_is_refused_unread(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("slack"))
    request = challenge("3eZb")
    forged = [(name, b"v0=" + b"0" * 64 if name == b"x-slack-signature" else value) for name, value in request.headers]
    for headers in ([JSON], forged):
        request.headers = headers
        answer = await receiver.post(request)
        assert (answer.status_code, answer.content) == (401, b"")


async def test_markup_in_a_challenge_stays_text(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("slack"))
    text = '<script>alert(1)</script>"\r\nset-cookie: a=b'
    answer = await receiver.post(challenge(text))
    assert answer.json() == {"challenge": text}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("text", ["x" * 1025, "x" * 900_000, None, {"a": 1}, ["a"]], ids=lambda text: str(text)[:9])
async def test_what_is_no_usable_challenge_is_not_echoed(receiver: Receiving, text: object) -> None:
    await receiver.serve(receiver_route("slack"))
    answer = await receiver.post(challenge(text))
    assert (answer.status_code, answer.json()["status"]) == (422, "unparsable")
    assert len(answer.content) < 100
    assert await receiver.queued() == []


async def test_a_challenge_on_another_providers_route_is_an_ordinary_event(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    answer = await receiver.post(signed("github", {"type": "url_verification", "challenge": "3eZb"}))
    assert answer.json()["status"] == "queued"
    assert b"3eZb" not in answer.content


async def test_slacks_ordinary_events_are_queued_even_if_they_speak_of_challenges(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("slack"))
    payload = {"type": "event_callback", "event_id": "Ev1", "challenge": "3eZb", "event": {"type": "url_verification"}}
    assert (await receiver.post(signed("slack", payload))).json()["status"] == "queued"


@pytest.mark.parametrize("suspend", [None, "drop"])
async def test_githubs_ping_starts_nothing(receiver: Receiving, *, suspend: str | None) -> None:
    await receiver.serve(receiver_route(suspend=suspend))
    before = receipts()
    answer = await receiver.post(signed("github", {"zen": "Keep it logically awesome."}, event="ping", delivery="1"))
    assert (answer.status_code, answer.content) == (200, b"")
    assert receipts() - before == {("team-a/triage", "handshake", ""): 1}
    assert await receiver.queued() == []


async def test_a_ping_relabelled_as_an_event_is_not_one(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    answer = await receiver.post(signed("github", {"zen": "Keep it logically awesome."}, event="pull_request"))
    assert answer.status_code == 422
    assert await receiver.queued() == []


@pytest.mark.parametrize(
    ("payload", "status", "body"),
    [({"type": 1, "version": 1}, 200, b'{"type":1}'), ({"type": 0, "version": 1}, 204, b"")],
    ids=["interactions", "webhook events"],
)
async def test_discords_pings_are_answered_when_signed_and_refused_when_not(
    receiver: Receiving, payload: object, status: int, body: bytes
) -> None:
    await receiver.serve(receiver_route("discord", secrets=(Secret(DISCORD.configured),)))
    answer = await receiver.post(from_discord(payload))
    assert (answer.status_code, answer.content) == (status, body)
    # Discord sends bad signatures on purpose and removes a URL that takes them.
    forged = await receiver.post(from_discord(payload, generate_secret(SCHEMES["discord"])))
    assert (forged.status_code, forged.content) == (401, b"")
    assert await receiver.queued() == []


@pytest.mark.parametrize("provider", ["cloudevents", "cloudevents-batch"])
async def test_a_known_cloudevents_sender_is_granted_and_its_callback_left_alone(
    receiver: Receiving, provider: str
) -> None:
    await receiver.serve(receiver_route(provider))
    before = receipts()
    answer = await receiver.post(
        Request(
            method="OPTIONS",
            url=None,
            headers=[
                (b"webhook-request-origin", b"EventGrid.azure.net"),
                (b"webhook-request-callback", b"http://169.254.169.254/latest"),
                (b"webhook-request-rate", b"120"),
            ],
            body=b"",
        )
    )
    assert (answer.status_code, answer.content) == (200, b"")
    assert {**answer.headers} == {
        "webhook-allowed-origin": "eventgrid.azure.net",
        "webhook-allowed-rate": "*",
        "allow": "POST",
        "content-length": "0",
    }
    assert receipts() - before == {("team-a/triage", "handshake", ""): 1}


@pytest.mark.parametrize("origin", [b"evil.example.com", b"eventgrid.azure.net.evil.example.com", b"*", b""])
async def test_an_unknown_cloudevents_sender_is_granted_nothing(receiver: Receiving, origin: bytes) -> None:
    await receiver.serve(receiver_route("cloudevents"))
    headers = [(b"webhook-request-origin", origin)]
    answer = await receiver.post(Request(method="OPTIONS", url=None, headers=headers, body=b""))
    assert (answer.status_code, {**answer.headers}) == (405, {"allow": "POST", "content-length": "0"})


@pytest.mark.parametrize(("provider", "status"), [("intercom", 200), ("trello", 200), ("github", 405)])
async def test_only_a_provider_that_asks_by_head_is_answered_by_head(
    receiver: Receiving, provider: str, status: int
) -> None:
    await receiver.serve(receiver_route(provider))
    answer = await receiver.post(Request(method="HEAD", url=None, headers=[], body=b""))
    assert (answer.status_code, answer.content) == (status, b"")


async def test_a_handshake_is_answered_although_the_queue_takes_nothing(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("slack", suspend="drop", filter="false"))
    assert msgspec.json.decode((await receiver.post(challenge("3eZb"))).content) == {"challenge": "3eZb"}
