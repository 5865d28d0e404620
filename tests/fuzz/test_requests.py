"""Damaged requests of every provider, to the receiver's application over a real Valkey.

Each is answered as the contract says and counted once; the receiver never stumbles, and nothing is kept of what its
sender did not prove.
"""

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from redis.asyncio import Redis

from eventroute import keys
from eventroute.errors import Refused
from eventroute.ids import DeliveryId
from eventroute.outcome import Receipt
from eventroute.route_table import RECEIVER, ReceiverRoute
from eventroute.schemes import KeyPair, Request, Scheme, generate_secret, sign
from eventroute.schemes.derived import comes_first, needs_verify_token
from eventroute.secret import Secret
from support.fuzz import Edit, Swap, bounded, edited, edits, swapped, swaps
from support.providers import ROWS, SECRET_ROWS, SIGNING_ROWS, URL, sample_document
from support.queue import GROUP
from support.receipts import receipts
from support.receiving import JSON, Receiving, receiving
from support.sample_routes import receiver_route

KNOWN = {row.name: row for row in ROWS}  # of the others only the provider can sign
PAIRS, OTHERS = ({row.name: generate_secret(row) for row in SECRET_ROWS} for _ in range(2))
PROVEN = sorted(PAIRS)
COVERED = sorted(row.name for row in SIGNING_ROWS if row.covers_body)
FILTER = 'payload.a.b == "c" || event.startsWith("x") || payload.size() % 2 == 0'

SUCCESS: Final = {
    *(Receipt.QUEUED, Receipt.DUPLICATE, Receipt.REDELIVERED, Receipt.FILTERED, Receipt.UNDECIDED, Receipt.OWN_ACTION),
    Receipt.HANDSHAKE,
}
STATUS: Final = {
    Receipt.UNAUTHENTICATED: {401},
    Receipt.UNSUPPORTED: {405, 415},
    Receipt.UNPARSABLE: {422},
    Receipt.TOO_LARGE: {413},
    Receipt.UNKNOWN_ROUTE: {404},
}
"""All that may become of a request while Redis is there and has room: `unavailable` is not among it."""
TOKEN: Final = "a-token-that-only-the-provider-shows"
SET_UP: Final = {
    "hub.mode": "subscribe",
    "hub.verify_token": TOKEN,
    "hub.challenge": "1158201444",
    "challenge": "a-b-c",
    "validationToken": "a-b-c",
    "crc_token": "a-b-c",
}
MANY: Final = 1000  # keys
NAMES: Final = ("x", "content-type", "content-encoding", "traceparent", "x-github-event", "ce-type")


def _route(name: str) -> ReceiverRoute:
    scheme, pair = KNOWN[name], PAIRS.get(name)
    more: dict[str, Any] = {"own_actors": ("us",), "filter": FILTER if len(name) % 2 else None, "entity": "payload.a"}
    if pair:
        more["secrets"] = (Secret(pair.configured),)
    else:
        more |= {"secrets": (), "secret_names": ()}
    if needs_verify_token(scheme):
        more["verify_token"] = Secret(TOKEN.encode())
    public_url = URL if "url" in scheme.signed else None
    return receiver_route(name, name=name, public_url=public_url, max_body_bytes=65_536, **more)


@pytest.fixture
async def receiver(valkey_url: str, redis: Redis) -> AsyncIterator[Receiving]:
    async with receiving(valkey_url, redis) as served:
        await served.serve(*map(_route, KNOWN))
        yield served


def _signed(scheme: Scheme, pair: KeyPair | None, body: bytes) -> Request:
    bare = Request(method="POST", url=URL, headers=[JSON], body=body)
    if pair is None:
        return bare
    for event, delivery in (("alpha", f"d-{time.time_ns()}"), ("", "")):
        with contextlib.suppress(Refused):  # no place in the body for these, nor for its signature
            return sign(scheme, bare, secret=pair.signing, now=time.time(), event=event, delivery=delivery)
    return reject()


def _bent(request: Request, at: int, changes: list[Edit], name: str) -> Request:
    """Change a header's value, or add one."""
    headers = list(request.headers)
    if at < len(headers):
        headers[at] = (headers[at][0], edited(headers[at][1], changes))
    else:
        headers.append((name.encode(), edited(b"application/json", changes)))
    return Request(method=request.method, url=request.url, headers=headers, body=request.body)


async def _kept(receiver: Receiving) -> int:
    """Count what is kept of requests: deliveries and dead letters."""
    return len(await receiver.redis.keys(GROUP.delivery(DeliveryId("*"))))


async def _make_room(receiver: Receiving) -> None:
    """Forget what is queued, lest a long run fill the queue; the table stays."""
    names = await receiver.redis.keys("*")
    if len(names) > MANY:
        table = keys.table(RECEIVER.name).encode()
        await receiver.redis.delete(*(name for name in names if name != table))


