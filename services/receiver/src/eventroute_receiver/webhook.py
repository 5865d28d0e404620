"""The way of a webhook, from its head to the answer, in the order that keeps it safe.

Route → set-up request → method and media type → body under its cap → signature over the raw bytes → reading →
handshake, suspension or own action → filter → admission. Nothing is parsed before it is verified (but for what a scheme
signs inside the body, and the query of a set-up request), and success is answered only after Redis took everything in
one step. Exactly one `Answer` comes out, whatever happens.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal

import structlog
from opentelemetry.trace import Span, Tracer

from eventroute.expression import Budget
from eventroute.ids import RoutePath
from eventroute.outcome import LeftOut, OwnAction, Receipt, Unavailable
from eventroute.queue import Again, Candidate, Fate, Joined, Limited, New, Repeat
from eventroute.route_table import ReceiverRoute
from eventroute.runtime import tracing
from eventroute.runtime.stats import Tally
from eventroute.runtime.tables import RouteTable
from eventroute.schemes import Handshake, KeyName, Rejected, Request, Unparsable, choose_reply, is_inside, preflight
from eventroute_receiver import answer, metrics, spans
from eventroute_receiver.admit import Admission, NotNow
from eventroute_receiver.answer import Answer, Item
from eventroute_receiver.body import DisconnectedError, NoRoomError, Room, TooLargeError, discard_rest, read_body
from eventroute_receiver.intake import Genuine, judge
from eventroute_receiver.keyring import Keyring
from eventroute_receiver.routes import Hook

PREFIX: Final = b"/hooks/"

_LARGE_BYTES: Final = 262_144
"""A body above it takes milliseconds to hash and to parse, in which nobody else would be served. Arbitrary."""
_QUICK_US: Final = 5000
"""What a request's expressions may cost; beyond that they, too, are evaluated in a thread. Arbitrary."""

_NO_EXPRESSIONS: Final = Budget(0)

_ACCEPTED: Final = frozenset({Receipt.QUEUED, Receipt.REDELIVERED, Receipt.DEBOUNCED})
_UNWANTED: Final = frozenset({Receipt.FILTERED, Receipt.OWN_ACTION, Receipt.SUSPENDED})
_SETTLED: Final = _ACCEPTED | _UNWANTED | {Receipt.DUPLICATE, Receipt.UNDECIDED}
"""What becomes of an event, of which a request may hold many; everything else becomes of a request."""

_UNREAD: Final = {
    TooLargeError: answer.too_large(),
    TimeoutError: answer.timed_out(),
    DisconnectedError: answer.disconnected(),
    NoRoomError: answer.unavailable(Unavailable.BODIES),
}

_log = structlog.get_logger()


