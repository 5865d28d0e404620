"""Each situation has one answer, and each request counts once under one outcome. What is refused leaves no trace."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from eventroute.schemes import Request
from support.receipts import receipts
from support.receiving import Headers, Receiving, opened, pull_request, signed
from support.sample_routes import receiver_route

TRIAGE = "team-a/triage"
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Row(NamedTuple):
    """A request, and everything that the sender hears."""

    situation: str
    request: Callable[[], Request]
    status: int
    outcome: str
    reason: str = ""
    headers: Mapping[str, str] = NOTHING
    body: bytes = b""
    route: Mapping[str, Any] = NOTHING
    name: str = "triage"
    counted_for: str = TRIAGE


def changed(request: Request, **changes: Any) -> Request:
    for name, value in changes.items():
        setattr(request, name, value)
    return request


def with_headers(*more: tuple[bytes, bytes]) -> Request:
    request = opened()
    names = {name for name, _ in more}
    kept: Headers = [(name, value) for name, value in request.headers if name not in names]
    return changed(request, headers=[*kept, *more])


def stripe(**changes: Any) -> Request:
    return signed("stripe", {"id": "evt_1", "type": "invoice.paid"}, **changes)


JSON = {"content-type": "application/json"}

ROWS = [
    Row("the filter says no", opened, 200, "filtered", "", JSON, b'{"status":"filtered"}', {"filter": "false"}),
    Row(
        "the filter names a field that is missing",
        opened,
        200,
        "filtered",
        "missing_field",
        JSON,
        b'{"status":"filtered"}',
        {"filter": "payload.absent.field == 1"},
    ),
    Row(
        "our own action",
        lambda: signed("github", {"action": "opened", "issue": {}, "sender": {"login": "us[bot]"}}, event="issues"),
        200,
        "own_action",
        "actor",
        JSON,
        b'{"status":"own_action"}',
        {"own_actors": ("us[bot]",), "filter": "false"},
    ),
    Row("suspended", opened, 200, "suspended", "", JSON, b'{"status":"suspended"}', {"suspend": "drop"}),
    Row("a test event", lambda: signed("github", {"zen": "-"}, event="ping"), 200, "handshake"),
    Row("no signature", lambda: changed(opened(), headers=[]), 401, "unauthenticated", "missing_header"),
    Row("a changed body", lambda: changed(opened(), body=b"{}"), 401, "unauthenticated", "mismatch"),
    Row("another secret", lambda: opened(secret="not-the-one-of-this-route"), 401, "unauthenticated", "mismatch"),
    Row(
        "no signature at all, only the word",
        lambda: with_headers((b"x-hub-signature-256", b"sha256=x")),
        401,
        "unauthenticated",
        "malformed_signature",
    ),
    Row(
        "signed, but long ago",
        lambda: stripe(now=1_700_000_000),
        401,
        "unauthenticated",
        "stale",
        route={"provider": "stripe"},
    ),
    Row(
        "signed for a time to come",
        lambda: stripe(now=4_000_000_000),
        401,
        "unauthenticated",
        "future",
        route={"provider": "stripe"},
    ),
    Row("another provider's request", stripe, 401, "unauthenticated", "missing_header"),
    Row("no such route", opened, 404, "unknown_route", name="unheard-of", counted_for=""),
    Row("GET", lambda: changed(opened(), method="GET"), 405, "unsupported", "method", {"allow": "POST"}),
    Row("PUT", lambda: changed(opened(), method="PUT"), 405, "unsupported", "method", {"allow": "POST"}),
    Row("text", lambda: with_headers((b"content-type", b"text/plain")), 415, "unsupported", "media_type"),
    Row("gzip", lambda: with_headers((b"content-encoding", b"gzip")), 415, "unsupported", "encoding"),
    Row(
        "too large",
        opened,
        413,
        "too_large",
        headers={"connection": "close"},
        route={"max_body_bytes": 10},
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.situation)
async def test_what_is_not_queued_is_answered_as_the_contract_says_counted_once_and_leaves_nothing(
    receiver: Receiving, row: Row
) -> None:
    route = {"provider": "github", **row.route}
    await receiver.serve(receiver_route(route.pop("provider"), **route))
    stored, before = await stored_keys(receiver), receipts()
    answer = await receiver.post(row.request(), name=row.name)
    assert (answer.status_code, answer.content) == (row.status, row.body)
    assert {**answer.headers} == {"content-length": str(len(row.body)), **row.headers}
    assert receipts() - before == {(row.counted_for, row.outcome, row.reason): 1}
    assert await stored_keys(receiver) == stored


async def stored_keys(receiver: Receiving) -> set[bytes]:
    return set(await receiver.redis.keys("*"))


@pytest.mark.parametrize(("provider", "status"), [("github", 200), ("cloudevents", 202), ("generic", 202)])
async def test_success_has_the_code_that_the_provider_wants_for_the_first_copy_and_for_every_repeat(
    receiver: Receiving, provider: str, status: int
) -> None:
    await receiver.serve(receiver_route(provider))
    request = signed(provider, {"id": "1", "source": "s", "type": "t", **pull_request()}, delivery="gh-1")
    before = receipts()
    first, second = await receiver.post(request), await receiver.post(request)
    delivery = first.json()["delivery"]
    assert (first.status_code, second.status_code) == (status, status)
    assert first.json() == {"status": "queued", "delivery": delivery}
    assert second.json() == {"status": "duplicate", "delivery": delivery}
    assert receipts() - before == {(TRIAGE, "queued", ""): 1, (TRIAGE, "duplicate", ""): 1}
    assert await receiver.queued() == [delivery]
