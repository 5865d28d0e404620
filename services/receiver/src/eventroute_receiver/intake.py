"""Judging a request: is it genuine, what is in it, and what of that is to be queued, as delivery records."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from eventroute.delivery import Delivery
from eventroute.expression import Budget, EvaluationError
from eventroute.hops import may_have
from eventroute.ids import Claim, claim_id, entity_id, new_delivery_id
from eventroute.outcome import DeadReason
from eventroute.queue import Candidate
from eventroute.redact import REDACTED, redact
from eventroute.schemes import (
    Event,
    Events,
    Handshake,
    KeyName,
    Rejected,
    Request,
    Ring,
    Unparsable,
    Verified,
    no_ring,
    read,
    verify,
)
from eventroute_receiver.routes import Hook

_PROVIDER_ID_CHARS: Final = 200

MAX_HEADERS_BYTES: Final = 8192
"""Of names and values: each event of a batch is kept with them."""
MAX_BATCH_HEADERS_BYTES: Final = 1 << 20
"""Of all events of a request together; each is kept with what fits into its share."""
MAX_UNREADABLE_BYTES: Final = 65_536
"""Of a body that nobody can read, to see what it was; quoted it may be four times as long."""


class Genuine(msgspec.Struct, frozen=True):
    """A request that comes from its provider, and what of it is to be queued."""

    key_index: int
    """Which of the route's secrets has proven it, 0 being the current one."""
    received_ms: int
    """Unix time."""
    found: Events | Handshake | Unparsable
    kept: Sequence[Candidate] = ()
    """The events that are wanted, in their order; as dead letters those that the filter could not judge, and a body
    that nobody can read. None of a route that drops its events."""
    filtered: Sequence[str] = ()
    """The types of the events that are not wanted."""
    own: int = 0
    """How many events we have caused ourselves."""
    spent: int = 0
    """How many events have made all the hops that the route allows."""
    reason: str = ""
    """Why one was left out or could not be judged: the filter's trouble with it; empty when it had none."""


def judge(
    hook: Hook, request: Request, now: float, budget: Budget, *, ring: Ring = no_ring
) -> Genuine | Rejected | KeyName:
    """Verify a request, read it, and ask the route's filter of each event.

    now      Unix time in seconds
    budget   for the route's expressions; what it is too short for is not wanted, or kept as a dead letter
    ring     the providers' keys that have been fetched
    returns  what is to be done, or the key without which nobody can tell; nothing has been counted or written yet, so
             that a thread may judge what is large
    """
    scheme = hook.route.scheme
    verdict = verify(scheme, request, hook.keys, now, ring=ring)
    if not isinstance(verdict, Verified):
        return verdict
    key = hook.keys[verdict.key_index] if hook.keys else None
    found = read(scheme, request, decode=hook.looks_into_events, own=hook.own_actors, key=key)
    key_index, received_ms = verdict.key_index, int(now * 1000)
    if isinstance(found, Handshake) or (isinstance(found, Events) and hook.route.suspend == "drop"):
        return Genuine(key_index, received_ms, found)
    intake = Intake(hook, request, budget, received_ms=received_ms, key_index=key_index)
    if isinstance(found, Unparsable):
        return Genuine(key_index, received_ms, found, [intake.unreadable(found.reason)])
    return intake.choose(found)


def _headers(hook: Hook, request: Request) -> dict[str, str]:
    """Choose the headers that the route may look at, those that fit, in their order."""
    kept, dropped = hook.kept_headers, hook.dropped_headers
    found: dict[str, str] = {}
    left = MAX_HEADERS_BYTES
    for name, value in request.headers:
        if name in dropped or (kept is not None and name not in kept):
            continue
        size = len(name) + len(value)
        if size <= left:
            left -= size
            found[name.decode("latin-1")] = value.decode("latin-1")
    return found


