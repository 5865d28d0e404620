"""The tutorials' stack, receiving end: FastAPI, a signature check, `SET NX` and RQ's `enqueue`, all synchronous.

The handler is a plain `def`, which FastAPI runs in its thread pool because the Redis calls block; the body comes by an
async dependency, the only way in which a `def` handler gets raw bytes. As `async def`, blocking the loop, the same
handler is equally fast (measured, within the spread).
"""

import hashlib
import hmac
import os
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from redis import Redis
from rq import Queue

from bench.deliveries import PATH, SECRET

_DEDUP_S = 86_400

app = FastAPI()
redis = Redis.from_url(os.environ["REDIS_URL"])
queue = Queue(connection=redis)


async def raw_body(request: Request) -> bytes:
    return await request.body()


@app.post(PATH)
def receive(
    body: Annotated[bytes, Depends(raw_body)],
    x_github_delivery: Annotated[str, Header()],
    x_github_event: Annotated[str, Header()],
    x_hub_signature_256: Annotated[str, Header()],
) -> dict[str, str]:
    expected = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(x_hub_signature_256, expected):
        raise HTTPException(status_code=401)
    if not redis.set(f"seen:{x_github_delivery}", 1, nx=True, ex=_DEDUP_S):
        return {"status": "duplicate"}
    queue.enqueue("bench.peers.rq_jobs.answer", x_github_event, body.decode())
    return {"status": "queued"}
