"""Freshness: symmetric, both edges included, strict about what a number is, and judged after the signature."""

from datetime import UTC, datetime

import pytest

from eventroute.outcome import Refusal
from eventroute.schemes import SCHEMES, Rejected, Scheme, Verified, verify
from eventroute.schemes.model import Scheme as Row
from eventroute.schemes.verify import parse_timestamp
from support.providers import NOW, ROWS, changed, header_named, send, with_header

STAMPED = tuple(row for row in ROWS if row.tolerance_s is not None)
stamped_rows = pytest.mark.parametrize("scheme", STAMPED, ids=lambda row: row.name)


@stamped_rows
@pytest.mark.parametrize(
    ("beyond_s", "reason"), [(0, None), (1, Refusal.STALE)], ids=["at the edge", "a second past the edge"]
)
def test_old_requests_are_refused_past_the_tolerance(scheme: Scheme, beyond_s: int, reason: Refusal | None) -> None:
    sent = send(scheme)
    verdict = verify(scheme, sent.request, [sent.key], NOW + tolerance(scheme) + beyond_s)
    assert reason_of(verdict) is reason


@stamped_rows
@pytest.mark.parametrize(
    ("beyond_s", "reason"), [(0, None), (1, Refusal.FUTURE)], ids=["at the edge", "a second past the edge"]
)
def test_early_requests_are_refused_past_the_tolerance(scheme: Scheme, beyond_s: int, reason: Refusal | None) -> None:
    sent = send(scheme)
    verdict = verify(scheme, sent.request, [sent.key], NOW - tolerance(scheme) - beyond_s)
    assert reason_of(verdict) is reason


@stamped_rows
def test_three_years_either_way_are_refused(scheme: Scheme) -> None:
    three_years = 3 * 365 * 86_400
    for sent_at, reason in ((NOW - three_years, Refusal.STALE), (NOW + three_years, Refusal.FUTURE)):
        sent = send(scheme, now=sent_at)
        assert reason_of(verify(scheme, sent.request, [sent.key], NOW)) is reason


@stamped_rows
def test_a_recorded_request_is_judged_without_its_age(scheme: Scheme) -> None:
    sent = send(scheme, now=1_000_000_000)
    assert isinstance(verify(scheme, sent.request, [sent.key], None), Verified)


@stamped_rows
def test_stale_is_said_of_correctly_signed_requests_only(scheme: Scheme) -> None:
    sent, stranger = send(scheme, now=NOW - 86_400), send(scheme)
    assert verify(scheme, sent.request, [stranger.key], NOW) == Rejected(Refusal.MISMATCH)


@pytest.mark.parametrize(
    "scheme", [row for row in STAMPED if row.timestamp.startswith("header:")], ids=lambda r: r.name
)
def test_a_timestamp_header_cannot_be_refreshed_or_dropped(scheme: Scheme) -> None:
    sent = send(scheme, now=NOW - 10_000)
    header = header_named(scheme.timestamp)
    fresh = dict(send(scheme).request.headers)[header]
    verdict = verify(scheme, with_header(sent.request, header, fresh), [sent.key], NOW)
    assert verdict == Rejected(Refusal.MISMATCH)
    dropped = changed(sent.request, headers=[pair for pair in sent.request.headers if pair[0] != header])
    assert verify(scheme, dropped, [sent.key], NOW) == Rejected(Refusal.MISSING_HEADER)


@pytest.mark.parametrize(
    ("name", "header", "fresh"),
    [("sentry", b"sentry-hook-timestamp", b"1700000000"), ("linear", b"linear-timestamp", b"1700000000000")],
)
def test_an_unsigned_timestamp_decides_nothing(name: str, header: bytes, fresh: bytes) -> None:
    """Sentry's cannot make an old request old; Linear's cannot make an old body fresh."""
    scheme = SCHEMES[name]
    sent = send(scheme, now=NOW - 86_400)
    verdict = verify(scheme, with_header(sent.request, header, fresh), [sent.key], NOW)
    assert reason_of(verdict) is (Refusal.STALE if name == "linear" else None)


def test_a_body_without_its_timestamp_is_refused() -> None:
    scheme = Row(name="x", signature="header:x", signed=("body",), timestamp="body:at", tolerance_s=60)
    other = Row(name="x", signature="header:x", signed=("body",))
    for body in (b"{}", b"not json", b'{"at":null}', b'{"at":{}}'):
        sent = send(other, body=body)
        assert verify(scheme, sent.request, [sent.key], NOW) == Rejected(Refusal.BODY_UNPARSEABLE)


SECONDS = SCHEMES["stripe"]
MILLISECONDS = SCHEMES["hubspot"]
RFC3339 = SCHEMES["zendesk"]


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b" ", b"-1", b"+1700000000", b" 1700000000", b"1700000000 ", b"1700000000\n", b"1_700_000_000"),
        *(b"1e9", b"1700000330.9", b"nan", b"inf", b"0x10", b"hello", b"1700000000;", b"\xb2", b"\x00"),
        ("\u0661\u0667" + "\u0660" * 8).encode(),
        b"1" * 17,
        b"1" * 5000,
    ],
    ids=repr,
)
def test_what_is_not_a_plain_number_is_no_timestamp(text: bytes) -> None:
    assert parse_timestamp(SECONDS, text) is None
    assert parse_timestamp(MILLISECONDS, text) is None


def test_zero_and_the_wrong_unit_are_numbers_and_far_away() -> None:
    assert parse_timestamp(SECONDS, b"0") == 0
    assert parse_timestamp(SECONDS, b"1700000000000") == 1_700_000_000_000
    assert parse_timestamp(MILLISECONDS, b"1700000000500") == 1_700_000_000.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"2023-11-14T22:13:20Z", NOW),
        (b"2023-11-14T22:13:20.000Z", NOW),
        (b"2023-11-14t22:13:20z", NOW),
        (b"2023-11-15T00:13:20+02:00", NOW),
        (b"2023-11-14T22:13:20", None),
        (b"2023-11-14 22:13:20Z", None),
        (b"2023-11-14T22:13:20Z\n", None),
        (b"2023-13-14T22:13:20Z", None),
        (b"0000-01-01T00:00:00Z", None),
        (b"2023-11-14T22:13:20+99:99", None),
        ("\u0662\u0660\u0662\u0663-11-14T22:13:20Z".encode(), None),
        (b"1700000000", None),
        (b"20231114T221320Z", None),
    ],
)
def test_rfc_3339_has_one_shape(text: bytes, expected: float | None) -> None:
    assert parse_timestamp(RFC3339, text) == expected


def test_the_written_time_is_the_time_meant() -> None:
    assert datetime.fromtimestamp(NOW, UTC).isoformat() == "2023-11-14T22:13:20+00:00"


def tolerance(scheme: Scheme) -> int:
    assert scheme.tolerance_s is not None
    return scheme.tolerance_s


def reason_of(verdict: object) -> Refusal | None:
    return verdict.reason if isinstance(verdict, Rejected) else None
