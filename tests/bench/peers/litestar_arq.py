"""The careful stack, receiving end: Litestar's `@post`, a signature check, `SET NX` and arq's `enqueue_job`.

All of it asynchronous; one connection pool per process, no middleware, no OpenAPI.
"""

import hashlib
import hmac
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq.connections import ArqRedis, RedisSettings, create_pool
from litestar import Litestar, Request, post
from litestar.datastructures import State
from litestar.exceptions import NotAuthorizedException

from bench.deliveries import PATH, SECRET

_DEDUP_S = 86_400


@post(PATH, status_code=200)
async def receive(request: Request[Any, Any, State], state: State) -> dict[str, str]:
    body = await request.body()
    expected = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(request.headers.get("x-hub-signature-256", ""), expected):
        raise NotAuthorizedException
    redis: ArqRedis = state.redis
    if not await redis.set(f"seen:{request.headers['x-github-delivery']}", 1, nx=True, ex=_DEDUP_S):
        return {"status": "duplicate"}
    await redis.enqueue_job("answer", request.headers["x-github-event"], body.decode())
    return {"status": "queued"}


@asynccontextmanager
async def _connected(application: Litestar) -> AsyncIterator[None]:
    application.state.redis = await create_pool(RedisSettings.from_dsn(os.environ["REDIS_URL"]))
    yield
    await application.state.redis.aclose()


app = Litestar([receive], lifespan=[_connected], openapi_config=None)
