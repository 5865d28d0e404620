"""The limit with Redis and a trace: the bare application, with EventRoute's admission script, link and spans.

As durable and as traced as EventRoute, and of no use: it knows one secret, reads nothing of an event but its id, and
filters, counts and limits nothing. What EventRoute takes above it is what those things cost.
"""

import asyncio
import hashlib
import hmac
import os
from typing import Any

from eventroute_receiver.link import RedisLink
from eventroute_receiver.script import Script

from bench.deliveries import SECRET
from eventroute import keys
from eventroute.ids import ClaimId, DeliveryId, RouteUid
from eventroute.runtime import tracing
from eventroute_receiver import spans

_DEDUP_MS = 86_400_000
_DEPTH = 1_000_000
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"19")]
_ACCEPTED = b'{"status":"queued"}'
_ADMIT = Script("admit")
tracing.setup("bare")
_tracer = tracing.tracer()
_link = RedisLink(os.environ["REDIS_URL"])
_background: set[asyncio.Task[None]] = set()


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
    number = headers[b"x-github-delivery"].decode()
    delivery, claim = DeliveryId(number), ClaimId(number)
    names = [
        keys.QUEUE,
        keys.WAKE,
        keys.bucket(RouteUid("bench")),
        keys.delivery(delivery),
        keys.job(delivery),
        keys.claim(claim),
    ]
    sent = spans.start_send(_tracer, span, count=1)
    job = tracing.traceparent(sent)
    await _ADMIT.call(_link, names, [_DEPTH, 0, 0, keys.WAKE_TOKENS, delivery, body, job, 1, _DEDUP_MS])
    if sent is not span:
        sent.end()
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _ACCEPTED})
    span.end()
