"""Claude's simulator, one for a module, emptied for each test; Slack; a service; spans."""

from collections.abc import AsyncIterator, Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from eventroute.runtime import tracing
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
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", lambda: provider.get_tracer("test"))
    return exporter


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with serving_slack() as found:
        yield found


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving_messages() as found:
        yield found
