"""The items of a request: of a batch, or the body as the only one."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from eventroute.payload import Unparsable, open_part
from eventroute.schemes.model import Scheme
from eventroute.schemes.request import Document, at

MAX_ITEMS: Final = 10_000
"""Events of one batch; arbitrary, HubSpot sends 100 and SendGrid some 2,000."""

Item = tuple[Any, bytes]
"""The opened value, and its bytes as received."""

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def batch_items(scheme: Scheme) -> Callable[[Document], list[Item] | Unparsable]:
    """Build the function that takes a body apart."""
    if not scheme.batch:
        return lambda parsed: [(parsed.value, parsed.payload)]
    path = tuple(scheme.batch.split(":", 1)[1].split(".")) if ":" in scheme.batch else ()

    def items(parsed: Document) -> list[Item] | Unparsable:
        values = at(parsed.value, path)
        if isinstance(values, dict):
            return [(values, _raw(parsed.payload, path))]
        if not isinstance(values, list):
            return Unparsable("the batch is not a list of objects")
        if len(values) > MAX_ITEMS:
            return Unparsable("the batch has too many items")
        payloads = [bytes(value) for value in values if isinstance(value, msgspec.Raw)]
        opened = [open_part(payload) for payload in payloads]
        if len(opened) < len(values) or not all(isinstance(value, dict) for value in opened):
            return Unparsable("the batch is not a list of objects")
        return list(zip(opened, payloads, strict=True))

    return items


def _raw(payload: bytes, path: tuple[str, ...]) -> bytes:
    """Cut one value out of JSON that has been parsed before, as the bytes that were received."""
    for step in path:
        payload = bytes(_decode_object(payload)[step])
    return payload.strip()
