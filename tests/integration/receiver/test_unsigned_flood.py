"""Whoever cannot sign costs next to nothing: no admission in Redis, no token of the route, no line in the log."""

import asyncio
from typing import Any

from eventroute import keys
from eventroute.route_table import RateLimit
from support.raw_http import TARGET, connected, exchange, read_answer, whole
from support.receiver_process import OnTheWire
from support.receiving import opened
from support.sample_routes import receiver_route

REQUESTS = 2000
CONNECTIONS = 20


async def flood(wire: OnTheWire, request: bytes) -> set[int]:
    """Send it two thousand times over a few connections; returns the statuses heard."""

    async def over_one_connection() -> set[int]:
        async with connected(wire.port) as (reader, writer):
            statuses = set()
            for _ in range(REQUESTS // CONNECTIONS):
                writer.write(request)
                statuses.add((await read_answer(reader)).status)
        return statuses

    return set[int]().union(*await asyncio.gather(*(over_one_connection() for _ in range(CONNECTIONS))))


async def admissions(wire: OnTheWire) -> int:
    """Count scripts called by their digest; the figures for the routes' status, written every 5 s, are not."""
    stats: dict[str, Any] = await wire.redis.info("commandstats")
    calls: int = stats.get("cmdstat_evalsha", {}).get("calls", 0)
    return calls


async def stored(wire: OnTheWire) -> set[str]:
    """List the keys, but for those figures: one key for the route, however large the flood."""
    return {key.decode() for key in await wire.redis.keys("*")} - {keys.stats(receiver_route().uid)}


async def test_a_forged_flood_touches_neither_redis_nor_the_routes_tokens_nor_the_log(wire: OnTheWire) -> None:
    await wire.serve(receiver_route(rate_limit=RateLimit(per_second=0.01, burst=1)))
    kept, admitted, logged = await stored(wire), await admissions(wire), len(wire.receiver.log_lines())
    before = await wire.receipts()
    assert await flood(wire, whole(opened(secret="forged-by-somebody-else"))) == {401}
    assert await wire.receipts() - before == {("team-a/triage", "unauthenticated", "mismatch"): REQUESTS}
    assert len(wire.receiver.log_lines()) - logged <= 2
    assert await admissions(wire) == admitted
    assert await stored(wire) == kept
    assert (await exchange(wire.port, whole(opened()))).status == 200
    assert await admissions(wire) == admitted + 1


async def test_a_flood_of_unknown_paths_fills_neither_the_log_nor_the_metrics(wire: OnTheWire) -> None:
    await wire.serve(receiver_route())
    logged, before = len(wire.receiver.log_lines()), await wire.receipts()
    for number in range(100):
        await exchange(wire.port, whole(opened(), target=f"{TARGET}-{number}"))
    assert await wire.receipts() - before == {("", "unknown_route", ""): 100}
    assert len(wire.receiver.log_lines()) == logged


async def test_a_flood_of_what_is_not_even_http_does_not_fill_the_log(wire: OnTheWire) -> None:
    await wire.serve(receiver_route())
    logged, before = len(wire.receiver.log_lines()), await wire.receipts()
    for _ in range(100):
        await exchange(wire.port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert await wire.receipts() - before == {("", "unsupported", "malformed"): 100}
    assert len(wire.receiver.log_lines()) == logged
