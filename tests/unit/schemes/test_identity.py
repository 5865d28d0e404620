"""What must not be accepted twice: provider ids, and a digest where an id could be forged; never a shared blank."""

import hashlib

import msgspec
import pytest
from msgspec.structs import replace

from eventroute.schemes import SCHEMES, Event, Events, Mark, Request, Scheme, read
from support.providers import ROWS, changed, send, signature_header, with_header, without_header


def events_of(scheme: Scheme, request: Request) -> tuple[Event, ...]:
    result = read(scheme, request)
    assert isinstance(result, Events), result
    return result.items


def marks_of(name: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[Mark, ...]:
    pairs = [(key.encode(), value.encode()) for key, value in (headers or {}).items()]
    request = Request(method="POST", url="https://h.example/", headers=pairs, body=body)
    (event,) = events_of(SCHEMES[name], request)
    return event.marks


def kinds(marks: tuple[Mark, ...]) -> list[str]:
    return [mark.kind for mark in marks]


def values(marks: tuple[Mark, ...]) -> dict[str, bytes]:
    return {mark.kind: mark.value for mark in marks}


def ids(marks: tuple[Mark, ...]) -> list[bytes]:
    return [mark.value for mark in marks if mark.kind == "id"]


# What each row claims when a delivery has everything that its provider sends.
EXPECTED = {
    "adyen": ["id", "digest"],
    "alertmanager": ["id"],
    "alertmanager-basic": ["id"],
    "anthropic": ["id"],
    "bitbucket": ["id", "digest"],
    "calendly": ["id"],
    "circleci": ["id"],
    "clerk": ["id"],
    "cloudevents": ["id"],
    "cloudevents-basic": ["id"],
    "cloudevents-batch": ["id"],
    "discord": ["digest"],
    "dropbox": [],  # equal bodies are events of their own
    "generic": ["id"],
    "generic-token": ["id"],
    "gitea": ["id", "digest"],
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
    "lemonsqueezy": ["copy"],  # no id either
    "linear": ["id", "digest"],
    "mailgun": ["id", "digest"],
    "meta": ["id"],
    "microsoft-graph": ["id"],
    "mux": ["id"],
    "none": ["id"],
    "okta": ["id"],
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
    "strava": ["id"],
    "stripe": ["id"],
    "svix": ["id"],
    "trello": ["id"],
    "twilio": ["id", "digest"],
    "twilio-sha256": ["id", "digest"],
    "x": ["copy"],  # no id, and no signed time that would tell two equal events from a repetition
    "typeform": ["id"],
    "vercel": ["id"],
    "zendesk": ["id", "digest"],
    "zoom": ["digest"],
}


@pytest.mark.parametrize("scheme", ROWS, ids=lambda row: row.name)
def test_each_row_claims_what_it_should(scheme: Scheme) -> None:
    (event,) = events_of(scheme, send(scheme, event="alpha").request)
    assert kinds(event.marks) == EXPECTED[scheme.name]


def test_a_new_id_on_captured_bytes_meets_the_same_digest() -> None:
    scheme = SCHEMES["github"]
    sent = send(scheme)
    replayed = with_header(sent.request, b"x-github-delivery", b"minted")
    (first,), (second,) = events_of(scheme, sent.request), events_of(scheme, replayed)
    assert values(first.marks)["id"] != values(second.marks)["id"]
    assert values(first.marks)["digest"] == values(second.marks)["digest"] == hashlib.sha256(sent.request.body).digest()


def test_dropping_the_id_does_not_drop_the_digest() -> None:
    scheme = SCHEMES["github"]
    sent = send(scheme)
    for request in (
        without_header(sent.request, b"x-github-delivery"),
        with_header(sent.request, b"x-github-delivery", b""),
        changed(sent.request, headers=[*sent.request.headers, (b"x-github-delivery", b"second")]),
    ):
        (event,) = events_of(scheme, request)
        assert kinds(event.marks) == ["digest"]
        assert event.id is None


def test_an_event_type_that_nothing_signs_cannot_be_changed_unnoticed() -> None:
    scheme = SCHEMES["shopify"]
    sent = send(scheme, event="orders/create")
    (first,) = events_of(scheme, sent.request)
    (second,) = events_of(scheme, with_header(sent.request, b"x-shopify-topic", b"app/uninstalled"))
    assert values(first.marks)["digest"] == values(second.marks)["digest"]


def test_the_same_id_with_another_body_is_the_same_delivery() -> None:
    one = marks_of("stripe", b'{"id":"evt_1","type":"a","n":1}')
    other = marks_of("stripe", b'{"id":"evt_1","type":"a","n":2}')
    assert one == other == (Mark("id", b"evt_1", SCHEMES["stripe"].dedup_ttl_s),)


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
def test_ids_that_many_events_share_never_become_a_mark(blank: str) -> None:
    body = b'{"id":' + blank.encode() + b',"type":"a"}'
    assert kinds(marks_of("intercom", b'{"id":' + blank.encode() + b',"topic":"a"}')) == ["copy"]
    assert kinds(marks_of("generic-token", body)) == ["copy"]


def test_without_an_id_only_a_signed_timestamp_makes_a_digest() -> None:
    assert kinds(marks_of("slack", b'{"type":"a"}', {"x-slack-request-timestamp": "1700000000"})) == ["digest"]
    for name, body in (("intercom", b'{"topic":"a"}'), ("gitlab-token", b'{"object_kind":"push"}'), ("none", b"[]")):
        assert marks_of(name, body) == (Mark("copy", hashlib.sha256(body).digest(), 600),)


def test_an_empty_body_says_nothing_of_which_there_could_be_a_copy() -> None:
    assert marks_of("generic", b"") == ()


def test_a_copy_is_told_by_the_body_where_something_else_is_signed() -> None:
    unsigned_body = replace(SCHEMES["generic"], signed=("header:x-a",), covers_body=False, id=(), timestamp="")
    bodies = (b'{"n":1}', b'{"n":2}')
    events = [
        events_of(unsigned_body, Request(method="POST", url=None, headers=[(b"x-a", b"1")], body=body))[0]
        for body in bodies
    ]
    assert [kinds(event.marks) for event in events] == [["copy"], ["copy"]]
    assert events[0].marks != events[1].marks


def test_items_of_a_batch_without_ids_are_no_copies_of_each_other() -> None:
    first, second = events_of(
        SCHEMES["cloudevents-batch"],
        Request(method="POST", url=None, headers=[], body=b'[{"type":"a"},{"type":"a"}]'),
    )
    assert (kinds(first.marks), kinds(second.marks)) == (["copy"], ["copy"])
    assert first.marks != second.marks


def test_a_custom_row_with_its_id_in_a_header_goes_by_that_header() -> None:
    headers = {"x-delivery": "d-1"}
    token = replace(SCHEMES["generic-token"], id=("header:x-delivery",))
    signed = replace(SCHEMES["generic"], id=("header:x-delivery",))
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    for scheme, expected in ((token, ["id"]), (signed, ["id", "digest"])):
        (event,) = events_of(scheme, Request(method="POST", url=None, headers=pairs, body=b'{"a":1}'))
        assert kinds(event.marks) == expected
        assert {mark.lifetime_s for mark in event.marks} == {scheme.dedup_ttl_s}
        assert event.id == "d-1"


def test_the_digest_of_a_stamped_request_covers_its_timestamp() -> None:
    body = b"command=%2Fdeploy&text=now"
    form = {"content-type": "application/x-www-form-urlencoded"}
    one = marks_of("slack", body, form | {"x-slack-request-timestamp": "1700000000"})
    other = marks_of("slack", body, form | {"x-slack-request-timestamp": "1700000001"})
    assert one != other


def test_an_odd_id_is_kept_as_it_came() -> None:
    for odd in ("a:b", "*", "a\nb", "é", "x" * 10_240, "\x01"):
        body = msgspec.json.encode({"id": odd, "type": "a"})
        assert ids(marks_of("stripe", body)) == [odd.encode()]


def test_parts_of_an_id_never_run_together() -> None:
    def claim(event: str, portal: str) -> bytes:
        item = {"eventId": event, "portalId": portal, "subscriptionId": 3, "occurredAt": 4}
        return values(marks_of("hubspot", msgspec.json.encode([item])))["id"]

    assert claim("1:2", "3") != claim("1", "2:3")
    assert claim("12", "3") != claim("1", "23")
    assert claim("1", "2") == claim("1", "2")


def test_a_resolved_alert_is_another_event_than_a_firing_one() -> None:
    def claim(status: str, starts_at: str) -> bytes:
        alert = {"fingerprint": "f", "status": status, "startsAt": starts_at, "labels": {"alertname": "Down"}}
        return values(marks_of("alertmanager", msgspec.json.encode({"groupKey": "g", "alerts": [alert]})))["id"]

    distinct = {claim("firing", "t1"), claim("resolved", "t1"), claim("firing", "t2")}
    assert len(distinct) == 3
    assert claim("firing", "t1") in distinct


def test_branch_deletions_of_gitlab_do_not_share_a_key() -> None:
    body = b'{"object_kind":"push","checkout_sha":"0000000000000000000000000000000000000000"}'
    assert kinds(marks_of("gitlab-token", body)) == ["copy"]
    assert ids(marks_of("gitlab-token", body, {"idempotency-key": "k1"})) == [b"k1"]


def test_the_secret_of_a_plain_hash_is_not_in_its_digest() -> None:
    scheme = SCHEMES["hubspot-v1"]
    sent = send(scheme)
    assert signature_header(scheme) == b"x-hubspot-signature"
    assert all(
        sent.pair.configured not in mark.value for event in events_of(scheme, sent.request) for mark in event.marks
    )