def _fitting(headers: dict[str, str], most: int) -> dict[str, str]:
    """Choose those that fit, in their order."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        if (size := len(name) + len(value)) <= most:
            most -= size
            found[name] = value
    return found


class Intake:
    """One verified request on its way into the queue."""

    def __init__(self, hook: Hook, request: Request, budget: Budget, *, received_ms: int, key_index: int) -> None:
        """Take the request as verified."""
        self._hook = hook
        self._request = request
        self._received_ms = received_ms
        self._key_index = key_index
        self._budget = budget
        self._is_marked = may_have(request.body)
        self._headers = _headers(hook, request)
        self._kept_headers = self._headers
        if hook.redacted_headers:
            gone = dict.fromkeys((name.decode() for name in hook.redacted_headers), REDACTED)
            self._kept_headers = self._headers | {name: mark for name, mark in gone.items() if name in self._headers}

    def choose(self, found: Events) -> Genuine:
        """Leave out what we have caused ourselves, and what has made all its hops, then ask the route's filter.

        An event that lacks a field which the filter names is not wanted; no other error says so.
        """
        events: Sequence[Event] = found.items
        if len(events) * MAX_HEADERS_BYTES > MAX_BATCH_HEADERS_BYTES:
            self._kept_headers = _fitting(self._kept_headers, MAX_BATCH_HEADERS_BYTES // len(events))
        of_others = [event for event in events if not event.is_own] if self._hook.own_actors else events
        fresh = of_others
        if self._is_marked:
            fresh = [event for event in of_others if self._hops(event) < self._hook.route.max_hops]
        own, spent = len(events) - len(of_others), len(of_others) - len(fresh)
        wanted = self._hook.filter
        if wanted is None:
            kept = [self._candidate(event) for event in fresh]
            return Genuine(self._key_index, self._received_ms, found, kept, (), own, spent)
        kept = []
        filtered: list[str] = []
        reason = ""
        for event in fresh:
            holds, error = wanted.test(self._variables(event), self._budget)
            reason = reason or error or ""
            if holds:
                kept.append(self._candidate(event))
            elif error and error is not EvaluationError.MISSING_FIELD:
                kept.append(self._candidate(event, dead=(DeadReason.FILTER, f"filter: {error}")))
            else:
                filtered.append(event.type)
        return Genuine(self._key_index, self._received_ms, found, kept, filtered, own, spent, reason)

    def unreadable(self, why: str) -> Candidate:
        """Keep a request whose body is not what the provider documents, as a dead letter, its beginning at least."""
        body = self._request.body
        claim = claim_id(self._hook.route.uid, "unreadable", body)
        text = body[:MAX_UNREADABLE_BYTES].decode("utf-8", errors="backslashreplace")
        if self._hook.redacted_payload:
            text = REDACTED  # nobody can tell where in it the values stand
        delivery = self._delivery(event="", provider_id="", payload=msgspec.Raw(msgspec.json.encode(text)))
        lifetime_s = self._hook.route.scheme.dedup_ttl_s
        return Candidate(delivery, [Claim(claim, lifetime_s)], dead=(DeadReason.UNPARSABLE, why))

    def _hops(self, event: Event) -> int:
        """Count the answers of ours behind an event."""
        return self._hook.markers.count(event.payload) if self._is_marked else 0

    def _whom(self, event: Event) -> str:
        """Name the entity, hashed; empty when none can be told: the worker records why."""
        if self._hook.entity is None:
            return ""
        whom = self._hook.entity.text(self._variables(event), self._budget).value
        return entity_id(self._hook.route.uid, whom)

    def _variables(self, event: Event) -> dict[str, Any]:
        namespace, _, name = self._hook.route.path.partition("/")
        return {
            "payload": event.value,
            "event": event.type,
            "headers": self._headers,
            "route": {"namespace": namespace, "name": name},
        }

    def _candidate(self, event: Event, *, dead: tuple[DeadReason, str] | None = None) -> Candidate:
        uid = self._hook.route.uid
        claims = [Claim(claim_id(uid, mark.kind, mark.value), mark.lifetime_s) for mark in event.marks]
        steps = self._hook.redacted_payload
        payload = redact(event.payload, steps) if steps else msgspec.Raw(event.payload)
        delivery = self._delivery(event=event.type, provider_id=event.id or "", payload=payload, hops=self._hops(event))
        route, whom = self._hook.route, self._whom(event)
        stands_for_others = route.debounce or route.supersede
        return Candidate(delivery, claims, dead, whom if route.per_entity else "", whom if stands_for_others else "")

    def _delivery(self, *, event: str, provider_id: str, payload: msgspec.Raw, hops: int = 0) -> Delivery:
        route = self._hook.route
        return Delivery(
            id=new_delivery_id(),
            route=route.path,
            generation=route.generation,
            provider=route.scheme.name,
            event=event,
            provider_id=provider_id[:_PROVIDER_ID_CHARS],
            hops=hops,
            received_ms=self._received_ms,
            key_index=self._key_index,
            headers=self._kept_headers,
            payload=payload,
        )
