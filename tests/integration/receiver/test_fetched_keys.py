"""Messages of SNS and Pub/Sub, and a receiver that fetches their keys from a real server: what each is answered."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventroute.errors import RetryLater
from eventroute.route_table import ReceiverRoute
from eventroute.schemes import Request
from eventroute.secret import Secret
from eventroute_receiver import fetch, keyring, metrics
from support.certificates import Authority
from support.fetched_keys import (
    ACCOUNT,
    AUDIENCE,
    CERTIFICATE,
    TOPIC,
    KeyServer,
    certificate,
    claims,
    from_aws,
    from_google,
    key_server,
    key_set,
    message,
    push,
    token,
)
from support.receipts import receipts
from support.receiving import Receiving
from support.sample_routes import receiver_route
from support.waiting import until

Told = Counter[tuple[str, str, str]]


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server() as known:
        known.documents = {f"/{CERTIFICATE}": certificate(), "/certs": key_set()}
        yield known


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests wait for as long as a busy machine takes."""
    monkeypatch.setattr(keyring, "WAIT_S", 20.0)


def sns_route(server: KeyServer, *topics: str, **changes: Any) -> ReceiverRoute:
    topics = topics or (TOPIC,)
    secrets = tuple(Secret(topic.encode()) for topic in topics)
    names = tuple(f"hook/topic-{number}" for number in range(len(topics)))
    return receiver_route("aws-sns", scheme=server.scheme("aws-sns"), secrets=secrets, secret_names=names, **changes)


def google_route(server: KeyServer, **changes: Any) -> ReceiverRoute:
    secrets = (Secret(f"{ACCOUNT} {AUDIENCE}".encode()),)
    return receiver_route("google-pubsub", scheme=server.scheme("google-pubsub"), secrets=secrets, **changes)


def alarm(server: KeyServer, number: int = 1, **changes: Any) -> Request:
    return from_aws(message(origin=server.url, MessageId=f"message-{number}", **changes))


def refused(reason: str) -> Told:
    return Counter({("team-a/triage", "unauthenticated", reason): 1})


def not_now(reason: str) -> Told:
    return Counter({("team-a/triage", "unavailable", reason): 1})


# --- SNS --------------------------------------------------------------------------------------------------------------


