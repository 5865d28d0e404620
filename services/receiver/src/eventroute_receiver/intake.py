"""What of a verified request is kept: its events as delivery records, by what the route's filter says of each."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from eventroute.delivery import Delivery
from eventroute.expression import EvaluationError, Expression, Truth
from eventroute.ids import Claim, ClaimId, claim_id, delivery_id
from eventroute.schemes import Event, Request
from eventroute_receiver.admit import Candidate
from eventroute_receiver.routes import Hook

_PROVIDER_ID_CHARS: Final = 200


class Undecided(NamedTuple):
    """An event that the filter could not judge; a repetition has the same id."""

    delivery: Delivery
    error: EvaluationError


class Judged(NamedTuple):
    """The events that are kept, in their order, and how many are left out."""

    kept: Sequence[Candidate | Undecided]
    undecided: Sequence[Undecided]
    """Those of them that the filter could not judge."""
    filtered: int
    missing: bool
    """Whether one was left out because it lacks a field that the filter names."""


class Intake:
    """One verified request on its way into the queue."""

    def __init__(self, hook: Hook, request: Request, *, received_ms: int, key_index: int) -> None:
        """Take the request as verified."""
        self._hook = hook
        self._request = request
        self._received_ms = received_ms
        self._key_index = key_index
        self._headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in request.headers
            if name not in hook.dropped_headers
        }

    def judge(self, events: Sequence[Event]) -> Judged:
        """Ask the route's filter. An event that lacks a field which it names is not wanted; no other error says so."""
        if self._hook.filter is None:
            return Judged([self._candidate(event) for event in events], (), 0, missing=False)
        kept: list[Candidate | Undecided] = []
        undecided: list[Undecided] = []
        missing = False
        for event in events:
            holds, error = self._test(self._hook.filter, event)
            if holds:
                kept.append(self._candidate(event))
            elif error is EvaluationError.MISSING_FIELD:
                missing = True
            elif error:
                undecided.append(self._undecided(event, error))
                kept.append(undecided[-1])
        return Judged(kept, undecided, len(events) - len(kept), missing)

    def unreadable(self) -> Delivery:
        """Record a request whose body is not what the provider documents; a repetition has the same id."""
        claim = claim_id(self._hook.route.uid, "unreadable", self._request.body)
        text = self._request.body.decode("utf-8", errors="backslashreplace")
        return self._delivery(claim, event="", provider_id="", payload=msgspec.Raw(msgspec.json.encode(text)))

    def _test(self, condition: Expression, event: Event) -> Truth:
        namespace, _, name = self._hook.route.path.partition("/")
        variables: dict[str, Any] = {
            "payload": event.value,
            "event": event.type,
            "headers": self._headers,
            "route": {"namespace": namespace, "name": name},
        }
        return condition.test(variables)

    def _candidate(self, event: Event) -> Candidate:
        uid = self._hook.route.uid
        claims = [Claim(claim_id(uid, kind, value), lifetime_s) for kind, value, lifetime_s in event.marks]
        # Once it is no copy any more, the same bytes are another event, and need another id than the first.
        first = claims[0].id if claims and event.marks[0].kind != "copy" else None
        return Candidate(self._record(first, event), claims)

    def _undecided(self, event: Event, error: EvaluationError) -> Undecided:
        """Record it under an id of its own: sent again to a filter that was mended, the event is queued beside it."""
        first = next(iter(event.marks), None)
        claim = claim_id(self._hook.route.uid, f"undecided {first.kind}", first.value) if first else None
        return Undecided(self._record(claim, event), error)

    def _record(self, claim: ClaimId | None, event: Event) -> Delivery:
        return self._delivery(claim, event=event.type, provider_id=event.id or "", payload=msgspec.Raw(event.payload))

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
