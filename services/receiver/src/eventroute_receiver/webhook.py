"""The way of a webhook, from its head to the answer, in the order that keeps it safe.

Route → method and media type → body under its cap → signature over the raw bytes → reading → handshake or suspension
→ filter → admission. Nothing is parsed before it is verified (but for what a scheme signs inside the body), and success
is answered only after Redis took everything in one step. Exactly one `Answer` comes out, whatever happens.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from opentelemetry.trace import Span, Tracer

from eventroute.ids import RoutePath
from eventroute.outcome import Receipt, Unavailable
from eventroute.queue import Admitted, Again, Candidate, Fate, Limited, New, Repeat
from eventroute.route_table import ReceiverRoute
from eventroute.runtime import tracing
from eventroute.runtime.stats import Tally
from eventroute.runtime.tables import RouteTable
from eventroute.schemes import (
    Event,
    Events,
    Handshake,
    Rejected,
    Request,
    Unparsable,
    Verified,
    preflight,
    read,
    verify,
)
from eventroute_receiver import answer, metrics, spans
from eventroute_receiver.admit import Admission, NotNow
from eventroute_receiver.answer import Answer, Item
from eventroute_receiver.body import DisconnectedError, TooLargeError, discard_rest, read_body
from eventroute_receiver.intake import Intake
from eventroute_receiver.routes import Hook

PREFIX: Final = b"/hooks/"

_LARGE_BYTES: Final = 262_144
"""A body above it takes milliseconds to hash and to parse, in which nobody else would be served. Arbitrary."""

_ACCEPTED: Final = frozenset({Receipt.QUEUED, Receipt.REDELIVERED})
_SETTLED: Final = _ACCEPTED | {Receipt.DUPLICATE, Receipt.FILTERED, Receipt.UNDECIDED, Receipt.SUSPENDED}
"""What becomes of an event, of which a request may hold many; everything else becomes of a request."""

_log = structlog.get_logger()


class Webhooks:
    """The handler of the hooks' port; every path but `/hooks/<namespace>/<name>` is an unknown route."""

    def __init__(
        self, table: RouteTable[Hook], admission: Admission, tally: Tally, *, tracer: Tracer, read_deadline_s: float
    ) -> None:
        """Take the routes, the way into Redis, what counts for the routes' status, and how long a body may take."""
        self._table = table
        self._admission = admission
        self._tally = tally
        self._tracer = tracer
        self._read_deadline_s = read_deadline_s

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        """Answer one request, count it, and end its span."""
        started = time.perf_counter()
        # As it came: `%2F`, `//` and a trailing slash make another path, and so an unknown route.
        path = RoutePath(scope["raw_path"].removeprefix(PREFIX).decode("latin-1"))
        hook = self._table.get(path)
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
        spans.end_receipt(span, result, hook, method=scope["method"], path=scope["raw_path"].decode("latin-1"))
        metrics.RECEIPTS.add(hook.route.path if hook else "", result.outcome, result.reason)
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
        url = hook.signed_url(scope["query_string"])
        request = Request(method=scope["method"], url=url, headers=scope["headers"], body=b"")
        if request.method != "POST":
            found = preflight(hook.route.scheme, request, hook.keys, query=scope["query_string"].decode("latin-1"))
            return answer.handshake(found.status, found.headers, found.body) if found else answer.method_not_allowed()
        if refused := hook.unsupported(request):
            return answer.unsupported_media_type(refused)
        try:
            request.body = await read_body(
                receive,
                declared=request.fields.get(b"content-length"),
                max_bytes=hook.route.max_body_bytes,
                deadline_s=self._read_deadline_s,
            )
        except TooLargeError:
            return answer.too_large()
        except TimeoutError:
            return answer.timed_out()
        except DisconnectedError:
            return answer.disconnected()
        return await self._judge(hook, request, span)

    async def _judge(self, hook: Hook, request: Request, span: Span) -> Answer:
        now = time.time()
        scheme = hook.route.scheme
        if len(request.body) > _LARGE_BYTES:
            judged = await asyncio.to_thread(_verify_and_read, hook, request, now)
        else:
            judged = _verify_and_read(hook, request, now)
        if isinstance(judged, Rejected):
            return answer.unauthenticated(judged.reason)
        verdict, found = judged
        received_ms = int(now * 1000)
        self._note_match(hook.route, verdict.key_index, time_ms=received_ms)
        intake = Intake(hook, request, received_ms=received_ms, key_index=verdict.key_index)
        if isinstance(found, Events):
            spans.note_events(span, found.items)
        match found:
            case Handshake() as wanted:
                return answer.handshake(wanted.status, wanted.headers, wanted.body)
            case Unparsable(reason):
                return await self._bury(hook, intake, reason, span)
            case Events(items) if hook.route.drops_events:
                self._settle(hook.route, Receipt.SUSPENDED, len(items))
                return answer.unwanted(Receipt.SUSPENDED, status=scheme.success_status)
            case Events(items):
                return await self._admit(hook, intake, items, span)

    async def _admit(self, hook: Hook, intake: Intake, events: Sequence[Event], span: Span) -> Answer:
        status = hook.route.scheme.success_status
        judged = intake.judge(events)
        if not judged.kept:
            self._settle(hook.route, Receipt.FILTERED, judged.filtered)
            return answer.unwanted(Receipt.FILTERED, status=status, reason=judged.reason)
        match await self._queue(hook, judged.kept, span):
            case Limited(wait_s):
                return answer.rate_limited(wait_s)
            case NotNow(reason):
                return answer.unavailable(reason)
            case Admitted(fates):
                if judged.filtered:
                    self._settle(hook.route, Receipt.FILTERED, judged.filtered)
                items = self._items(hook.route, judged.kept, fates, span)
                return answer.settled(items, status=status, reason=judged.reason)

    async def _queue(self, hook: Hook, candidates: Sequence[Candidate], span: Span) -> Admitted | Limited | NotNow:
        sent = spans.start_send(self._tracer, span, count=len(candidates))
        result = await self._admission.admit(hook.route, candidates, traceparent=tracing.traceparent(sent))
        if sent is not span:
            sent.end()
        return result

    def _items(self, route: ReceiverRoute, kept: Sequence[Candidate], fates: Sequence[Fate], span: Span) -> list[Item]:
        items: list[Item] = []
        for event, fate in zip(kept, fates, strict=True):
            outcome = _outcome(event, fate)
            items.append(Item(outcome, fate.delivery))
            self._settle(route, outcome, 1)
            if outcome in _ACCEPTED:
                self._tally.add_accepted(
                    route.uid, fate.delivery, time_ms=event.delivery.received_ms, trace_id=tracing.trace_id(span)
                )
        return items

    def _settle(self, route: ReceiverRoute, outcome: Receipt, count: int) -> None:
        """Count events that have met their end here, or begun their way to it."""
        metrics.DELIVERIES.add(route.path, outcome, count=count)
        self._tally.add_receipt(route.uid, outcome, count=count)

    def _note_match(self, route: ReceiverRoute, index: int, *, time_ms: int) -> None:
        metrics.SECRET_MATCHES.add(route.path, str(index))
        if index < len(route.secret_names):  # there is none where a provider has no secret
            self._tally.add_match(route.uid, route.secret_names[index], time_ms=time_ms)

    async def _bury(self, hook: Hook, intake: Intake, why: str, span: Span) -> Answer:
        letter = await asyncio.to_thread(intake.unreadable, why)  # hashes and quotes the body
        match await self._queue(hook, [letter], span):
            case Limited(wait_s):
                return answer.rate_limited(wait_s)
            case NotNow(reason):
                return answer.unavailable(reason)
            case Admitted((fate,)):
                return answer.unparsable(fate.delivery, hook.route.scheme.stop_headers)
            case _:
                raise AssertionError("one letter has one fate")


def _outcome(event: Candidate, fate: Fate) -> Receipt:
    match fate:
        case Repeat():
            return Receipt.DUPLICATE
        case Again():
            return Receipt.REDELIVERED
        case New():
            return Receipt.UNDECIDED if event.dead else Receipt.QUEUED


def _verify_and_read(
    hook: Hook, request: Request, now: float
) -> Rejected | tuple[Verified, Events | Handshake | Unparsable]:
    verdict = verify(hook.route.scheme, request, hook.keys, now)
    if isinstance(verdict, Rejected):
        return verdict
    return verdict, read(hook.route.scheme, request, decode=hook.filter is not None)