async def test_the_first_message_is_accepted_by_a_certificate_that_is_fetched_for_it(
    receiver: Receiving, server: KeyServer
) -> None:
    await receiver.serve(sns_route(server))
    answers = [await receiver.post(alarm(server, number)) for number in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert server.seen == [f"/{CERTIFICATE}"]
    delivery = await receiver.delivery(answers[0].json()["delivery"])
    assert (delivery.event, delivery.provider_id) == ("Notification", "message-0")
    payload = msgspec.json.decode(delivery.payload)
    assert payload["Message"] == {"AlarmName": "disk", "NewStateValue": "ALARM"}
    assert payload["UnsubscribeURL"] == "[redacted]"


async def test_a_message_that_comes_again_is_a_duplicate(receiver: Receiving, server: KeyServer) -> None:
    await receiver.serve(sns_route(server))
    answers = [(await receiver.post(alarm(server))).json() for _ in range(2)]
    assert [answer["status"] for answer in answers] == ["queued", "duplicate"]
    assert len(await receiver.queued()) == 1


async def test_a_message_whose_certificate_takes_long_is_asked_to_come_back_and_then_accepted(
    receiver: Receiving, server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "WAIT_S", 0.1)
    await receiver.serve(sns_route(server))
    server.hold.clear()
    before, fetched = receipts(), metrics.FETCHES.counts["aws-sns", "fetched"]
    answer = await receiver.post(alarm(server))
    assert (answer.status_code, answer.headers["retry-after"], answer.content) == (503, "5", b"")
    assert receipts() - before == not_now("key")
    server.hold.set()
    await until(lambda: metrics.FETCHES.counts["aws-sns", "fetched"] > fetched)
    assert (await receiver.post(alarm(server))).status_code == 200
    assert server.seen == [f"/{CERTIFICATE}"]


@pytest.mark.parametrize("status", [500, 502, 429, 407, 403, 400, 301, 204])
async def test_a_certificate_that_cannot_be_had_is_no_reason_to_refuse(
    receiver: Receiving, server: KeyServer, status: int
) -> None:
    server.status, server.headers = status, {"location": f"{server.url}/certs"}
    await receiver.serve(sns_route(server))
    before = receipts()
    assert (await receiver.post(alarm(server))).status_code == 503
    assert receipts() - before == not_now("key")
    assert server.seen == [f"/{CERTIFICATE}"]  # a redirect is not followed
    assert await receiver.queued() == []


async def test_a_document_that_is_too_large_is_none(receiver: Receiving, server: KeyServer) -> None:
    server.documents[f"/{CERTIFICATE}"] = certificate() + b"\n" * fetch.MAX_BYTES
    await receiver.serve(sns_route(server))
    assert (await receiver.post(alarm(server))).status_code == 503


async def test_a_server_that_is_away_is_no_reason_to_refuse(receiver: Receiving) -> None:
    with key_server() as gone:
        pass
    await receiver.serve(sns_route(gone))
    assert (await receiver.post(alarm(gone))).status_code == 503


async def test_a_certificate_that_does_not_exist_is_a_reason_to_refuse(receiver: Receiving, server: KeyServer) -> None:
    await receiver.serve(sns_route(server))
    forged = alarm(server, SigningCertURL=f"{server.url}/SimpleNotificationService-ff.pem")
    for _ in range(3):
        before = receipts()
        answer = await receiver.post(forged)
        assert (answer.status_code, answer.content) == (401, b"")
        assert receipts() - before == refused("untrusted_key")
    assert server.seen == ["/SimpleNotificationService-ff.pem"]


@pytest.mark.parametrize(
    ("request_of", "reason"),
    [
        (lambda server: from_aws(message(origin=server.url, SigningCertURL=f"{server.url}/evil.pem")), "untrusted_key"),
        (lambda _server: from_aws(message(origin="https://evil.example.com")), "untrusted_key"),
        (lambda server: alarm(server, TopicArn="arn:aws:sns:eu-central-1:999999999999:alarms"), "foreign"),
        (lambda server: alarm(server, SignatureVersion="1"), "weak_digest"),
        (lambda server: alarm(server, SignatureVersion="9"), "malformed_signature"),
        (lambda _server: Request(method="POST", url=None, headers=[], body=b'{"AlarmName":"disk"}'), "unsigned"),
        (lambda _server: Request(method="POST", url=None, headers=[], body=b"disk is full"), "unsigned"),
    ],
    ids=["another path", "another host", "another topic", "SHA-1", "version 9", "raw JSON", "raw text"],
)
async def test_what_can_be_refused_without_a_key_makes_nobody_fetch(
    receiver: Receiving, server: KeyServer, request_of: Any, reason: str
) -> None:
    await receiver.serve(sns_route(server))
    before = receipts()
    assert (await receiver.post(request_of(server))).status_code == 401
    assert receipts() - before == refused(reason)
    assert server.seen == []


async def test_forgeries_and_old_messages_are_refused(receiver: Receiving, server: KeyServer) -> None:
    await receiver.serve(sns_route(server))
    for request, reason in (
        (from_aws(message(origin=server.url), Message="another"), "mismatch"),
        (from_aws(message(origin=server.url), key="somebody"), "mismatch"),
        (from_aws(message(origin=server.url, now=1_700_000_000)), "stale"),
    ):
        before = receipts()
        assert (await receiver.post(request)).status_code == 401
        assert receipts() - before == refused(reason)
    server.documents["/SimpleNotificationService-0.pem"] = certificate(ends=1_700_000_000)
    before = receipts()
    expired = alarm(server, SigningCertURL=f"{server.url}/SimpleNotificationService-0.pem")
    assert (await receiver.post(expired)).status_code == 401
    assert receipts() - before == refused("untrusted_key")
    assert await receiver.queued() == []


async def test_a_large_message_is_judged_beside_the_loop_by_the_same_keys(
    receiver: Receiving, server: KeyServer
) -> None:
    await receiver.serve(sns_route(server))
    assert (await receiver.post(alarm(server, Message="x" * 300_000))).status_code == 200


# --- subscriptions ----------------------------------------------------------------------------------------------------


def subscription(server: KeyServer, **changes: Any) -> Request:
    return from_aws(message("SubscriptionConfirmation", origin=server.url, **changes))


async def test_a_subscription_is_confirmed_by_visiting_its_address_once(receiver: Receiving, server: KeyServer) -> None:
    server.documents["/"] = b"<ConfirmSubscriptionResponse/>"
    await receiver.serve(sns_route(server))
    before = receipts()
    answers = [await receiver.post(subscription(server)) for _ in range(2)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"")] * 2
    assert server.seen == [
        f"/{CERTIFICATE}",
        f"/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37",
    ]
    assert receipts() - before == {("team-a/triage", "handshake", ""): 2}
    assert await receiver.queued() == []