class Webhooks:
    """The handler of the hooks' port; every path but `/hooks/<namespace>/<name>` is an unknown route."""

    def __init__(
        self,
        table: RouteTable[Hook],
        admission: Admission,
        tally: Tally,
        *,
        keyring: Keyring,
        tracer: Tracer,
        read_deadline_s: float,
        room: Room,
    ) -> None:
        """Take the routes, the way into Redis, what counts for status, keys, and how long a body may take."""
        self._table = table
        self._admission = admission
        self._tally = tally
        self._keyring = keyring
        self._tracer = tracer
        self._read_deadline_s = read_deadline_s
        self._room = room

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        """Answer one request, count it, and end its span."""
        started = time.perf_counter()
        # As it came: `%2F`, `//` and a trailing slash make another path, and so an unknown route.
        path = RoutePath(scope["raw_path"].removeprefix(PREFIX).decode("latin-1"))
        hook = self._table.get(path)
        if hook and is_inside(hook.route.scheme):
            hook = None  # its events are answers of other routes, which workers admit
        span = spans.start_receipt(self._tracer, scope["headers"])
        try:
            result = await self._answer(scope, receive, hook=hook, span=span) if hook else self._without_route(path)
        except Exception as error:  # noqa: BLE001 - the last line: the sender must hear that it should come back
            _log.exception("receipt_failed", route=hook and hook.route.path, error=type(error).__name__)
            result = answer.unavailable(Unavailable.INTERNAL)
        await send({"type": "http.response.start", "status": result.status, "headers": result.wire_headers()})
        if result.outcome is Receipt.TOO_LARGE:
            await discard_rest(receive)
        await send({"type": "http.response.body", "body": result.body})
        spans.end_receipt(span, result, hook, scope)
        metrics.RECEIPTS.counts[hook.route.path if hook else "", result.outcome, result.reason] += 1
        if hook and result.outcome not in _SETTLED:
            self._tally.add_receipt(hook.route.uid, result.outcome)
        metrics.ACK_SECONDS.observe(result.outcome, time.perf_counter() - started)

    def _without_route(self, path: RoutePath) -> Answer:
        """Never deny a route that may exist: some providers disable a webhook at the first 404."""
        if self._table.version is None:
            return answer.unavailable(Unavailable.COLD_TABLE)
        if self._table.is_broken(path):
            return answer.unavailable(Unavailable.BROKEN_ROUTE)
        return answer.unknown_route()

    async def _answer(self, scope: Any, receive: Any, *, hook: Hook, span: Span) -> Answer:
        query = scope["query_string"]
        request = Request(
            method=scope["method"],
            url=hook.signed_url(query),
            headers=scope["headers"],
            body=b"",
            query=query.decode("latin-1"),
        )
        if early := _before_body(hook, request):
            return early
        try:
            request.body = await read_body(
                receive,
                declared=request.fields.get(b"content-length"),
                max_bytes=hook.route.max_body_bytes,
                deadline_s=self._read_deadline_s,
                room=self._room,
            )
        except (TooLargeError, TimeoutError, DisconnectedError, NoRoomError) as error:
            return _UNREAD[type(error)]
        try:
            now = time.time()
            judged = self._judge_at_once(hook, request, now) or await self._judge_patiently(hook, request, now)
            if isinstance(judged, Unavailable):
                return answer.unavailable(judged)
            if isinstance(judged, Rejected):
                return answer.unauthenticated(judged.reason)
            result = self._without_queue(hook.route, judged, span) or await self._admit(hook.route, judged, span)
        finally:
            self._room.held -= len(request.body)
        if hook.has_words and result.outcome in _SETTLED and (reply := choose_reply(hook.route.scheme, request)):
            return answer.worded(result, reply)
        return result

    def _judge_at_once(self, hook: Hook, request: Request, now: float) -> Genuine | Rejected | None:
        """Judge what takes no time to speak of, as nearly every request; None = it takes some."""
        if len(request.body) > _LARGE_BYTES:
            return None
        quick = Budget(_QUICK_US) if hook.looks_into_events else _NO_EXPRESSIONS
        judged = judge(hook, request, now, quick, ring=self._keyring.find)
        if quick.is_short or isinstance(judged, KeyName):
            return None
        return None if isinstance(judged, Genuine) and _visit(judged) else judged

    async def _judge_patiently(
        self, hook: Hook, request: Request, now: float
    ) -> Genuine | Rejected | Literal[Unavailable.KEY, Unavailable.CONFIRMATION]:
        """Judge in a thread, once the provider's key is there, and go where the provider wants to be confirmed."""
        scheme, ring = hook.route.scheme, self._keyring.find
        judged = await asyncio.to_thread(judge, hook, request, now, Budget(), ring=ring)
        if isinstance(judged, KeyName):
            await self._keyring.want(scheme, judged)
            judged = await asyncio.to_thread(judge, hook, request, now, Budget(), ring=ring)
        if isinstance(judged, KeyName):
            return Unavailable.KEY
        if isinstance(judged, Genuine) and (url := _visit(judged)):
            if not await self._keyring.visit(scheme, url):
                return Unavailable.CONFIRMATION
            _log.info("subscription_confirmed", route=hook.route.path)
        return judged

    def _without_queue(self, route: ReceiverRoute, judged: Genuine, span: Span) -> Answer | None:
        """Answer what is genuine and nothing to be queued; None when something is."""
        self._note_match(route, judged.key_index, time_ms=judged.received_ms)
        found = judged.found
        if isinstance(found, Handshake):
            return answer.set_up(found)
        if isinstance(found, Unparsable):
            return None
        spans.note_events(span, found.items, judged.kept)
        if judged.kept:
            return None
        status = route.scheme.success_status
        if route.suspend == "drop":
            self._settle(route, Receipt.SUSPENDED, len(found.items))
            return answer.unwanted(Receipt.SUSPENDED, status=status)
        self._settle_unwanted(route, judged)
        if not judged.filtered:
            why = OwnAction.HOP_LIMIT if judged.spent else OwnAction.ACTOR
            return answer.unwanted(Receipt.OWN_ACTION, status=status, reason=why)
        return answer.unwanted(Receipt.FILTERED, status=status, reason=judged.reason)

    async def _admit(self, route: ReceiverRoute, judged: Genuine, span: Span) -> Answer:
        sent = spans.start_send(self._tracer, span, count=len(judged.kept))
        traceparent = tracing.traceparent(sent)
        result = await self._admission.admit(route, judged.kept, traceparent=traceparent)
        if sent is not span:
            sent.end()
        if isinstance(result, Limited):
            return answer.rate_limited(result.wait_s)
        if isinstance(result, NotNow):
            return answer.unavailable(result.reason)
        if isinstance(judged.found, Unparsable):
            return answer.unparsable(result.fates[0].delivery, route.scheme.stop_headers)
        self._settle_unwanted(route, judged)
        items = self._items(route, judged, result.fates, traceparent)
        return answer.settled(items, status=route.scheme.success_status, reason=judged.reason)

    def _items(self, route: ReceiverRoute, judged: Genuine, fates: Sequence[Fate], traceparent: str) -> list[Item]:
        items: list[Item] = []
        for event, fate in zip(judged.kept, fates, strict=True):
            outcome = _outcome(event, fate)
            items.append(Item(outcome, fate.delivery))
            self._settle(route, outcome, 1)
            if outcome in _ACCEPTED:
                self._tally.add_accepted(
                    route.uid,
                    fate.delivery,
                    generation=route.generation,
                    time_ms=judged.received_ms,
                    trace_id=tracing.trace_id_of(traceparent),
                )
            elif outcome is Receipt.UNDECIDED:
                self._leave_out(route, LeftOut.UNDECIDED, (event.delivery.event,))
        return items

    def _settle_unwanted(self, route: ReceiverRoute, judged: Genuine) -> None:
        if judged.filtered:
            self._settle(route, Receipt.FILTERED, len(judged.filtered))
            self._leave_out(route, LeftOut.FILTERED, judged.filtered)
        if own := judged.own + judged.spent:
            self._settle(route, Receipt.OWN_ACTION, own)
            self._leave_out(route, LeftOut.OWN_ACTION, [""] * own)
        if judged.spent:
            _log.warning("hop_limit", route=route.path, max_hops=route.max_hops, events=judged.spent)

    def _settle(self, route: ReceiverRoute, outcome: Receipt, count: int) -> None:
        """Count events that have met their end here, or begun their way to it."""
        metrics.DELIVERIES.counts[route.path, outcome] += count
        self._tally.add_receipt(route.uid, outcome, count=count)

    def _leave_out(self, route: ReceiverRoute, cause: LeftOut, types: Sequence[str]) -> None:
        self._tally.add_left(route.uid, cause, types, generation=route.generation)

    def _note_match(self, route: ReceiverRoute, index: int, *, time_ms: int) -> None:
        metrics.SECRET_MATCHES.counts[route.path, str(index)] += 1
        if index < len(route.secret_names):  # there is none where a provider has no secret
            self._tally.add_match(route.uid, route.secret_names[index], time_ms=time_ms)


def _before_body(hook: Hook, request: Request) -> Answer | None:
    """Answer what needs no body; None = it is to be read."""
    if hook.sets_up_early:
        found = preflight(hook.route.scheme, request, hook.keys, token=hook.verify_token)
        if found is not None:
            return answer.set_up(found)
    if request.method != "POST":
        return answer.method_not_allowed()
    if refused := hook.unsupported(request):
        return answer.unsupported_media_type(refused)
    return None


def _visit(judged: Genuine) -> str:
    """Tell where the provider wants to be confirmed that the webhook is ours; empty = nowhere."""
    return judged.found.visit if isinstance(judged.found, Handshake) else ""


_OUTCOMES: Final[dict[type[Fate], Receipt]] = {
    Again: Receipt.REDELIVERED,
    Joined: Receipt.DEBOUNCED,
    Repeat: Receipt.DUPLICATE,
}


def _outcome(event: Candidate, fate: Fate) -> Receipt:
    if isinstance(fate, New):
        return Receipt.UNDECIDED if event.dead else Receipt.QUEUED
    return _OUTCOMES[type(fate)]
