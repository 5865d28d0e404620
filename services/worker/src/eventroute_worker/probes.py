"""The probe port: is the loop alive, can deliveries be worked on, and the metrics. Nothing here is for the internet."""

import time
from collections.abc import Callable
from typing import Final

from aiohttp import web
from redis.asyncio import Redis

from eventroute.runtime import metrics
from eventroute.runtime.redis import CONNECTION_ERRORS

HUNG_S: Final = 30.0
"""The queue is looked at every second, and every few seconds while Redis is away: ten times that is a hung loop."""


def build_probes(redis: Redis, *, last_turn: Callable[[], float], is_warm: Callable[[], bool]) -> web.Application:
    """Build the application.

    last_turn  when the worker last looked at the queue, on the monotonic clock
    is_warm    the route table has been read
    """

    async def livez(_: web.Request) -> web.Response:
        idle_s = time.monotonic() - last_turn()
        status = 200 if idle_s < HUNG_S else 503
        return web.json_response({"seconds_since_last_look": round(idle_s, 1)}, status=status)

    async def readyz(_: web.Request) -> web.Response:
        state = {"table": is_warm(), "redis": await _answers(redis)}
        return web.json_response(state, status=200 if all(state.values()) else 503)

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=await metrics.exposition(), headers={"content-type": metrics.CONTENT_TYPE})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", exposition)])
    return app


async def _answers(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except CONNECTION_ERRORS:
        return False
