"""Claude's simulator: one for the tests of a module, without faults and calls at the beginning of each."""

from collections.abc import Iterator

import pytest

from eventroute_cli.simulator.server import Served, serving


@pytest.fixture(scope="module")
def _served() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def simulator(_served: Served) -> Served:
    _served.simulator.faults.clear()
    _served.simulator.journal.clear()
    return _served
