"""The limit with Redis and a trace: the bare application, with EventRoute's admission script, link and spans.

As durable and as traced as EventRoute, and of no use: it knows one secret, reads nothing of an event but its id, and
filters, counts and limits nothing. What EventRoute takes above it is what those things cost.
"""

import asyncio
import hashlib
import hmac
import os
from typing import Any

from bench.deliveries import SECRET
from bench.peers.eventroute import GROUP, ROUTE
from eventroute.queue.scripts import ADMIT
from eventroute.runtime import tracing
from eventroute.runtime.link import LinkCaller, RedisLink
from eventroute.runtime.scripts import Argument
from eventroute_receiver import spans

_CLAIMED_MS = 4 * 86_400_000
_DEPTH = 1_000_000
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"19")]
_ACCEPTED = b'{"status":"queued"}'
tracing.setup("bare")
_tracer = tracing.tracer()
_link = RedisLink(os.environ["REDIS_URL"])
_call = LinkCaller(_link)
_background: set[asyncio.Task[None]] = set()


def arguments(number: bytes, body: bytes, traceparent: str) -> list[Argument]:
    """What the admission script takes; `Admissions` puts it together from what it knows of routes and events."""
    limits: list[Argument] = [ROUTE, _DEPTH, 0, 0, 0, traceparent, 0, 0]
    return [*limits, number, body, "", "", "", "", 1, number, _CLAIMED_MS]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        _background.add(asyncio.create_task(_link.run()))
        await receive()
        await send({"type": "lifespan.startup.complete"})
        return
    span = spans.start_receipt(_tracer, scope["headers"])
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = dict(scope["headers"])
    expected = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(headers.get(b"x-hub-signature-256", b""), expected.encode()):
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        return
    number = headers[b"x-github-delivery"]
    sent = spans.start_send(_tracer, span, count=1)
    await _call(ADMIT, GROUP.prefix, arguments(number, body, tracing.traceparent(sent)))
    if sent is not span:
        sent.end()
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _ACCEPTED})
    span.end()
