"""What providers ask before they deliver is answered as they want it, starts nothing, and gives a forger nothing."""

import hmac

import msgspec
import pytest

from eventroute.schemes import SCHEMES, KeyPair, Request, generate_secret
from eventroute.secret import Secret
from support.receipts import receipts
from support.receiving import JSON, Receiving, signed
from support.sample_routes import SECRET, receiver_route

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


# --- before there are events ------------------------------------------------------------------------------------------

TOKEN = Secret(b"a-verify-token-of-ours")
META = "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=a-verify-token-of-ours"
INERT = {"content-type": "text/plain", "x-content-type-options": "nosniff", "content-length": "10"}


def bare(method: str = "GET", *headers: tuple[bytes, bytes]) -> Request:
    return Request(method=method, url=None, headers=headers, body=b"")


async def test_metas_challenge_is_answered_as_text_to_who_shows_the_verify_token(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("meta", verify_token=TOKEN))
    before = receipts()
    answer = await receiver.post(bare(), query=META)
    assert (answer.status_code, answer.content, {**answer.headers}) == (200, b"1158201444", INERT)
    assert receipts() - before == {("team-a/triage", "handshake", ""): 1}
    assert await receiver.queued() == []


@pytest.mark.parametrize("query", [META + "s", META.replace("a-verify", "%E2%82%AC"), META.partition("&hub.verify")[0]])
async def test_who_shows_another_token_is_refused_and_counted(receiver: Receiving, query: str) -> None:
    await receiver.serve(receiver_route("meta", verify_token=TOKEN))
    before = receipts()
    answer = await receiver.post(bare(), query=query)
    assert (answer.status_code, answer.content) == (401, b"")
    assert receipts() - before == {("team-a/triage", "unauthenticated", "mismatch"): 1}


async def test_the_signing_secret_is_no_verify_token(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("meta", verify_token=TOKEN), receiver_route("meta", name="tokenless"))
    shown = META.replace("a-verify-token-of-ours", SECRET)
    assert (await receiver.post(bare(), query=shown)).status_code == 401
    assert (await receiver.post(bare(), "tokenless", query=shown)).status_code == 401
    assert (await receiver.post(bare(), "tokenless", query=META)).status_code == 401


@pytest.mark.parametrize("challenge", ["%3Cscript%3Ealert(1)%3C%2Fscript%3E", "a%0d%0aset-cookie:b", "x" * 1025])
async def test_no_page_comes_back_from_a_set_up_request(receiver: Receiving, challenge: str) -> None:
    await receiver.serve(receiver_route("meta", verify_token=TOKEN), receiver_route("dropbox", name="files"))
    for name, query in (("triage", META.replace("1158201444", challenge)), ("files", f"?challenge={challenge}")):
        answer = await receiver.post(bare(), name, query=query)
        assert (answer.status_code, answer.content) == (405, b"")
        assert "set-cookie" not in answer.headers


async def test_metas_events_are_queued_each_for_itself(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("meta", verify_token=TOKEN))
    entries = [
        {"changes": [{"field": "messages", "value": {"messages": [{"id": f"wamid.{number}"}]}}]} for number in (1, 2)
    ]
    request = signed("meta", {"object": "whatsapp_business_account", "entry": entries})
    assert [item["status"] for item in (await receiver.post(request)).json()["deliveries"]] == ["queued", "queued"]
    assert {(await receiver.delivery(each)).event for each in await receiver.queued()} == {
        "whatsapp_business_account.messages"
    }
    assert [item["status"] for item in (await receiver.post(request)).json()["deliveries"]] == ["duplicate"] * 2


async def test_microsofts_validation_is_echoed_and_its_state_is_not_kept(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("microsoft-graph"))
    asked = bare("POST", (b"content-type", b"text/plain; charset=utf-8"))
    answer = await receiver.post(asked, query="?validationToken=Validation%3A+Testing+client+application+reachability")
    assert (answer.status_code, answer.text) == (200, "Validation: Testing client application reachability")
    assert answer.headers["content-type"] == "text/plain"
    assert await receiver.queued() == []
    items = [{"id": str(number), "subscriptionId": "s", "changeType": "created"} for number in (1, 2)]
    taken = await receiver.post(signed("microsoft-graph", {"value": items}))
    assert (taken.status_code, len(taken.json()["deliveries"])) == (202, 2)
    for each in await receiver.queued():
        assert SECRET.encode() not in bytes((await receiver.delivery(each)).payload)


async def test_a_state_that_one_item_lacks_refuses_them_all(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("microsoft-graph"))
    good, bad = {"id": "1", "clientState": SECRET}, {"id": "2", "clientState": "another-client-state"}
    for items in ([good, bad], [bad, good], [good, {"id": "3"}], []):
        request = Request(method="POST", url=None, headers=[JSON], body=msgspec.json.encode({"value": items}))
        assert (await receiver.post(request)).status_code == 401
    assert await receiver.queued() == []


async def test_a_challenge_in_the_query_of_another_providers_event_changes_nothing(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    request = signed("github", {"action": "opened", "pull_request": {}}, event="pull_request", delivery="1")
    answer = await receiver.post(request, query="?validationToken=abc&challenge=abc&crc_token=abc")
    assert answer.json()["status"] == "queued"
    assert (await receiver.post(bare(), query=META)).status_code == 405


async def test_oktas_and_stravas_challenges_are_answered_as_json(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("okta"), receiver_route("strava", name="runs", secrets=(), verify_token=TOKEN))
    okta = await receiver.post(bare("GET", (b"x-okta-verification-challenge", b"Me_rShK8JHsTnbyYrWXCEo")))
    assert (okta.status_code, okta.json()) == (200, {"verification": "Me_rShK8JHsTnbyYrWXCEo"})
    strava = await receiver.post(bare(), "runs", query=META)
    assert (strava.status_code, strava.json()) == (200, {"hub.challenge": "1158201444"})
    assert (await receiver.post(bare(), "runs", query=META + "s")).status_code == 401


@pytest.mark.parametrize(
    ("provider", "payload"),
    [
        ("dropbox", {"list_folder": {"accounts": ["dbid:AAH4f99T0taONIb"]}}),
        ("microsoft-graph", {"value": [{"subscriptionId": "s", "resource": "me/drive/root", "tenantId": "t"}]}),
    ],
)
async def test_two_equal_notices_without_an_id_are_two_events(
    receiver: Receiving, provider: str, payload: object
) -> None:
    await receiver.serve(receiver_route(provider))
    request = signed(provider, payload)
    assert [(await receiver.post(request)).json()["status"] for _ in range(2)] == ["queued", "queued"]
    assert len(await receiver.queued()) == 2


@pytest.mark.parametrize("at", [0, 1])
async def test_zooms_validation_is_proven_by_the_secret_that_it_was_signed_with(receiver: Receiving, at: int) -> None:
    texts = ["the-secret-token-of-now", "the-secret-token-before"]
    route = receiver_route("zoom", secrets=[Secret(text.encode()) for text in texts], secret_names=("a/b", "a/c"))
    await receiver.serve(route)
    payload = {"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}}
    answer = await receiver.post(signed("zoom", payload, secret=texts[at]))
    proof = hmac.new(texts[at].encode(), b"qgg8vlvZRS6UYooatFL8Aw", "sha256").hexdigest()
    assert answer.json() == {"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": proof}
    forged = await receiver.post(signed("zoom", payload, secret="another-secret-token"))
    assert (forged.status_code, forged.content) == (401, b"")
    assert await receiver.queued() == []
