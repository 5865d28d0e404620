"""What of a verified request wants admission: its events that pass the route's filter, as delivery records."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from eventroute.delivery import Delivery
from eventroute.ids import ClaimId, claim_id, delivery_id
from eventroute.schemes import Event, Request
from eventroute_receiver.admit import Candidate
from eventroute_receiver.routes import Hook

_PROVIDER_ID_CHARS: Final = 200


class Intake:
    """One verified request on its way into the queue."""

    def __init__(self, hook: Hook, request: Request, *, received_ms: int, key_index: int) -> None:
        """Take the request as verified."""
        self.filter_error = ""
        """Why the filter could not judge an event, if one could not be judged: it counts as not wanted."""
        self._hook = hook
        self._request = request
        self._received_ms = received_ms
        self._key_index = key_index
        self._headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in request.headers
            if name not in hook.dropped_headers
        }

    def wanted(self, events: Sequence[Event]) -> list[Candidate]:
        """Keep the events that the route's filter holds for, in their order."""
        return [self._candidate(event) for event in events if self._passes(event)]

    def unreadable(self) -> Delivery:
        """Record a request whose body is not what the provider documents; a repetition has the same id."""
        claim = claim_id(self._hook.route.uid, "unreadable", self._request.body)
        text = self._request.body.decode("utf-8", errors="backslashreplace")
        return self._delivery(claim, event="", provider_id="", payload=msgspec.Raw(msgspec.json.encode(text)))

    def _passes(self, event: Event) -> bool:
        if self._hook.filter is None:
            return True
        namespace, _, name = self._hook.route.path.partition("/")
        variables: dict[str, Any] = {
            "payload": event.value,
            "event": event.type,
            "headers": self._headers,
            "route": {"namespace": namespace, "name": name},
        }
        holds, error = self._hook.filter.test(variables)
        if error:
            self.filter_error = error
        return holds

    def _candidate(self, event: Event) -> Candidate:
        claims = [claim_id(self._hook.route.uid, kind, value) for kind, value in event.claims]
        first = claims[0] if claims else None
        delivery = self._delivery(
            first, event=event.type, provider_id=event.id or "", payload=msgspec.Raw(event.payload)
        )
        return Candidate(delivery, claims)

    def _delivery(self, claim: ClaimId | None, *, event: str, provider_id: str, payload: msgspec.Raw) -> Delivery:
        route = self._hook.route
        return Delivery(
            id=delivery_id(route.uid, claim),
            route=route.path,
            route_uid=route.uid,
            generation=route.generation,
            provider=route.scheme.name,
            event=event,
            provider_id=provider_id[:_PROVIDER_ID_CHARS],
            received_ms=self._received_ms,
            key_index=self._key_index,
            headers=self._headers,
            payload=payload,
        )
