"""Pub/Sub: a token of Google's for this audience and account is believed, and none with any single change."""

import base64
import hashlib
import hmac
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from eventroute.outcome import Refusal
from eventroute.schemes import (
    SCHEMES,
    Events,
    KeyName,
    KeyRefused,
    Rejected,
    Request,
    Strength,
    Verified,
    parse_key,
    parse_keys,
    read,
    verify,
)
from support.fetched_keys import (
    ACCOUNT,
    AUDIENCE,
    JSON,
    KEY_ID,
    b64url,
    certificate,
    claims,
    from_google,
    key_set,
    private_key,
    push,
    ring_of,
    token,
)

NOW = 1_700_000_000.0
PUBSUB = SCHEMES["google-pubsub"]
KEYS = [parse_key(PUBSUB, f"{ACCOUNT} {AUDIENCE}".encode())]
RING = ring_of(PUBSUB, key_set())
VERIFIED = Verified(0, Strength.AUTHENTICATED)
FOREIGN, MALFORMED = Rejected(Refusal.FOREIGN), Rejected(Refusal.MALFORMED_SIGNATURE)


def said(**changes: Any) -> dict[str, Any]:
    return claims(now=NOW, **changes)


def judged(credential: bytes | Request, **changes: Any) -> object:
    request = credential if isinstance(credential, Request) else from_google(credential)
    return verify(PUBSUB, request, **{"keys": KEYS, "now": NOW, "ring": RING, **changes})


def never(name: KeyName) -> Any:
    raise AssertionError(f"asked for {name}")


@pytest.mark.parametrize("issuer", ["https://accounts.google.com", "accounts.google.com"])
def test_a_token_of_google_is_accepted(issuer: str) -> None:
    assert judged(token(said(iss=issuer))) == VERIFIED


# https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions#jwt_format; its key is long gone
PUBLISHED = (
    b"eyJhbGciOiJSUzI1NiIsImtpZCI6IjdkNjgwZDhjNzBkNDRlOTQ3MTMzY2JkNDk5ZWJjMWE2MWMzZDVhYmMiLCJ0eXAiOiJKV1QifQ."
    b"eyJhdWQiOiJodHRwczovL2V4YW1wbGUuY29tIiwiYXpwIjoiMTEzNzc0MjY0NDYzMDM4MzIxOTY0IiwiZW1haWwiOiJnYWUtZ2NwQGFwcHNw"
    b"b3QuZ3NlcnZpY2VhY2NvdW50LmNvbSIsImVtYWlsX3ZlcmlmaWVkIjp0cnVlLCJleHAiOjE1NTAxODU5MzUsImlhdCI6MTU1MDE4MjMzNSwi"
    b"aXNzIjoiaHR0cHM6Ly9hY2NvdW50cy5nb29nbGUuY29tIiwic3ViIjoiMTEzNzc0MjY0NDYzMDM4MzIxOTY0In0."
    b"QVjyqpmadTyDZmlX2u3jWd1kJ68YkdwsRZDo-QxSPbxjug4ucLBwAs2QePrcgZ6hhkvdc4UHY4YF3fz9g7XHULNVIzX5xh02qXEH8dK6PgGn"
    b"dIWcZQzjSYfgO-q-R2oo2hNM5HBBsQN4ARtGK_acG-NGGWM3CQfahbEjZPAJe_B8M7HfIu_G5jOLZCw2EUcGo8BvEwGcLWB2WqEgRM0-xt5-"
    b"UPzoa3-FpSPG7DHk7z9zRUeq6eB__ldb-2o4RciJmjVwHgnYqn3VvlX9oVKEgXpNFhKuYA-mWh5o7BCwhujSMmFoBOh6mbIXFcyf5UiVqKjp"
    b"qEbqPGo_AvKvIQ9VTQ"
)