async def test_a_subscription_is_answered_with_success_only_once_it_is_confirmed(
    receiver: Receiving, server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "_AGAIN_S", 0.0)
    await receiver.serve(sns_route(server))
    before = receipts()
    answer = await receiver.post(subscription(server))  # its address answers 404
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert receipts() - before == not_now("confirmation")
    server.documents["/"] = b"<ConfirmSubscriptionResponse/>"
    assert (await receiver.post(subscription(server))).status_code == 200


@pytest.mark.parametrize(
    "request_of",
    [
        lambda server: subscription(server, TopicArn="arn:aws:sns:eu-central-1:999999999999:alarms"),
        lambda server: from_aws(message("SubscriptionConfirmation", origin=server.url), key="somebody"),
        lambda server: from_aws(
            message("SubscriptionConfirmation", origin=server.url),
            SubscribeURL=f"{server.url}/?Action=ConfirmSubscription&Token=another",
        ),
        lambda server: subscription(server, SubscribeURL=f"{server.url}/?Action=Unsubscribe&Token=2336412f37"),
        lambda server: subscription(server, SubscribeURL=f"{server.url}/certs"),
        lambda server: from_aws(message("UnsubscribeConfirmation", origin=server.url)),
    ],
    ids=["another topic", "another key", "changed", "another action", "another path", "an end of one"],
)
async def test_nothing_else_is_ever_visited(receiver: Receiving, server: KeyServer, request_of: Any) -> None:
    server.documents |= {"/": b"", "/certs": b""}
    await receiver.serve(sns_route(server))
    await receiver.post(request_of(server))
    await asyncio.sleep(0.1)
    assert set(server.seen) <= {f"/{CERTIFICATE}"}
    assert await receiver.queued() == []


# --- Pub/Sub ----------------------------------------------------------------------------------------------------------


async def test_a_pushed_message_is_accepted_by_keys_that_are_there_before_it(
    receiver: Receiving, server: KeyServer
) -> None:
    await receiver.serve(google_route(server))
    await until(lambda: server.seen == ["/certs"])
    answer = await receiver.post(from_google(payload=push(eventType="OBJECT_FINALIZE")))
    assert answer.status_code == 200
    delivery = await receiver.delivery(answer.json()["delivery"])
    assert (delivery.event, delivery.provider_id) == (
        "OBJECT_FINALIZE",
        "136969346945:projects/orders/subscriptions/triage",
    )
    assert msgspec.json.decode(delivery.payload)["message"]["data"] == {"order": 7}
    assert "authorization" not in delivery.headers
    assert server.seen == ["/certs"]


async def test_a_pushed_message_that_comes_again_is_a_duplicate(receiver: Receiving, server: KeyServer) -> None:
    await receiver.serve(google_route(server))
    answers = [(await receiver.post(from_google())).json() for _ in range(2)]
    assert [answer["status"] for answer in answers] == ["queued", "duplicate"]


