"""Every provider of the table has samples that a receiver accepts, and no two of them are the same delivery."""

from urllib.parse import parse_qsl

import pytest

from eventroute.errors import Refused
from eventroute.schemes import (
    SCHEMES,
    Events,
    Handshake,
    Mark,
    Request,
    Verified,
    accepts,
    generate_secret,
    parse_key,
    read,
    verify,
)
from eventroute_cli.samples import load_sample, sample_events, sample_request

NOW = 1_800_000_000.5
URL = "https://hooks.example.com/hooks/shop/orders"
ALL = [(provider, event) for provider in SCHEMES for event in sample_events(provider)]
SET_UP = {"ping", "url_verification", "pagey.ping", "endpoint.url_validation"}
EVENTS = [item for item in ALL if item[1] not in SET_UP]


def received(request: Request) -> Request:
    """The request as another process sees it: nothing parsed yet."""
    return Request(method=request.method, url=request.url, headers=request.headers, body=request.body)


def read_sample(provider: str, event: str) -> Events | Handshake:
    scheme = SCHEMES[provider]
    pair = generate_secret(scheme)
    request = received(sample_request(provider, event, secret=pair.signing, url=URL, now=NOW))
    keys = [parse_key(scheme, pair.configured)] if scheme.kind != "none" else []
    assert accepts(scheme, request)
    assert isinstance(verify(scheme, request, keys, NOW), Verified)
    outcome = read(scheme, request, key=keys[0] if keys else None)
    assert isinstance(outcome, Events | Handshake)
    return outcome


@pytest.mark.parametrize(("provider", "event"), ALL, ids=map(":".join, ALL))
def test_a_sample_is_accepted_and_is_the_event_that_it_is_called(provider: str, event: str) -> None:
    outcome = read_sample(provider, event)
    if event in SET_UP:
        assert isinstance(outcome, Handshake)
    else:
        assert isinstance(outcome, Events)
        assert outcome.items[0].type == event


@pytest.mark.parametrize(("provider", "event"), EVENTS, ids=map(":".join, EVENTS))
def test_two_samples_are_never_the_same_delivery(provider: str, event: str) -> None:
    marks: list[Mark] = []
    for _ in range(2):
        outcome = read_sample(provider, event)
        assert isinstance(outcome, Events)
        marks += [mark for item in outcome.items for mark in item.marks]
    assert len(marks) == len(set(marks))


def test_equal_marks_have_equal_values_and_named_ones_others() -> None:
    message = dict(parse_qsl(load_sample("twilio", "received", now=NOW).payload.decode()))
    assert message["SmsSid"] == message["MessageSid"]
    order = dict(load_sample("shopify", "orders/create", now=NOW).headers)
    assert order["X-Shopify-Webhook-Id"] != order["X-Shopify-Event-Id"]


def test_what_a_provider_sends_after_the_json_is_there() -> None:
    assert load_sample("sendgrid", "bounce", now=NOW).payload.endswith(b"]\r\n")


def test_a_sample_without_a_name_is_the_first_one() -> None:
    assert load_sample("stripe", now=NOW).event == sample_events("stripe")[0] == "invoice.payment_failed"


def test_the_main_providers_have_several_events() -> None:
    assert {"pull_request.opened", "issues.opened", "push", "ping"} <= set(sample_events("github"))
    assert {"message", "app_mention", "url_verification", "/triage"} <= set(sample_events("slack"))


def test_marks_are_filled_with_values_of_their_kind() -> None:
    body = load_sample("stripe", "charge.succeeded", now=NOW).payload
    assert b'"created":1800000000' in body
    assert b"{{" not in body


@pytest.mark.parametrize(
    ("provider", "event", "message"),
    [("githb", "", "unknown provider 'githb'"), ("stripe", "no.such", "no sample of 'no.such'; there are invoice")],
)
def test_what_there_is_no_sample_of_is_refused_with_what_there_is(provider: str, event: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        load_sample(provider, event, now=NOW)
