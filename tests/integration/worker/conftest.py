"""Claude's simulator, one for a module, without faults and calls at the beginning of each test; Slack; a service."""

from collections.abc import AsyncIterator, Iterator

import pytest

from eventroute_cli.simulator.server import Served, serving
from support.service import Service, serving_messages
from support.slack import Slack, serving_slack


@pytest.fixture(scope="module")
def _served() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def simulator(_served: Served) -> Served:
    _served.simulator.faults.clear()
    _served.simulator.journal.clear()
    return _served


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with serving_slack() as found:
        yield found


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving_messages() as found:
        yield found