def test_the_token_that_google_publishes_is_read_up_to_its_key() -> None:
    keys = [parse_key(PUBSUB, b"gae-gcp@appspot.gserviceaccount.com https://example.com")]
    wanted = judged(PUBLISHED, keys=keys, now=1_550_182_335, ring=lambda _name: None)
    assert wanted == KeyName("https://www.googleapis.com/oauth2/v3/certs", "7d680d8c70d44e947133cbd499ebc1a61c3d5abc")
    assert judged(PUBLISHED, ring=never) == FOREIGN


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://hooks.example.com/hooks/team-a/other"},
        {"aud": f"{AUDIENCE}/"},
        {"aud": AUDIENCE.upper()},
        {"email": "pusher@other.iam.gserviceaccount.com"},
        {"email": ACCOUNT.upper()},
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"email_verified": 1},
        {"iss": "https://accounts.google.com.evil.example.com"},
        {"iss": "http://accounts.google.com"},
        {"iss": "https://securetoken.google.com/orders"},
    ],
    ids=str,
)
def test_a_genuine_token_for_or_of_somebody_else_is_refused_without_a_key(changes: dict[str, Any]) -> None:
    assert judged(token(said(**changes)), ring=never) == FOREIGN


@pytest.mark.parametrize("claim", ["aud", "email", "iss", "exp", "iat"])
@pytest.mark.parametrize("value", [None, ["a"], {}], ids=str)
def test_a_token_without_a_claim_is_none(claim: str, value: object) -> None:
    assert judged(token(said(**{claim: value})), ring=never) == MALFORMED


def test_a_list_of_audiences_is_not_one() -> None:
    assert judged(token(said(aud=[AUDIENCE])), ring=never) == MALFORMED


def test_without_a_secret_nobody_is_believed() -> None:
    assert judged(token(said()), keys=[], ring=never) == FOREIGN


def test_account_and_audience_have_to_stand_in_one_secret() -> None:
    keys = [parse_key(PUBSUB, text.encode()) for text in (f"{ACCOUNT} https://a.example", f"a@b.example {AUDIENCE}")]
    assert judged(token(said()), keys=keys) == FOREIGN
    assert judged(token(said()), keys=[*keys, *KEYS]) == Verified(2, Strength.AUTHENTICATED)


@pytest.mark.parametrize(
    ("at_s", "verdict"),
    [
        (0, VERIFIED),
        (3660, VERIFIED),
        (3661, Rejected(Refusal.STALE)),
        (-60, VERIFIED),
        (-61, Rejected(Refusal.FUTURE)),
    ],
)
def test_a_token_counts_for_as_long_as_it_says(at_s: float, verdict: object) -> None:
    assert judged(token(said()), now=NOW + at_s) == verdict


def test_a_recorded_token_is_judged_whatever_its_age() -> None:
    assert judged(token(claims(now=0)), now=None) == VERIFIED


def test_a_forgery_is_not_called_old() -> None:
    assert judged(token(claims(now=0), key="somebody")) == Rejected(Refusal.MISMATCH)


# --- signatures -------------------------------------------------------------------------------------------------------


def parts_of(credential: bytes) -> list[bytes]:
    return credential.split(b".")


def test_another_key_is_refused() -> None:
    assert judged(token(said(), key="somebody")) == Rejected(Refusal.MISMATCH)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_changed_part_is_refused(part: int) -> None:
    good = parts_of(token(said()))
    other = parts_of(token(said(sub="1"), typ="at+jwt"))
    good[part] = other[part]
    assert judged(b".".join(good)) == Rejected(Refusal.MISMATCH)


def unsigned(algorithm: str, signature: bytes = b"") -> bytes:
    head, body = {"alg": algorithm, "kid": KEY_ID, "typ": "JWT"}, said()
    text = b".".join(b64url(msgspec.json.encode(part)).encode() for part in (head, body))
    return text + b"." + b64url(signature or b"x").encode() if signature else text + b"."


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_that_nobody_signed_is_refused(algorithm: str) -> None:
    assert judged(unsigned(algorithm), ring=never) == MALFORMED
    assert judged(unsigned(algorithm, b"x"), ring=never) == MALFORMED


