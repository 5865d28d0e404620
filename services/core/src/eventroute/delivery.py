"""The delivery as it crosses Redis: written by the receiver, read by the worker. JSON, never pickle.

The payload stays the provider's own bytes: it is embedded as raw JSON and parsed once more only by the worker.
"""

from typing import Any, Final

import msgspec

from eventroute.ids import DeliveryId, RoutePath, RouteUid

JOB_FUNCTION: Final = "run"
"""The one function that arq knows: an unknown name would be a silent loss in stock arq."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event that a route has accepted."""

    id: DeliveryId
    route: RoutePath
    route_uid: RouteUid
    generation: int
    """The route's generation when the event was accepted; a worker that knows an older one reloads its table first."""
    provider: str
    event: str
    """Event type in the provider's words, `pull_request.opened`; empty when the provider has none."""
    provider_id: str
    """The provider's own delivery id, cut to 200 characters, for people to look up; identity is `id`."""
    received_ms: int
    """Unix time in milliseconds when the receiver had the whole request."""
    key_index: int = 0
    """Which of the route's secrets matched, 0 being the current one."""
    headers: dict[str, str] = {}
    """Request headers without credentials and signatures, names in lower case."""
    payload: msgspec.Raw
    """JSON: the body, or one item of a batch, or a form as an object of strings."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What arq stores under `arq:job:<id>`: its own field names, our arguments."""

    t: int | None
    """Tries at enqueue, always null: arq counts in a key of its own."""
    f: str
    """Function name, `JOB_FUNCTION`."""
    a: tuple[str, str]
    """Delivery id, and the receipt's W3C `traceparent`, empty when there is none."""
    k: dict[str, Any]
    """Keyword arguments, always empty."""
    et: int
    """Enqueue time, Unix milliseconds."""


_delivery_encoder = msgspec.json.Encoder()
_delivery_decoder = msgspec.json.Decoder(Delivery)


def encode_delivery(delivery: Delivery) -> bytes:
    """Write a delivery as JSON; the payload is copied as it is."""
    return _delivery_encoder.encode(delivery)


def decode_delivery(data: bytes) -> Delivery:
    """Read a delivery; raises `msgspec.DecodeError` when it is not one."""
    return _delivery_decoder.decode(data)


def encode_job(delivery: DeliveryId, *, traceparent: str, now_ms: int) -> bytes:
    """Write the arq job of a delivery."""
    return _delivery_encoder.encode(Job(t=None, f=JOB_FUNCTION, a=(delivery, traceparent), k={}, et=now_ms))
