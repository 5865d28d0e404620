"""A receiver in the test's own loop, and one that is a process of its own and reached through sockets."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from eventroute.runtime.redis import connect
from eventroute.sealed import SealKey, new_key_text
from support.own_valkey import OwnValkey, own_valkey
from support.receiver_process import OnTheWire, ReceiverProcess, receiver_process
from support.receiving import Receiving, receiving
from support.valkey import valkey_server

Site = tuple[str, str, ReceiverProcess]
"""A Redis URL, a table key, and the receiver that uses both."""


@pytest.fixture
async def receiver(valkey_url: str, redis: Redis) -> AsyncIterator[Receiving]:
    async with receiving(valkey_url, redis, read_deadline_s=0.5) as running:
        yield running


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A receiver process that lives as long as the test run, with short deadlines."""
    folder, key = tmp_path_factory.mktemp("receiver"), new_key_text()
    with valkey_server(folder) as url, receiver_process(folder, url, key, read_deadline_s=0.5) as process:
        yield url, key, process


@pytest.fixture
async def wire(site: Site) -> AsyncIterator[OnTheWire]:
    url, key, process = site
    redis = connect(url)
    await redis.flushall()
    yield OnTheWire(process, redis, SealKey.from_text(key))
    await redis.aclose()


@pytest.fixture
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnValkey]:
    """A Valkey that the test may kill."""
    with own_valkey(tmp_path_factory.mktemp("own-valkey")) as valkey:
        yield valkey


@pytest.fixture
async def fragile_receiver(fragile: OwnValkey) -> AsyncIterator[Receiving]:
    """A receiver on a Valkey that the test may kill."""
    redis = connect(fragile.url)
    async with receiving(fragile.url, redis) as running:
        yield running
    await redis.aclose()
