"""Handshakes: answered exactly as asked, only where the row says so, and never a page or a way around verification."""

import hmac

import msgspec
import pytest

from eventroute.outcome import Refusal
from eventroute.schemes import (
    SCHEMES,
    Events,
    Handshake,
    HandshakeRule,
    Key,
    Rejected,
    Request,
    Scheme,
    Strength,
    Unparsable,
    Verified,
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


def ask(name: str, method: str, origin: bytes | None = None) -> Handshake | Rejected | None:
    headers = [] if origin is None else [(b"webhook-request-origin", origin)]
    headers.append((b"webhook-request-callback", b"http://169.254.169.254/"))
    return preflight(SCHEMES[name], Request(method=method, url=None, headers=headers, body=b""), ())


def test_cloudevents_grants_a_known_sender_and_nobody_else() -> None:
    answer = ask("cloudevents", "OPTIONS", b"EventGrid.azure.net")
    assert isinstance(answer, Handshake)
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


def challenge(query: str, *, keys: tuple[Key, ...] = (X_KEY,), method: str = "GET") -> Handshake | Rejected | None:
    return preflight(SCHEMES["x"], Request(method=method, url=None, headers=[], body=b"", query=query), keys)


def test_x_is_shown_that_we_hold_the_current_secret() -> None:
    answer = challenge(f"crc_token={X_TOKEN}&nonce=x")
    assert isinstance(answer, Handshake)
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
    "scheme",
    [row for row in ROWS if any(rule.proof and rule.method == "GET" for rule in row.handshake)],
    ids=lambda row: row.name,
)
@pytest.mark.parametrize("token", ["1", "true", "null", X_TOKEN])
def test_a_signature_that_anybody_gets_for_asking_proves_no_body(scheme: Scheme, token: str) -> None:
    asked = Request(method="GET", url=None, headers=[], body=b"", query=f"crc_token={token}")
    answer = preflight(scheme, asked, (X_KEY,))
    assert isinstance(answer, Handshake)
    signature = answer.body.split(b'"')[3]
    header = scheme.signature.removeprefix("header:").encode()
    headers = [(header, signature), (b"content-type", b"application/json")]
    forged = Request(method="POST", url=None, headers=headers, body=token.encode())
    assert verify(scheme, forged, [X_KEY], 1_800_000_000) == Rejected(Refusal.MISMATCH)


# --- what stands in the query, or in a header, and nobody has signed --------------------------------------------------

TOKEN = b"a-verify-token-of-ours"
META = "hub.mode=subscribe&hub.verify_token=a-verify-token-of-ours&hub.challenge=1158201444"


def set_up(name: str, query: str = "", *, method: str = "GET", token: bytes = TOKEN, **headers: str) -> object:
    pairs = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    request = Request(method=method, url=None, headers=pairs, body=b"", query=query)
    return preflight(SCHEMES[name], request, (), token=token)


@pytest.mark.parametrize(
    ("name", "query", "media", "body"),
    [
        ("meta", META, "text/plain", b"1158201444"),
        ("strava", META, "application/json", b'{"hub.challenge":"1158201444"}'),
        ("dropbox", "challenge=abc-123_X", "text/plain", b"abc-123_X"),
    ],
)
def test_a_challenge_of_the_query_comes_back_as_its_provider_wants_it(
    name: str, query: str, media: str, body: bytes
) -> None:
    assert set_up(name, query) == Handshake(200, (("content-type", media), ("x-content-type-options", "nosniff")), body)


def test_microsofts_challenge_is_a_sentence_of_the_query_of_a_post() -> None:
    query = "validationToken=Validation%3A+Testing+client%20application+reachability%2C+Request-Id%3A+522a8e7e-096a"
    answer = set_up("microsoft-graph", query, method="POST", content_type="text/plain; charset=utf-8")
    assert isinstance(answer, Handshake)
    assert answer.body == b"Validation: Testing client application reachability, Request-Id: 522a8e7e-096a"
    assert set_up("microsoft-graph", query, method="GET") is None
    assert set_up("microsoft-graph", "", method="POST") is None