@pytest.mark.parametrize(
    "encoding", [(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), (Encoding.PEM, PublicFormat.PKCS1)]
)
def test_the_public_key_is_no_shared_one(encoding: tuple[Encoding, PublicFormat]) -> None:
    text = unsigned("HS256")[:-1]
    public = private_key("provider").public_key().public_bytes(*encoding)
    forged = text + b"." + b64url(hmac.new(public, text, hashlib.sha256).digest()).encode()
    assert judged(forged, ring=never) == MALFORMED


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "ES256", "EdDSA", "rs256"])
def test_other_algorithms_are_refused(algorithm: str) -> None:
    assert judged(token(said(), alg=algorithm), ring=never) == MALFORMED


@pytest.mark.parametrize("head", [{"crit": ["exp"]}, {"kid": ""}, {"alg": ""}, {"kid": ["a"]}], ids=str)
def test_a_head_that_asks_for_more_or_lacks_something_is_refused(head: dict[str, Any]) -> None:
    assert judged(token(said(), **head), ring=never) == MALFORMED


def test_a_key_in_the_token_itself_is_not_looked_at() -> None:
    numbers = msgspec.json.decode(key_set("somebody"))["keys"][0]
    forged = token(said(), key="somebody", jwk=numbers, jku="https://evil.example.com/certs", kid="somebody")
    asked: list[KeyName] = []

    def ring(name: KeyName) -> None:
        asked.append(name)

    assert judged(forged, ring=ring) == KeyName("https://www.googleapis.com/oauth2/v3/certs", "somebody")
    assert asked == [KeyName("https://www.googleapis.com/oauth2/v3/certs", "somebody")]


def test_an_unknown_key_id_is_refused_once_that_is_known() -> None:
    assert judged(token(said(), kid="unheard-of")) == Rejected(Refusal.UNTRUSTED_KEY)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"x",
        b"a.b",
        b"a.b.c",
        b"a.b.c.d",
        b"..",
        b".a.",
        b"\xff.\xff.\xff",
        b"eyJ9.eyJ9.eyJ9",
        b"e30.e30.e30",
        b"W10.W10.W10",
    ],
)
def test_what_is_no_token_is_refused(text: bytes) -> None:
    assert judged(text, ring=never) == MALFORMED


def test_a_token_has_one_spelling() -> None:
    good = token(said())
    head, body, signature = parts_of(good)
    padded = b".".join([head, body, signature + b"=="])
    standard = b".".join([head, body, base64.b64encode(base64.urlsafe_b64decode(signature + b"=="))])
    stray = b".".join([head, body, signature[:-1] + bytes([signature[-1] + 1])])  # bits that decode to nothing
    for other in (padded, standard, stray, good + b"\n", b" " + good):
        assert judged(other, ring=never) == MALFORMED


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER "])
def test_the_name_of_the_authentication_has_no_case(scheme: bytes) -> None:
    headers = [JSON, (b"authorization", scheme + token(said()))]
    assert judged(Request(method="POST", url=None, headers=headers, body=b"{}")) == VERIFIED


@pytest.mark.parametrize("scheme", [b"", b"Basic ", b"Bearer", b"Token "])
def test_another_way_of_authentication_is_refused(scheme: bytes) -> None:
    headers = [JSON, (b"authorization", scheme + token(said()))]
    assert judged(Request(method="POST", url=None, headers=headers, body=b"{}")) == MALFORMED


def test_no_token_and_two_tokens_are_none() -> None:
    one = (b"authorization", b"Bearer " + token(said()))
    for headers in ([JSON], [JSON, one, one]):
        request = Request(method="POST", url=None, headers=headers, body=b"{}")
        assert judged(request) == Rejected(Refusal.MISSING_HEADER)


def test_a_token_does_not_cover_the_body() -> None:
    request = from_google(token(said()))
    request.body = b'{"message":{"data":"e30="}}'
    assert judged(request) == VERIFIED
    assert VERIFIED.strength is Strength.AUTHENTICATED


# --- the set of keys --------------------------------------------------------------------------------------------------