@pytest.mark.parametrize(
    ("credential", "reason"),
    [
        (lambda: token(claims(aud="https://hooks.example.com/hooks/team-b/other")), "foreign"),
        (lambda: token(claims(email="pusher@other.iam.gserviceaccount.com")), "foreign"),
        (lambda: token(claims(email_verified=False)), "foreign"),
        (lambda: token(claims(iss="https://evil.example.com")), "foreign"),
        (lambda: token(claims(email=None)), "malformed_signature"),
        (lambda: token(alg="none"), "malformed_signature"),
        (lambda: token(alg="HS256"), "malformed_signature"),
        (lambda: token(key="somebody"), "mismatch"),
        (lambda: token(claims(now=1_700_000_000)), "stale"),
        (lambda: token(kid="unheard-of"), "untrusted_key"),
    ],
    ids=["audience", "account", "unverified", "issuer", "no account", "none", "HS256", "key", "expired", "key id"],
)
async def test_a_token_with_one_change_is_refused(
    receiver: Receiving, server: KeyServer, credential: Any, reason: str
) -> None:
    await receiver.serve(google_route(server))
    before = receipts()
    answer = await receiver.post(from_google(credential()))
    assert (answer.status_code, answer.content) == (401, b"")
    assert receipts() - before == refused(reason)
    assert await receiver.queued() == []


async def test_a_new_key_is_fetched_when_the_set_is_old_enough(
    receiver: Receiving, server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "ABSENT_S", 0.0)
    await receiver.serve(google_route(server))
    assert (await receiver.post(from_google())).status_code == 200
    server.documents["/certs"] = key_set("newer", "provider")
    newer = from_google(token(key="newer", kid="newer"), push(number="2"))
    assert (await receiver.post(newer)).status_code == 200


async def test_without_googles_keys_senders_are_asked_to_come_back(receiver: Receiving, server: KeyServer) -> None:
    server.status = 503
    await receiver.serve(google_route(server))
    before = receipts()
    assert (await receiver.post(from_google())).status_code == 503
    assert receipts() - before == not_now("key")


@pytest.mark.parametrize(
    ("hosts", "trusted", "status"),
    [(("127.0.0.1",), True, 200), (("127.0.0.1",), False, 503), (("www.googleapis.com",), True, 503)],
    ids=["its own certificate", "of an unknown authority", "of another name"],
)
async def test_a_server_has_to_prove_its_name(
    receiver: Receiving,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hosts: tuple[str, ...],
    status: int,
    *,
    trusted: bool,
) -> None:
    authority = Authority(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certfile))
    with key_server(authority.certify(*hosts)) as server:
        server.documents["/certs"] = key_set()
        await receiver.serve(google_route(server))
        assert (await receiver.post(from_google())).status_code == status
        assert server.seen == (["/certs"] if status == 200 else [])


# --- documents --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "fresh_s"),
    [
        ({}, None),
        ({"cache-control": "public, max-age=19234, must-revalidate, no-transform"}, 19234),
        ({"cache-control": "max-age=100", "age": "30"}, 70),
        ({"cache-control": "max-age=100", "age": "soon"}, 100),
        ({"cache-control": "no-store"}, None),
        ({"cache-control": "max-age=soon"}, None),
    ],
    ids=str,
)
async def test_a_document_is_good_for_as_long_as_its_server_says(
    server: KeyServer, headers: dict[str, str], fresh_s: float | None
) -> None:
    server.headers = headers
    fetcher = fetch.Fetcher()
    found = await fetcher(f"{server.url}/certs")
    await fetcher.aclose()
    assert found == fetch.Document(server.documents["/certs"], fresh_s)


async def test_a_server_that_drips_is_not_waited_for(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "DEADLINE_S", 0.2)
    server.hold.clear()
    fetcher = fetch.Fetcher()
    with pytest.raises(RetryLater, match=r"no answer within 0\.2 s|ReadTimeout"):
        await fetcher(f"{server.url}/certs")
    await fetcher.aclose()
