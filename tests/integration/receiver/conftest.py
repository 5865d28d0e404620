"""A receiver in this loop, on the run's Valkey."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from support.receiving import Receiving, receiving


@pytest.fixture
async def receiver(valkey_url: str, redis: Redis) -> AsyncIterator[Receiving]:
    async with receiving(valkey_url, redis, read_deadline_s=0.5) as running:
        yield running
