"""Handshakes: answered exactly as asked, only where the row says so, and never a page or a way around verification."""

import msgspec
import pytest

from eventroute.outcome import Refusal
from eventroute.schemes import (
    SCHEMES,
    Events,
    Handshake,
    Key,
    Rejected,
    Request,
    Scheme,
    Unparsable,
    parse_key,
    preflight,
    read,
    verify,
)
from support.providers import ROWS


def read_body(name: str, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Events | Handshake | Unparsable:
    return read(SCHEMES[name], Request(method="POST", url="https://h.example/", headers=headers, body=body))


def test_slacks_challenge_is_echoed_as_inert_json() -> None:
    answer = read_body("slack", b'{"type":"url_verification","challenge":"3eZbrw1aB","token":"t"}')
    assert answer == Handshake(
        200,
        (("content-type", "application/json"), ("x-content-type-options", "nosniff")),
        b'{"challenge":"3eZbrw1aB"}',
    )


@pytest.mark.parametrize(
    "challenge", ["<script>alert(1)</script>", '"}<img onerror=x>', "a\r\nset-cookie: x", "\u2028"]
)
def test_hostile_challenges_stay_inside_the_json(challenge: str) -> None:
    body = msgspec.json.encode({"type": "url_verification", "challenge": challenge})
    answer = read_body("slack", body)
    assert isinstance(answer, Handshake)
    assert msgspec.json.decode(answer.body) == {"challenge": challenge}
    assert b"\r" not in answer.body
    assert ("content-type", "application/json") in answer.headers


@pytest.mark.parametrize(
    "challenge", [b"null", b"{}", b"[]", b'"' + b"x" * 1025 + b'"', b'"' + b"x" * (1 << 20) + b'"'], ids=lambda c: c[:9]
)
def test_a_challenge_that_is_none_is_not_echoed(challenge: bytes) -> None:
    body = b'{"type":"url_verification","challenge":' + challenge + b"}"
    assert read_body("slack", body) == Unparsable("a handshake without a usable challenge")


@pytest.mark.parametrize("name", [row.name for row in ROWS if row.name != "slack" and not row.batch])
def test_a_challenge_on_another_route_is_an_ordinary_event_or_nothing(name: str) -> None:
    answer = read_body(name, b'{"type":"url_verification","challenge":"3eZbrw1aB"}')
    assert not isinstance(answer, Handshake)


@pytest.mark.parametrize(
    ("name", "headers", "body", "status"),
    [
        ("github", ((b"x-github-event", b"ping"),), b'{"zen":"Keep it logically awesome.","hook_id":1}', 200),
        ("pagerduty", (), b'{"event":{"id":"1","event_type":"pagey.ping"}}', 200),
        ("intercom", (), b'{"topic":"ping"}', 200),
        ("bitbucket", ((b"x-event-key", b"diagnostics:ping"),), b'{"test":true}', 200),
        ("circleci", (), b'{"id":"1","type":"ping"}', 200),
        ("discord", (), b'{"type":0}', 204),
        ("discord", (), b'{"version":1,"application_id":"1","type":0}', 204),
    ],
)
def test_test_events_are_answered_and_start_nothing(
    name: str, headers: tuple[tuple[bytes, bytes], ...], body: bytes, status: int
) -> None:
    # Discord wants a media type, although there is no body.
    wanted = (("content-type", "application/json"),) if name == "discord" else ()
    assert read_body(name, body, headers) == Handshake(status, wanted)


def test_discords_ping_of_interactions_gets_its_pong() -> None:
    assert read_body("discord", b'{"type":1}') == Handshake(200, (("content-type", "application/json"),), b'{"type":1}')
    assert isinstance(read_body("discord", b'{"type":1,"event":{"type":"QUEST_USER_ENROLLMENT"}}'), Events)
    assert isinstance(read_body("discord", b'{"type":2,"data":{}}'), Events)
    assert isinstance(read_body("discord", b'{"type":"01"}'), Events)


def ask(name: str, method: str, origin: bytes | None = None) -> Handshake | None:
    headers = [] if origin is None else [(b"webhook-request-origin", origin)]
    headers.append((b"webhook-request-callback", b"http://169.254.169.254/"))
    return preflight(SCHEMES[name], Request(method=method, url=None, headers=headers, body=b""), (), query="")


def test_cloudevents_grants_a_known_sender_and_nobody_else() -> None:
    answer = ask("cloudevents", "OPTIONS", b"EventGrid.azure.net")
    assert answer is not None
    assert answer.status == 200
    assert dict(answer.headers) == {
        "webhook-allowed-origin": "eventgrid.azure.net",
        "webhook-allowed-rate": "*",
        "allow": "POST",
    }
    for origin in (None, b"", b"evil.example", b"*", b"eventgrid.azure.net.evil.example", b"\xff", b"a\r\nb"):
        assert ask("cloudevents", "OPTIONS", origin) is None


@pytest.mark.parametrize("name", ["intercom", "trello"])
def test_a_head_that_looks_whether_the_url_is_there_is_answered(name: str) -> None:
    assert ask(name, "HEAD") == Handshake(200)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "POST", "CONNECT", "", "get"])