def test_oktas_challenge_is_a_header() -> None:
    answer = set_up("okta", x_okta_verification_challenge="Me_rShK8JHsTnbyYrWXCEo")
    assert isinstance(answer, Handshake)
    assert answer.body == b'{"verification":"Me_rShK8JHsTnbyYrWXCEo"}'
    assert set_up("okta") is None


@pytest.mark.parametrize("name", ["meta", "strava"])
@pytest.mark.parametrize(
    ("shown", "configured"),
    [
        ("a-verify-token-of-our", TOKEN),
        ("a-verify-token-of-ourss", TOKEN),
        ("A-verify-token-of-ours", TOKEN),
        ("%E2%82%AC", TOKEN),
        ("", TOKEN),
        ("", b""),
        ("a-verify-token-of-ours", b""),
        ("a-verify-token-of-ours&hub.verify_token=a-verify-token-of-ours", TOKEN),
    ],
)
def test_another_verify_token_is_refused(name: str, shown: str, configured: bytes) -> None:
    query = f"hub.mode=subscribe&hub.verify_token={shown}&hub.challenge=1158201444"
    assert set_up(name, query, token=configured) == Rejected(Refusal.MISMATCH)


def test_what_shows_no_token_at_all_is_refused_as_well() -> None:
    assert set_up("meta", "hub.mode=subscribe&hub.challenge=1158201444") == Rejected(Refusal.MISMATCH)
    assert set_up("meta", META.replace("subscribe", "unsubscribe")) is None


HOSTILE = [
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "a%22onload%3D%22",
    "a%27b",
    "a%26b",
    "a%28b",
    "a%60b",
    "a%5Cb",
    "a%7Bb",
    "a%00b",
    "a%0D%0Aset-cookie%3A%20b%3Dc",
    "a%0A",
    "%E2%80%A8",
    "%C3%A9",
    "%FF",
    "",
    "x" * 1025,
]


@pytest.mark.parametrize("challenge", HOSTILE)
@pytest.mark.parametrize(
    ("name", "method", "query"),
    [
        ("meta", "GET", META.replace("1158201444", "")),
        ("strava", "GET", META.replace("1158201444", "")),
        ("dropbox", "GET", "challenge="),
        ("microsoft-graph", "POST", "validationToken="),
    ],
)
def test_nothing_but_a_harmless_challenge_comes_back(name: str, method: str, query: str, challenge: str) -> None:
    assert set_up(name, query + challenge, method=method) is None


@pytest.mark.parametrize("challenge", ['a"b', "<b>", "caf\u00e9", "x" * 1025, ""])
def test_nothing_but_a_harmless_header_comes_back(challenge: str) -> None:
    assert set_up("okta", x_okta_verification_challenge=challenge) is None


def test_the_longest_challenge_comes_back_whole() -> None:
    answer = set_up("dropbox", "challenge=" + "x" * 1024)
    assert isinstance(answer, Handshake)
    assert answer.body == b"x" * 1024


@pytest.mark.parametrize("query", ["challenge=a&challenge=b", "Challenge=a", "&".join(["challenge=a", *["b=c"] * 16])])
def test_an_ambiguous_challenge_is_none(query: str) -> None:
    assert set_up("dropbox", query) is None


# --- a proof, for who has proven itself -------------------------------------------------------------------------------

ZOOM_KEYS = [parse_key(SCHEMES["zoom"], secret) for secret in (b"the-secret-token-of-now", b"the-secret-token-before")]
ZOOM_BODY = b'{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}'


def validated(body: bytes, key: Key | None = ZOOM_KEYS[0]) -> object:
    return read(SCHEMES["zoom"], Request(method="POST", url=None, headers=[], body=body), key=key)


@pytest.mark.parametrize("key", ZOOM_KEYS)
def test_zoom_is_shown_that_we_hold_the_secret_that_it_signs_with(key: Key) -> None:
    assert isinstance(key.material, bytes)
    proof = hmac.new(key.material, b"qgg8vlvZRS6UYooatFL8Aw", "sha256").hexdigest()
    answer = validated(ZOOM_BODY, key)
    assert isinstance(answer, Handshake)
    assert msgspec.json.decode(answer.body) == {"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": proof}
    assert ("x-content-type-options", "nosniff") in answer.headers


