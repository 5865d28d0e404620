"""Each answer's wire form: its length, its headers, and JSON that any parser reads."""

import json

import pytest

from eventroute.ids import DeliveryId
from eventroute.outcome import Receipt, Unavailable
from eventroute_receiver import answer
from eventroute_receiver.answer import Answer, Item

ONE, TWO = DeliveryId("d-one"), DeliveryId("d-two")


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (answer.settled([Item(Receipt.QUEUED, ONE)], status=202), 202),
        (answer.settled([Item(Receipt.QUEUED, ONE), Item(Receipt.DUPLICATE, TWO)], status=200), 200),
        (answer.unwanted(Receipt.FILTERED, status=200), 200),
        (answer.unparsable(ONE, [("X-Slack-No-Retry", "1")]), 422),
    ],
)
def test_a_body_is_json_and_has_its_length(made: Answer, status: int) -> None:
    headers = dict(made.wire_headers())
    assert made.status == status
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"content-length"] == str(len(made.body)).encode()
    assert json.loads(made.body)["status"] == made.outcome


@pytest.mark.parametrize(
    "made",
    [
        answer.unauthenticated("mismatch"),
        answer.unknown_route(),
        answer.method_not_allowed(),
        answer.unsupported_media_type("media_type"),
        answer.too_large(),
        answer.timed_out(),
        answer.rate_limited(1),
        answer.unavailable(Unavailable.REDIS),
    ],
    ids=lambda made: str(made.status),
)
def test_a_refusal_has_no_body_and_does_not_say_why(made: Answer) -> None:
    headers = dict(made.wire_headers())
    assert (made.body, headers[b"content-length"]) == (b"", b"0")
    assert made.reason.encode() not in b"".join(headers.values()) or not made.reason


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([Receipt.QUEUED], Receipt.QUEUED),
        ([Receipt.DUPLICATE], Receipt.DUPLICATE),
        ([Receipt.DUPLICATE, Receipt.QUEUED], Receipt.QUEUED),
        ([Receipt.QUEUED, Receipt.DUPLICATE], Receipt.QUEUED),
        ([Receipt.DUPLICATE, Receipt.DUPLICATE], Receipt.DUPLICATE),
    ],
)
def test_a_request_counts_as_queued_when_any_of_its_items_was(outcomes: list[Receipt], expected: Receipt) -> None:
    assert answer.settled([Item(outcome, ONE) for outcome in outcomes], status=200).outcome is expected


@pytest.mark.parametrize(("wait_s", "seconds"), [(0, 1), (0.001, 1), (1, 1), (1.2, 2), (59.999, 60), (3600, 3600)])
def test_a_wait_is_told_in_whole_seconds_and_never_too_short(wait_s: float, seconds: int) -> None:
    assert dict(answer.rate_limited(wait_s).headers)[b"retry-after"] == b"%d" % seconds


@pytest.mark.parametrize("reason", Unavailable)
def test_every_reason_to_come_back_says_when(reason: Unavailable) -> None:
    made = answer.unavailable(reason)
    assert (made.status, made.reason) == (503, reason)
    assert dict(made.headers)[b"retry-after"].isdigit()


@pytest.mark.parametrize("made", [answer.too_large(), answer.timed_out(), answer.disconnected()])
def test_where_a_body_was_not_read_to_its_end_the_connection_ends(made: Answer) -> None:
    assert dict(made.headers)[b"connection"] == b"close"
