"""What a record says of a delivery, for as long as it outlives it."""

from typing import Any, Final

import msgspec

from eventroute.delivery import Delivery
from eventroute.expression import Text
from eventroute_worker.answer import Answer

_ENTITY_CHARS: Final = 200  # of an entity, for people to look up


def about(delivery: Delivery, entity: Text = Text(None), answer: Answer | None = None) -> dict[str, str | bytes | int]:
    """Write the field that says what a delivery was about, and what its answer took."""
    told: dict[str, Any] = {
        "provider": delivery.provider,
        "event": delivery.event,
        "provider_id": delivery.provider_id,
        "events": len(delivery.earlier) + 1 if delivery.earlier else 0,
        "hops": delivery.hops,
        "parent": delivery.parent,
        "entity": (entity.value or "")[:_ENTITY_CHARS],
        "entity_error": entity.error or "",
    }
    if answer is not None:
        told |= {
            "model": answer.model,
            "instead_of": answer.instead_of,
            "because": answer.because or "",
            "cost_usd": "" if answer.cost_usd is None else str(answer.cost_usd),
            "input_tokens": answer.usage.prompt,
            "output_tokens": answer.usage.output,
            "thinking_tokens": answer.usage.thinking,
            "cache_read_tokens": answer.usage.cache_read,
            "cache_write_tokens": answer.usage.cache_write + answer.usage.cache_write_1h,
            "missing_fields": list(answer.missing_fields),
            "calls": list(answer.calls),
        }
    return {"about": msgspec.json.encode({name: value for name, value in told.items() if value})}