@pytest.mark.parametrize("token", ["v0:1700000000:{}", "", "a b", "x" * 129, "a.b", "<b>"])
def test_what_could_be_a_signed_message_is_not_signed(token: str) -> None:
    body = msgspec.json.encode({"event": "endpoint.url_validation", "payload": {"plainToken": token}})
    assert validated(body) == Unparsable("a handshake without a usable challenge")


def test_nothing_is_proven_without_a_key() -> None:
    assert validated(ZOOM_BODY, None) == Unparsable("a handshake without a usable challenge")


ASKED = Scheme(
    name="custom",
    signature="header:x-signature",
    signed=("timestamp", "header:x-id", "body"),
    timestamp="header:x-time",
    tolerance_s=60,
    document="any",
    handshake=(HandshakeRule(method="GET", proof="proof=query:token"),),
)


@pytest.mark.parametrize(("id_", "body"), [(b"a", b"1"), (b"", b"true"), (b"", b""), (b"another", b"")])
def test_no_signature_for_the_asking_fits_a_message_of_any_layout(id_: bytes, body: bytes) -> None:
    """Parts that stand side by side can look like a token: what looks like one is no genuine message."""
    stamp = b"1700000000"
    key = parse_key(ASKED, b"a-secret-that-nobody-knows")
    token = (stamp + id_ + body).decode()
    asked = Request(method="GET", url=None, headers=[], body=b"", query=f"token={token}")
    answer = preflight(ASKED, asked, [key])
    assert isinstance(answer, Handshake)
    signature = msgspec.json.decode(answer.body)["proof"].encode()
    headers = [(b"x-signature", signature), (b"x-time", stamp), (b"x-id", id_)]
    forged = Request(method="POST", url=None, headers=headers, body=body)
    assert verify(ASKED, forged, [key], 1_700_000_000) == Rejected(Refusal.MISMATCH)


# --- a token in each item ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "verdict"),
    [
        ([TOKEN], "verified"),
        ([TOKEN, TOKEN, TOKEN], "verified"),
        ([TOKEN, b"another-client-state"], Refusal.MISMATCH),
        ([b"another-client-state", TOKEN], Refusal.MISMATCH),
        ([TOKEN, None], Refusal.BODY_UNPARSEABLE),
        ([], Refusal.BODY_UNPARSEABLE),
    ],
)
def test_each_item_of_microsofts_must_show_the_state(items: list[bytes | None], verdict: str) -> None:
    scheme = SCHEMES["microsoft-graph"]
    body = msgspec.json.encode({"value": [{"clientState": item.decode() if item else None} for item in items]})
    request = Request(method="POST", url=None, headers=[], body=body)
    found = verify(scheme, request, [parse_key(scheme, TOKEN)], None)
    assert found == (Verified(0, Strength.AUTHENTICATED) if verdict == "verified" else Rejected(Refusal(verdict)))


def test_items_of_two_secrets_are_not_one_request() -> None:
    scheme = SCHEMES["microsoft-graph"]
    other = b"another-client-state"
    body = msgspec.json.encode({"value": [{"clientState": TOKEN.decode()}, {"clientState": other.decode()}]})
    request = Request(method="POST", url=None, headers=[], body=body)
    keys = [parse_key(scheme, TOKEN), parse_key(scheme, other)]
    assert verify(scheme, request, keys, None) == Rejected(Refusal.MISMATCH)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"value":7}', b'{"value":[7]}', b'{"value":"a"}', b"\xff"])
def test_what_holds_no_items_shows_nothing(body: bytes) -> None:
    scheme = SCHEMES["microsoft-graph"]
    request = Request(method="POST", url=None, headers=[], body=body)
    assert verify(scheme, request, [parse_key(scheme, TOKEN)], None) == Rejected(Refusal.BODY_UNPARSEABLE)
