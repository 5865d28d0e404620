"""A Redis that has no memory left, or no replica to write to: whatever would take some, or write, is refused."""

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


@asynccontextmanager
async def no_replicas(redis: Redis) -> AsyncIterator[None]:
    """Let it answer whoever reads, and refuse all writes, while the block runs."""
    await redis.config_set("min-replicas-to-write", 1)
    try:
        yield
    finally:
        await redis.config_set("min-replicas-to-write", 0)
