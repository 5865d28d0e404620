"""What the sender hears: one constructor per row of the receiver's contract."""

from collections.abc import Sequence
from typing import Final

import msgspec

from eventroute.ids import DeliveryId
from eventroute.outcome import Receipt, Unavailable
from eventroute.schemes import Handshake, Rejected, Reply

RETRY_AFTER_S: Final = 5
"""What a sender is asked to wait after 503: long enough for Redis to restart. Arbitrary."""

_NO_CONTENT: Final = 204
_JSON: Final = (b"content-type", b"application/json")
_CLOSE: Final = (b"connection", b"close")


class Answer(msgspec.Struct, frozen=True):
    """A response, and how the request is counted."""

    status: int
    outcome: Receipt
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    reason: str = ""

    def wire_headers(self) -> list[tuple[bytes, bytes]]:
        """All headers, with the body's length but for 204, which has none (RFC 9110, 8.6)."""
        if self.status == _NO_CONTENT:
            return list(self.headers)
        return [*self.headers, (b"content-length", b"%d" % len(self.body))]


class Item(msgspec.Struct, frozen=True):
    """What became of one event of the request."""

    outcome: Receipt
    delivery: DeliveryId


def settled(items: Sequence[Item], *, status: int, reason: str = "") -> Answer:
    """The request was dealt with; `items` has at least one entry and is told in full for a batch.

    The request counts as `queued` when anything was, else as what its first item became.

    reason  why items are undecided; counted with the request only when it counts as that
    """
    if len(items) == 1:
        outcome = items[0].outcome
        body = b'{"status":"%b","delivery":"%b"}' % (outcome.encode(), items[0].delivery.encode())
        return Answer(status, outcome, body, (_JSON,), reason if outcome is Receipt.UNDECIDED else "")
    outcome = Receipt.QUEUED if any(item.outcome is Receipt.QUEUED for item in items) else items[0].outcome
    body = msgspec.json.encode(
        {"status": outcome, "deliveries": [{"status": item.outcome, "delivery": item.delivery} for item in items]}
    )
    return Answer(status, outcome, body, (_JSON,), reason if outcome is Receipt.UNDECIDED else "")


def unwanted(outcome: Receipt, *, status: int, reason: str = "") -> Answer:
    """Genuine, and on purpose not queued: success, so that the sender does not repeat it."""
    return Answer(status, outcome, b'{"status":"%b"}' % outcome.encode(), (_JSON,), reason)


def worded(success: Answer, reply: Reply) -> Answer:
    """Say a success in the provider's own terms."""
    headers = ((b"content-type", reply.media_type.encode("latin-1")),) if reply.media_type else ()
    return msgspec.structs.replace(success, body=reply.body.encode(), headers=headers)


def set_up(found: Handshake | Rejected) -> Answer:
    """What the provider wants to hear before it delivers; or nothing, where it shows another token than the route's."""
    if isinstance(found, Rejected):
        return unauthenticated(found.reason)
    return Answer(found.status, Receipt.HANDSHAKE, found.body, _wire(found.headers))


def unauthenticated(reason: str) -> Answer:
    """Not proven to come from the provider. The body stays empty: an explanation would help only a forger."""
    return Answer(401, Receipt.UNAUTHENTICATED, reason=reason)


def unknown_route() -> Answer:
    """The table is warm and has no such route."""
    return Answer(404, Receipt.UNKNOWN_ROUTE)


def method_not_allowed() -> Answer:
    """Webhooks are POSTed; declared handshakes were answered before."""
    return Answer(405, Receipt.UNSUPPORTED, headers=((b"allow", b"POST"),), reason="method")


def unsupported_media_type(reason: str) -> Answer:
    """A body in a form or encoding that the provider does not use."""
    return Answer(415, Receipt.UNSUPPORTED, reason=reason)


def too_large() -> Answer:
    """The cap was passed; the rest is not read, so the connection ends."""
    return Answer(413, Receipt.TOO_LARGE, headers=(_CLOSE,))


def timed_out() -> Answer:
    """The body did not arrive in time."""
    return Answer(408, Receipt.TIMEOUT, headers=(_CLOSE,))


def disconnected() -> Answer:
    """Nobody is left to hear it; counted all the same."""
    return Answer(400, Receipt.DISCONNECTED, headers=(_CLOSE,))


def unparsable(delivery: DeliveryId, stop_headers: Sequence[tuple[str, str]]) -> Answer:
    """Genuine, but not readable: kept as a dead letter. A repetition would not read better."""
    stop = _wire(stop_headers)
    body = b'{"status":"unparsable","delivery":"%b"}' % delivery.encode()
    return Answer(422, Receipt.UNPARSABLE, body, (_JSON, *stop))


def rate_limited(wait_s: float) -> Answer:
    """The route's own limit; the sender is told when there is room."""
    seconds = max(1, int(wait_s + 0.999))
    return Answer(429, Receipt.RATE_LIMITED, headers=((b"retry-after", b"%d" % seconds),))


def unavailable(reason: Unavailable) -> Answer:
    """Not now: nothing was queued, and the sender should come back."""
    return Answer(503, Receipt.UNAVAILABLE, headers=((b"retry-after", b"%d" % RETRY_AFTER_S),), reason=reason)


def _wire(headers: Sequence[tuple[str, str]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers)
