"""The probe port: do watches and loop live, is everything known, and the metrics. Nothing here is for the internet."""

import time
from typing import Final

from aiohttp import web

from eventroute.runtime import metrics as exposed
from eventroute_operator import metrics
from eventroute_operator.cluster import Kind
from eventroute_operator.reconcile import Reconciler
from eventroute_operator.watches import Watches

HUNG_S: Final = 60.0
"""A turn of the loop takes seconds at worst, and comes every few seconds."""


def build_probes(reconciler: Reconciler, watches: Watches) -> web.Application:
    """Build the application."""

    async def livez(_: web.Request) -> web.Response:
        idle_s = time.monotonic() - reconciler.last_turn
        state = {"loop": idle_s < HUNG_S, "watches": watches.are_alive()}
        ages = {kind: round(watches.age(kind), 1) for kind in Kind}
        return web.json_response({**state, "watch_age_seconds": ages}, status=200 if all(state.values()) else 503)

    async def readyz(_: web.Request) -> web.Response:
        is_synced = reconciler.synced.is_set()
        return web.json_response({"synced": is_synced}, status=200 if is_synced else 503)

    async def exposition(_: web.Request) -> web.Response:
        for kind in Kind:
            metrics.WATCH_AGE.labels(kind).set(watches.age(kind))
        return web.Response(body=await exposed.exposition(), headers={"content-type": exposed.CONTENT_TYPE})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", exposition)])
    return app
