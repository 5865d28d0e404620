"""The delivery as it crosses Redis: written by the receiver, read by the worker. JSON, never pickle.

The payload stays the provider's own bytes: it is embedded as raw JSON and parsed once more only by the worker. What the
queue keeps beside it (the id, the route's path, the time of acceptance) is not written twice. One that has collected
several events holds one such record for each, in their order, separated by U+001E, which no JSON holds.
"""

from typing import Final

import msgspec

from eventroute.ids import DeliveryId, RoutePath


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event that a route has accepted."""

    id: DeliveryId = DeliveryId("")
    route: RoutePath = RoutePath("")
    generation: int
    """The route's generation when the event was accepted; a worker that knows an older one reloads its table first."""
    provider: str
    event: str
    """Event type in the provider's words, `pull_request.opened`; empty when the provider has none."""
    provider_id: str
    """The provider's own delivery id, cut to 200 characters, for people to look up; identity is `id`."""
    hops: int = 0
    """How many answers of ours stand behind it (`eventroute.hops`); of several events the most."""
    parent: DeliveryId = DeliveryId("")
    """Which delivery it is the answer to, where another route handed that over; empty for what came from outside."""
    received_ms: int = 0
    """Unix time in milliseconds, by Redis' clock, when it was accepted."""
    key_index: int = 0
    """Which of the route's secrets matched, 0 being the current one."""
    headers: dict[str, str] = {}
    """Request headers without credentials and signatures, names in lower case."""
    payload: msgspec.Raw
    """JSON: the body, or one item of a batch, or a form as an object of strings."""
    earlier: "tuple[Delivery, ...]" = ()
    """The events that were collected before this one, oldest first; never written."""


_SEPARATOR: Final = b"\x1e"  # as `queue/lua/lease.lua` joins them

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Delivery)


def encode_delivery(delivery: Delivery) -> bytes:
    """Write a delivery as JSON; the payload is copied as it is."""
    return _encoder.encode(msgspec.structs.replace(delivery, id=DeliveryId(""), route=RoutePath(""), received_ms=0))


def decode_delivery(data: bytes, *, id: DeliveryId, route: RoutePath, received_ms: int) -> Delivery:  # noqa: A002
    """Read a delivery, the last event of it, and add what the queue knows; raises `msgspec.DecodeError`."""
    *earlier, last = (
        msgspec.structs.replace(_decoder.decode(part), id=id, route=route, received_ms=received_ms, earlier=())
        for part in data.split(_SEPARATOR)
    )
    hops = max(each.hops for each in (*earlier, last))
    return msgspec.structs.replace(last, earlier=tuple(earlier), hops=hops)
