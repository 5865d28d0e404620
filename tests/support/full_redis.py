"""A Redis that has no memory left: whatever would take some is refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis


@asynccontextmanager
async def no_memory(redis: Redis) -> AsyncIterator[None]:
    """Leave it none while the block runs."""
    await redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        await redis.config_set("maxmemory", 0)
