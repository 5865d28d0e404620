"""A success is said in the provider's own terms, whatever became of the event: some show it, some parse it."""

import time
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from eventroute.schemes import SCHEMES, Request, generate_secret, sign
from eventroute.secret import Secret
from eventroute_cli.samples import sample_request
from support.raw_http import connected, read_answer, whole
from support.receiver_process import OnTheWire
from support.receiving import Receiving, signed
from support.sample_routes import SECRET, receiver_route

FORM: Final = (b"content-type", b"application/x-www-form-urlencoded")
URL: Final = "https://hooks.example.com/hooks/team-a/triage"
NOTHING: Final = (200, None, b"")
TWIML: Final = (200, "text/xml", b"<Response/>")
SUBMITTED: Final = {"payload": '{"type":"view_submission","user":{"id":"U1"},"view":{"id":"V1","state":{"values":{}}}}'}
COMMAND: Final = {"command": "/triage", "text": "the shop is down", "user_name": "ada"}
ADYEN: Final = {
    "notificationItems": [
        {
            "NotificationRequestItem": {
                "pspReference": "7914073381342284",
                "eventCode": "AUTHORISATION",
                "success": "true",
            }
        }
    ]
}


def form(provider: str, fields: dict[str, str]) -> Request:
    bare = Request(method="POST", url=URL, headers=[FORM], body=urlencode(fields).encode())
    return sign(SCHEMES[provider], bare, secret=SECRET.encode(), now=time.time())


async def heard(receiver: Receiving, request: Request) -> tuple[int, str | None, bytes]:
    answer = await receiver.post(request)
    return answer.status_code, answer.headers.get("content-type"), answer.content


@pytest.mark.parametrize("fields", [SUBMITTED, COMMAND], ids=["a modal", "a command"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"suspend": "drop"}, {"filter": "false"}, {"filter": "int(route.name) > 1"}],
    ids=["queued", "suspended", "filtered", "undecided"],
)
async def test_whoever_acts_in_slack_sees_nothing_of_us(
    receiver: Receiving, fields: dict[str, str], changes: dict[str, Any]
) -> None:
    await receiver.serve(receiver_route("slack", **changes))
    request = form("slack", fields)
    assert [await heard(receiver, request) for _ in range(2)] == [NOTHING, NOTHING]


async def test_slacks_events_are_told_what_became_of_them(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("slack"))
    request = signed("slack", {"type": "event_callback", "event_id": "Ev1", "event": {"type": "message"}})
    answers = [await receiver.post(request) for _ in range(2)]
    assert [answer.json()["status"] for answer in answers] == ["queued", "duplicate"]


@pytest.mark.parametrize("event", ["received", "delivered"])
@pytest.mark.parametrize("changes", [{}, {"suspend": "drop"}, {"filter": "false"}])
async def test_twilios_own_samples_are_answered_by_no_twiml(
    receiver: Receiving, event: str, changes: dict[str, Any]
) -> None:
    await receiver.serve(receiver_route("twilio", public_url=URL, **changes))
    request = sample_request("twilio", event, secret=SECRET.encode(), url=URL, now=time.time())
    assert [await heard(receiver, request) for _ in range(2)] == [TWIML, TWIML]


async def test_a_discord_event_is_acknowledged_without_a_body(receiver: Receiving) -> None:
    keys = generate_secret(SCHEMES["discord"])
    await receiver.serve(receiver_route("discord", secrets=(Secret(keys.configured),)))
    event = {"version": 1, "type": 1, "event": {"type": "ENTITLEMENT_CREATE"}}
    for payload in ({"version": 1, "type": 0}, event, event):
        answer = await receiver.post(signed("discord", payload, secret=keys.signing.decode()))
        assert (answer.status_code, answer.content) == (204, b"")
        assert {**answer.headers} == {"content-type": "application/json"}
    assert len(await receiver.queued()) == 1


async def test_what_discord_and_twilio_read_off_the_wire(wire: OnTheWire) -> None:
    keys = generate_secret(SCHEMES["discord"])
    await wire.serve(
        receiver_route("discord", secrets=(Secret(keys.configured),)),
        receiver_route("twilio", name="texts", public_url=URL),
    )
    event = signed("discord", {"type": 1, "event": {"type": "ENTITLEMENT_CREATE"}}, secret=keys.signing.decode())
    text = sample_request("twilio", "received", secret=SECRET.encode(), url=URL, now=time.time())
    async with connected(wire.port) as (reader, writer):
        writer.write(whole(event) + whole(text, target="/hooks/team-a/texts"))
        for status, media_type, body in ((204, "application/json", b""), TWIML):  # one after the other, so framed well
            answer = await read_answer(reader)
            assert (answer.status, answer.headers["content-type"], answer.body) == (status, media_type, body)


async def test_adyen_reads_that_its_notification_was_accepted(receiver: Receiving) -> None:
    keys = generate_secret(SCHEMES["adyen"])
    await receiver.serve(receiver_route("adyen", secrets=(Secret(keys.configured),)))
    request = signed("adyen", ADYEN, secret=keys.signing.decode())
    assert [await heard(receiver, request) for _ in range(2)] == [(200, "text/plain", b"[accepted]")] * 2


async def test_a_route_that_answers_204_says_nothing_with_it(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(scheme=replace(SCHEMES["github"], success_status=204)))
    answer = await receiver.post(signed("github", {"zen": 1}, event="x", delivery="1"))
    assert (answer.status_code, answer.content, {**answer.headers}) == (204, b"", {})


async def test_a_refusal_stays_in_our_terms(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("slack"))
    answer = await receiver.post(form("slack", {"payload": "{"}))
    assert (answer.status_code, answer.json()["status"], answer.headers["x-slack-no-retry"]) == (422, "unparsable", "1")