def test_of_several_keys_the_one_that_is_named_counts() -> None:
    ring = ring_of(PUBSUB, key_set("older", "provider"))
    assert judged(token(said()), ring=ring) == VERIFIED
    assert judged(token(said(), key="older", kid="older"), ring=ring) == VERIFIED
    assert judged(token(said(), key="older"), ring=ring) == Rejected(Refusal.MISMATCH)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[1,null,{}]}',
        key_set("short"),
        key_set(use="enc"),
        key_set(alg="RS512"),
        key_set(kty="EC"),
        key_set(n="AQAB"),
        key_set(e="AA"),
        key_set(kid=7),
        certificate(),
    ],
    ids=lambda document: document[:20].hex(),
)
def test_what_holds_no_usable_key_is_no_set_of_keys(document: bytes) -> None:
    assert parse_keys(PUBSUB, document) is None


def test_a_key_that_cannot_be_used_spoils_no_other() -> None:
    keys = msgspec.json.decode(key_set())["keys"] + msgspec.json.decode(key_set("short"))["keys"]
    found = parse_keys(PUBSUB, msgspec.json.encode({"keys": [None, {"kid": "a"}, *keys]}))
    assert found is not None
    assert list(found) == [KEY_ID]


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b'{"order":7}', {"order": 7}),
        (b"[1]", [1]),
        ("Grüße".encode(), "Grüße"),
        (b"7", "7"),
        (b'{"order":', '{"order":'),
        (b"\xff\xfe", "//4="),
        (b"", ""),
    ],
    ids=repr,
)
def test_what_a_message_holds_stands_in_its_place(data: bytes, shown: object) -> None:
    found = read(PUBSUB, from_google(b"", push(data, eventType="OBJECT_FINALIZE", region="eu")), decode=True)
    assert isinstance(found, Events)
    event = found.items[0]
    assert event.type == "OBJECT_FINALIZE"
    assert event.value == {
        "message": {
            "attributes": {"eventType": "OBJECT_FINALIZE", "region": "eu"},
            "data": shown,
            "messageId": "136969346945",
            "publishTime": "2026-02-26T19:13:55.749Z",
        },
        "subscription": "projects/orders/subscriptions/triage",
    }
    assert event.value == msgspec.json.decode(event.payload)


@pytest.mark.parametrize("data", ["not base64", "e30", "e30=\n", None, 7, {"a": 1}], ids=str)
def test_what_is_no_base64_stays_as_it_is(data: object) -> None:
    payload = push()
    payload["message"]["data"] = data
    found = read(PUBSUB, from_google(b"", payload), decode=True)
    assert isinstance(found, Events)
    assert found.items[0].value == payload


def test_a_message_without_data_or_attributes_is_an_event() -> None:
    payload = {"message": {"messageId": "1", "message_id": "1"}, "subscription": "projects/a/subscriptions/b"}
    found = read(PUBSUB, from_google(b"", payload), decode=True)
    assert isinstance(found, Events)
    assert (found.items[0].type, found.items[0].value) == ("", payload)


def test_a_message_that_comes_again_is_known_by_its_id_and_its_subscription() -> None:
    payloads = [push(), push(b"{}"), push(number="2"), {**push(), "subscription": "projects/orders/subscriptions/b"}]
    marks = []
    for payload in payloads:
        found = read(PUBSUB, from_google(b"", payload))
        assert isinstance(found, Events)
        marks.append(found.items[0].marks)
    assert marks[0] == marks[1]
    assert len(set(marks)) == 3


@pytest.mark.parametrize(
    "text", [ACCOUNT, f"{ACCOUNT}  {AUDIENCE}", f"{AUDIENCE} {ACCOUNT}", f"{ACCOUNT} a b", f"* {AUDIENCE}"]
)
def test_a_secret_that_does_not_name_both_is_refused(text: str) -> None:
    with pytest.raises(KeyRefused, match="account's address and the audience of its tokens, with one space"):
        parse_key(PUBSUB, text.encode())
