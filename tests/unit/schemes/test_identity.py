"""What must not be accepted twice: provider ids, and a digest where an id could be forged; never a shared blank."""

import hashlib

import msgspec
import pytest

from eventroute.schemes import SCHEMES, Event, Events, Request, Scheme, read
from support.providers import ROWS, changed, send, signature_header, with_header, without_header


def events_of(scheme: Scheme, request: Request) -> tuple[Event, ...]:
    result = read(scheme, request)
    assert isinstance(result, Events), result
    return result.items


def claims_of(name: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[tuple[str, bytes], ...]:
    pairs = [(key.encode(), value.encode()) for key, value in (headers or {}).items()]
    request = Request(method="POST", url="https://h.example/", headers=pairs, body=body)
    (event,) = events_of(SCHEMES[name], request)
    return event.claims


def kinds(claims: tuple[tuple[str, bytes], ...]) -> list[str]:
    return [kind for kind, _ in claims]


# What each row claims when a delivery has everything that its provider sends.
EXPECTED = {
    "adyen": ["id"],
    "alertmanager": ["id"],
    "alertmanager-basic": ["id"],
    "anthropic": ["id"],
    "bitbucket": ["id", "digest"],
    "clerk": ["id"],
    "cloudevents": ["id"],
    "cloudevents-basic": ["id"],
    "cloudevents-batch": ["id"],
    "discord": ["digest"],
    "generic": ["id"],
    "generic-token": ["id"],
    "github": ["id", "digest"],
    "github-sha1": ["id", "digest"],
    "gitlab": ["id"],
    "gitlab-token": ["id"],
    "grafana": ["id"],
    "grafana-timestamp": ["id"],
    "hubspot": ["id"],
    "hubspot-v1": ["id"],
    "hubspot-v2": ["id"],
    "intercom": ["id"],
    "jira": ["id", "digest"],
    "linear": ["id", "digest"],
    "mailgun": ["id", "digest"],
    "mux": ["id"],
    "none": ["id"],
    "openai": ["id"],
    "paddle": ["id"],
    "pagerduty": ["id"],
    "razorpay": ["id", "digest"],
    "resend": ["id"],
    "sanity": ["id", "digest"],
    "sendgrid": ["id"],
    "sentry": ["id", "digest"],
    "shopify": ["id", "digest"],
    "shopify-events": ["id", "digest"],
    "slack": ["id"],
    "square": ["id"],
    "standard-webhooks": ["id"],
    "standard-webhooks-ed25519": ["id"],
    "stripe": ["id"],
    "svix": ["id"],
    "twilio": ["id", "digest"],
    "twilio-sha256": ["id", "digest"],
    "x": [],  # no id, and no signed time that would tell two equal events from a repetition
    "typeform": ["id"],
    "zendesk": ["id", "digest"],
}


@pytest.mark.parametrize("scheme", ROWS, ids=lambda row: row.name)
def test_each_row_claims_what_it_should(scheme: Scheme) -> None:
    (event,) = events_of(scheme, send(scheme).request)
    assert kinds(event.claims) == EXPECTED[scheme.name]


def test_a_new_id_on_captured_bytes_meets_the_same_digest() -> None:
    scheme = SCHEMES["github"]
    sent = send(scheme)
    replayed = with_header(sent.request, b"x-github-delivery", b"minted")
    (first,), (second,) = events_of(scheme, sent.request), events_of(scheme, replayed)
    assert dict(first.claims)["id"] != dict(second.claims)["id"]
    assert dict(first.claims)["digest"] == dict(second.claims)["digest"] == hashlib.sha256(sent.request.body).digest()


def test_dropping_the_id_does_not_drop_the_digest() -> None:
    scheme = SCHEMES["github"]
    sent = send(scheme)
    for request in (
        without_header(sent.request, b"x-github-delivery"),
        with_header(sent.request, b"x-github-delivery", b""),
        changed(sent.request, headers=[*sent.request.headers, (b"x-github-delivery", b"second")]),
    ):
        (event,) = events_of(scheme, request)
        assert kinds(event.claims) == ["digest"]
        assert event.id is None


def test_an_event_type_that_nothing_signs_cannot_be_changed_unnoticed() -> None:
    scheme = SCHEMES["shopify"]
    sent = send(scheme, event="orders/create")
    (first,) = events_of(scheme, sent.request)
    (second,) = events_of(scheme, with_header(sent.request, b"x-shopify-topic", b"app/uninstalled"))
    assert dict(first.claims)["digest"] == dict(second.claims)["digest"]


def test_the_same_id_with_another_body_is_the_same_delivery() -> None:
    one = claims_of("stripe", b'{"id":"evt_1","type":"a","n":1}')
    other = claims_of("stripe", b'{"id":"evt_1","type":"a","n":2}')
    assert one == other == (("id", b"evt_1"),)


@pytest.mark.parametrize(
    "blank",
    [
        "null",
        '""',
        '" "',
        "0",
        '"0"',
        '"000000"',
        '"00000000-0000-0000-0000-000000000000"',
        '"null"',
        "{}",
        "[]",
        '["a"]',
    ],
)
def test_ids_that_many_events_share_never_become_a_claim(blank: str) -> None:
    body = b'{"id":' + blank.encode() + b',"type":"a"}'
    assert claims_of("intercom", b'{"id":' + blank.encode() + b',"topic":"a"}') == ()
    assert claims_of("generic-token", body) == ()


def test_without_an_id_only_a_signed_timestamp_makes_a_digest() -> None:
    assert kinds(claims_of("slack", b'{"type":"a"}', {"x-slack-request-timestamp": "1700000000"})) == ["digest"]
    assert claims_of("intercom", b'{"topic":"a"}') == ()
    assert claims_of("gitlab-token", b'{"object_kind":"push"}') == ()
    assert claims_of("generic", b"") == ()


def test_the_digest_of_a_stamped_request_covers_its_timestamp() -> None:
    body = b"command=%2Fdeploy&text=now"
    form = {"content-type": "application/x-www-form-urlencoded"}
    one = claims_of("slack", body, form | {"x-slack-request-timestamp": "1700000000"})
    other = claims_of("slack", body, form | {"x-slack-request-timestamp": "1700000001"})
    assert one != other


def test_an_odd_id_is_kept_as_it_came() -> None:
    for odd in ("a:b", "*", "a\nb", "é", "x" * 10_240, "\x01"):
        body = msgspec.json.encode({"id": odd, "type": "a"})
        assert claims_of("stripe", body) == (("id", odd.encode()),)


def test_parts_of_an_id_never_run_together() -> None:
    def claim(event: str, portal: str) -> bytes:
        item = {"eventId": event, "portalId": portal, "subscriptionId": 3, "occurredAt": 4}
        return dict(claims_of("hubspot", msgspec.json.encode([item])))["id"]

    assert claim("1:2", "3") != claim("1", "2:3")
    assert claim("12", "3") != claim("1", "23")
    assert claim("1", "2") == claim("1", "2")


def test_a_resolved_alert_is_another_event_than_a_firing_one() -> None:
    def claim(status: str, starts_at: str) -> bytes:
        alert = {"fingerprint": "f", "status": status, "startsAt": starts_at, "labels": {"alertname": "Down"}}
        return dict(claims_of("alertmanager", msgspec.json.encode({"groupKey": "g", "alerts": [alert]})))["id"]

    distinct = {claim("firing", "t1"), claim("resolved", "t1"), claim("firing", "t2")}
    assert len(distinct) == 3
    assert claim("firing", "t1") in distinct


def test_branch_deletions_of_gitlab_do_not_share_a_key() -> None:
    body = b'{"object_kind":"push","checkout_sha":"0000000000000000000000000000000000000000"}'
    assert claims_of("gitlab-token", body) == ()
    assert claims_of("gitlab-token", body, {"idempotency-key": "k1"}) == (("id", b"k1"),)


def test_the_secret_of_a_plain_hash_is_not_in_its_digest() -> None:
    scheme = SCHEMES["hubspot-v1"]
    sent = send(scheme)
    assert signature_header(scheme) == b"x-hubspot-signature"
    assert all(
        sent.pair.configured not in value for event in events_of(scheme, sent.request) for _, value in event.claims
    )
