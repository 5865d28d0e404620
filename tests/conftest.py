"""Fixtures for every test; servers start only for tests that ask for them."""

import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from eventroute.runtime.redis import connect
from support.valkey import valkey_server


def pytest_configure() -> None:
    """Take down what was started however a run is asked to end, also under `nohup` or in a script's background."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for signum, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, usual)


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Valkey that lives as long as the test run."""
    with valkey_server(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    """Client of an empty Valkey."""
    client = connect(valkey_url)
    await client.flushall()
    yield client
    await client.aclose()