def test_no_other_method_is_answered_before_verification(method: str) -> None:
    answered = {row.name for row in ROWS if ask(row.name, method, b"eventgrid.azure.net") is not None}
    expected = {
        "HEAD": {"intercom", "trello"},
        "OPTIONS": {"cloudevents", "cloudevents-basic", "cloudevents-batch"},
    }
    assert answered == expected.get(method, set())


# Published as a vector: tests/data/vectors.json, x-crc.
X_KEY = parse_key(SCHEMES["x"], b"z3ZX4v7mAAUGykl3EcmkqbartmuW8VFOOzCloLx9Q45P0hLrFu")
X_TOKEN = "9b4507b3-9040-4669-9ca3-6b94edb50553"
X_PROOF = b'{"response_token":"sha256=Cytd4Sq+NvEcV3MMrXxWJGJx5A+y/lXzzU2Maartkx8="}'


def challenge(query: str, *, keys: tuple[Key, ...] = (X_KEY,), method: str = "GET") -> Handshake | None:
    return preflight(SCHEMES["x"], Request(method=method, url=None, headers=[], body=b""), keys, query=query)


def test_x_is_shown_that_we_hold_the_current_secret() -> None:
    answer = challenge(f"crc_token={X_TOKEN}&nonce=x")
    assert answer is not None
    assert (answer.status, answer.body) == (200, X_PROOF)
    assert ("x-content-type-options", "nosniff") in answer.headers
    older = parse_key(SCHEMES["x"], b"the-secret-before-this-one")
    assert challenge(f"crc_token={X_TOKEN}", keys=(X_KEY, older)) == challenge(f"crc_token={X_TOKEN}")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "crc_token=",
        f"crc_token={X_TOKEN}&crc_token={X_TOKEN}",
        "crc_token=" + "a" * 129,
        "crc_token=%7B%22data%22%3A1%7D",  # a body to be signed for whoever asks
        "crc_token=a%0Ab",
        "crc_token=%FF",
        "&".join(["a=b"] * 17),
        f"CRC_TOKEN={X_TOKEN}",
    ],
)
def test_nothing_but_a_token_is_signed(query: str) -> None:
    assert challenge(query) is None


def test_a_challenge_needs_a_secret_and_is_asked_by_get() -> None:
    assert challenge(f"crc_token={X_TOKEN}", keys=()) is None
    assert challenge(f"crc_token={X_TOKEN}", method="HEAD") is None


@pytest.mark.parametrize(
    "scheme", [row for row in ROWS if any(rule.proof for rule in row.handshake)], ids=lambda row: row.name
)
@pytest.mark.parametrize("token", ["1", "true", "null", X_TOKEN])
def test_a_signature_that_anybody_gets_for_asking_proves_no_body(scheme: Scheme, token: str) -> None:
    answer = preflight(
        scheme, Request(method="GET", url=None, headers=[], body=b""), (X_KEY,), query=f"crc_token={token}"
    )
    assert answer is not None
    signature = answer.body.split(b'"')[3]
    header = scheme.signature.removeprefix("header:").encode()
    headers = [(header, signature), (b"content-type", b"application/json")]
    forged = Request(method="POST", url=None, headers=headers, body=token.encode())
    assert verify(scheme, forged, [X_KEY], 1_800_000_000) == Rejected(Refusal.MISMATCH)
