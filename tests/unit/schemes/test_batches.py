"""Batches become one event per item, all of them or none, each with its own id and its own bytes."""

from typing import Any

import msgspec
import pytest

from eventroute.schemes import SCHEMES, Event, Events, Handshake, Request, Scheme, Unparsable, read
from eventroute.schemes.batch import MAX_ITEMS
from support.providers import ROWS, sample_document, send

BATCH_ROWS = tuple(row for row in ROWS if row.batch)
batch_rows = pytest.mark.parametrize("scheme", BATCH_ROWS, ids=lambda row: row.name)


def events_of(scheme: Scheme, body: bytes) -> tuple[Event, ...]:
    result = read(scheme, send(scheme, body=body).request, decode=True)
    assert isinstance(result, Events), result
    return result.items


def items_of(scheme: Scheme, document: Any) -> list[Any]:
    for step in scheme.batch.split(":")[1].split(".") if ":" in scheme.batch else ():
        document = document[step]
    assert isinstance(document, list)
    return document


def read_body(name: str, body: bytes) -> Events | Handshake | Unparsable:
    return read(SCHEMES[name], Request(method="POST", url=None, headers=(), body=body))


@batch_rows
def test_a_hundred_items_are_a_hundred_events(scheme: Scheme) -> None:
    events = events_of(scheme, msgspec.json.encode(sample_document(scheme, items=100)))
    assert len(events) == 100
    assert len({event.marks for event in events}) == 100
    assert len({event.id for event in events}) == 100
    assert all(msgspec.json.decode(event.payload) == event.value for event in events)


@batch_rows
def test_a_repeated_item_has_the_claim_of_its_first_copy(scheme: Scheme) -> None:
    document = sample_document(scheme, items=100)
    items = items_of(scheme, document)
    items[57] = items[12]
    events = events_of(scheme, msgspec.json.encode(document))
    ids = [event.marks[0].value for event in events]
    assert len(set(ids)) == 99
    assert ids[57] == ids[12]


@pytest.mark.parametrize("bad", [None, 7, "text", [], [{}], True])
@batch_rows
def test_one_malformed_item_refuses_the_whole_batch(scheme: Scheme, bad: object) -> None:
    document = sample_document(scheme, items=100)
    items = items_of(scheme, document)
    items[57] = bad
    result = read(scheme, Request(method="POST", url=None, headers=(), body=msgspec.json.encode(document)))
    assert result == Unparsable("the batch is not a list of objects")


def test_an_item_keeps_its_own_bytes() -> None:
    body = b' [ {"eventId": 1,\r\n "x": "\\u00e9", "n": 1.50} , {"eventId":2} ]\r\n'
    result = read_body("hubspot", body)
    assert isinstance(result, Events)
    assert [event.payload for event in result.items] == [
        b'{"eventId": 1,\r\n "x": "\\u00e9", "n": 1.50}',
        b'{"eventId":2}',
    ]


def test_items_without_an_id_of_a_stamped_request_have_digests_of_their_own() -> None:
    scheme = SCHEMES["hubspot"]
    first, second = events_of(scheme, b'[{"subscriptionType":"a"},{"subscriptionType":"a"}]')
    assert [mark.kind for mark in first.marks] == ["digest"]
    assert first.marks != second.marks


def test_an_object_where_a_list_is_due_is_one_item() -> None:
    (event,) = events_of(SCHEMES["hubspot"], b'{"eventId":1,"portalId":2,"subscriptionId":3,"occurredAt":4}')
    assert event.id == "1:2:3:4"


@pytest.mark.parametrize(("name", "body"), [("hubspot", b"[]"), ("sendgrid", b"[ ]"), ("grafana", b'{"alerts":[]}')])
def test_an_empty_batch_is_a_success_without_events(name: str, body: bytes) -> None:
    assert read_body(name, body) == Handshake(200)


@pytest.mark.parametrize(
    "body", [b"{}", b'{"alerts":null}', b'{"alerts":7}', b'[{"alerts":[]}]', b'{"alerts":"x"}', b'{"Alerts":[{}]}']
)
def test_a_body_without_its_list_is_unparsable(body: bytes) -> None:
    assert isinstance(read_body("alertmanager", body), Unparsable)


def test_a_batch_has_an_end() -> None:
    assert isinstance(read_body("hubspot", b"[" + b",".join([b"{}"] * MAX_ITEMS) + b"]"), Events)
    assert isinstance(read_body("hubspot", b"[" + b",".join([b"{}"] * (MAX_ITEMS + 1)) + b"]"), Unparsable)


def test_an_alert_is_read_together_with_its_group() -> None:
    alert = {"labels": {"alertname": "Down"}, "status": "firing", "fingerprint": "f", "startsAt": "t"}
    result = read_body("alertmanager", msgspec.json.encode({"groupKey": "g", "alerts": [alert]}))
    assert isinstance(result, Events)
    assert result.items[0].type == "Down.firing"
    assert result.items[0].id == "f:firing:t:g"
