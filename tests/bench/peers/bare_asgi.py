"""The limit: an ASGI application that checks GitHub's signature and answers, without a framework and without Redis."""

import hashlib
import hmac
from typing import Any

from bench.deliveries import SECRET

_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"19")]
_ACCEPTED = b'{"status":"queued"}'


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    signature = dict(scope["headers"]).get(b"x-hub-signature-256", b"")
    expected = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    if hmac.compare_digest(signature, expected.encode()):
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _ACCEPTED})
    else:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