async def _send(receiver: Receiving, name: str, request: Request, *, query: str = "") -> tuple[Receipt, int]:
    """Send a request; returns what became of it, and how much is kept; fails when that breaks the contract."""
    await _make_room(receiver)
    kept, counted = await _kept(receiver), receipts()
    answer = await receiver.post(request, name=name, query=query)
    [(_, outcome, reason)] = (receipts() - counted).elements()
    kept = await _kept(receiver) - kept
    allowed = STATUS.get(Receipt(outcome), {*range(200, 300)} if outcome in SUCCESS else set())
    assert answer.status_code in allowed, (outcome, reason, answer.status_code)
    assert (kept > 0) == (outcome in {Receipt.QUEUED, Receipt.UNDECIDED}) or outcome == Receipt.UNPARSABLE
    assert len(answer.content) < 70_000
    return Receipt(outcome), kept


providers = st.sampled_from(sorted(KNOWN))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@bounded(250)
@given(name=providers, changes=swaps())
async def test_any_document_that_its_sender_signs_has_an_answer(
    receiver: Receiving, name: str, changes: list[Swap]
) -> None:
    scheme = KNOWN[name]
    document = {"root": sample_document(scheme, items=3)}
    body = msgspec.json.encode(swapped(document, changes).get("root"))
    outcome, _ = await _send(receiver, name, _signed(scheme, PAIRS.get(name), body))
    assert outcome is not Receipt.UNKNOWN_ROUTE


@bounded(250)
@given(name=providers, body=values.map(msgspec.json.encode) | st.binary(max_size=60), changes=edits())
async def test_any_body_that_its_sender_signs_has_an_answer(
    receiver: Receiving, name: str, body: bytes, changes: list[Edit]
) -> None:
    outcome, _ = await _send(receiver, name, _signed(KNOWN[name], PAIRS.get(name), edited(body, changes)))
    assert outcome is not Receipt.UNKNOWN_ROUTE


@bounded(250)
@given(
    name=providers,
    at=st.integers(0, 8),
    changes=edits(),
    header=st.sampled_from(NAMES),
    method=st.sampled_from(["POST", "POST", "POST", "GET", "HEAD", "OPTIONS", "PUT", "BREW"]),
    query=st.sampled_from(
        ["", "?", "?hub.mode=subscribe&hub.challenge=%ff", "?validationToken=%00", "?bodySHA256=0", "?a=b"]
    ),
)
async def test_any_head_has_an_answer(
    receiver: Receiving, name: str, at: int, changes: list[Edit], header: str, method: str, query: str
) -> None:
    scheme = KNOWN[name]
    request = _bent(_signed(scheme, PAIRS.get(name), msgspec.json.encode(sample_document(scheme))), at, changes, header)
    request.method = method
    outcome, kept = await _send(receiver, name, request, query=query)
    assert method == "POST" or (kept == 0 and outcome in {Receipt.UNSUPPORTED, Receipt.HANDSHAKE})


@bounded(250)
@given(
    name=st.sampled_from(sorted(row.name for row in ROWS if any(map(comes_first, row.handshake)))),
    method=st.sampled_from(["GET", "GET", "GET", "POST", "OPTIONS", "HEAD"]),
    changed=st.sampled_from(["", *SET_UP]),
    changes=edits(fragments=(b"<b>", b"\r\n", b"\xff", b"\x00", b"%00", b"&challenge=", b"x" * 2000), most=2),
)
async def test_any_set_up_request_is_answered_without_a_page_and_only_if_it_shows_the_routes_own_token(
    receiver: Receiving, name: str, method: str, changed: str, changes: list[Edit]
) -> None:
    shown = {field: edited(value.encode(), changes if field == changed else ()) for field, value in SET_UP.items()}
    headers = [JSON, (b"x-okta-verification-challenge", edited(b"a-b-c", changes))]
    query = "&".join(f"{field}={quote(value)}" for field, value in shown.items())
    answer = await receiver.client.request(method, f"/hooks/team-a/{name}?{query}", headers=headers)
    assert answer.status_code in {200, 202, 204, 401, 405, 422}
    assert await receiver.queued() == []
    assert b"<" not in answer.content
    if answer.is_success and needs_verify_token(KNOWN[name]):
        assert shown["hub.verify_token"] == TOKEN.encode()


@bounded(250)
@given(name=st.sampled_from(PROVEN), changes=edits())
async def test_nothing_is_kept_of_what_somebody_else_has_signed(
    receiver: Receiving, name: str, changes: list[Edit]
) -> None:
    scheme = KNOWN[name]
    body = edited(msgspec.json.encode(sample_document(scheme)), changes)
    outcome, kept = await _send(receiver, name, _signed(scheme, OTHERS[name], body))
    assert kept == 0
    assert outcome in {Receipt.UNAUTHENTICATED, Receipt.UNSUPPORTED, Receipt.TOO_LARGE}


@bounded(250)
@given(name=st.sampled_from(COVERED), changes=edits(), at=st.integers(0, 8), bent=edits(most=1))
async def test_nothing_is_kept_of_a_body_that_was_changed_on_its_way(
    receiver: Receiving, name: str, changes: list[Edit], at: int, bent: list[Edit]
) -> None:
    scheme = KNOWN[name]
    request = _bent(_signed(scheme, PAIRS[name], msgspec.json.encode(sample_document(scheme))), at, bent, "x")
    damaged = edited(request.body, changes)
    is_whole = damaged == request.body
    request.body = damaged
    outcome, kept = await _send(receiver, name, request)
    assert is_whole or (kept == 0 and outcome not in SUCCESS)
