"""A run's trace shows its Redis steps, by name and without values; an idle worker makes no spans."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio import Redis

from eventroute.models import Models
from eventroute.queue import Ledger, Upkeep, Work
from eventroute.queue.scripts import NAMES as QUEUE_NAMES
from eventroute.runtime import tracing
from eventroute.runtime.link import LinkedRedis, RedisLink
from eventroute.runtime.scripts import ClientCaller
from eventroute.runtime.stats import Tally
from eventroute.throttle import Throttle
from eventroute.throttle.scripts import NAMES as THROTTLE_NAMES
from eventroute_worker import redis_spans
from eventroute_worker.finding import Finder
from eventroute_worker.history import History
from eventroute_worker.pricing import Prices
from eventroute_worker.run import Runner
from eventroute_worker.sinks import LocalSinks
from eventroute_worker.spending import Spending
from eventroute_worker.tools import Calling
from eventroute_worker.troubles import Troubles
from eventroute_worker.turns import Turns
from support.queue import GROUP, admit
from support.runs import HISTORY, FakeClaude, FakeRoutes, Walled, sample_delivery, worker_route
from support.worker import running, until_empty

pytestmark = pytest.mark.real

RECEIPT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "a-title-that-no-span-may-hold"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", lambda: provider.get_tracer("test"))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


@contextlib.asynccontextmanager
async def _worker(redis: Redis, url: str) -> AsyncIterator[None]:
    """Run a worker that is put together as the program's is."""
    for source in (*QUEUE_NAMES, *THROTTLE_NAMES):
        if isinstance(source, bytes):  # or the first run shows that the server does not know them yet
            await redis.script_load(source)
    link = RedisLink(url)
    keeping = asyncio.create_task(link.run())
    assert await link.until_up(2)
    quiet, told = LinkedRedis(link), LinkedRedis(link)
    redis_spans.instrument(told)
    work = Work(ClientCaller(told), looking=ClientCaller(quiet))
    models = Models.load()
    routes = FakeRoutes(worker_route(entity="payload.number", history=HISTORY))
    runner = Runner(
        work=work,
        finder=Finder(routes, Upkeep(quiet, ClientCaller(quiet))),
        claude=FakeClaude(),
        calling=Calling(Walled()),
        history=History(told, work),
        sinks=LocalSinks(work),
        troubles=Troubles(),
        turns=Turns(work, Throttle(ClientCaller(told)), groups=[GROUP]),
        models=models,
        spending=Spending(Ledger(ClientCaller(told)), Prices(models)),
        tally=Tally(),
    )
    async with running(redis, runner, work=work):
        yield
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


def _below(exporter: InMemorySpanExporter, parent: str) -> list[ReadableSpan]:
    spans = exporter.get_finished_spans()
    (above,) = [span for span in spans if span.name == parent]
    return [span for span in spans if span.parent and span.parent.span_id == above.context.span_id]


async def test_the_steps_of_a_run_are_children_of_its_attempt(
    redis: Redis, valkey_url: str, exporter: InMemorySpanExporter
) -> None:
    async with _worker(redis, valkey_url):
        await admit(redis, sample_delivery(payload=b'{"number":7,"title":"%s"}' % SECRET.encode()), traceparent=RECEIPT)
        await until_empty(redis)
    told = [span.name for span in sorted(_below(exporter, "process eventroute"), key=lambda span: span.start_time or 0)]
    assert [name for name in told if name.startswith(("redis", "Z"))] == [
        "redis begin",
        "ZREVRANGEBYSCORE",
        "redis throttle_enter",
        "redis note",
        "redis save",
        "redis throttle_leave",
        "redis remember",
        "redis settle",
    ]
    assert [span.name for span in _below(exporter, "sink stream")] == ["redis stream"]
    everything = " ".join(span.to_json() for span in exporter.get_finished_spans())
    assert SECRET not in everything
    assert "d-1" not in " ".join(span.to_json() for span in _below(exporter, "process eventroute"))


async def test_an_idle_worker_makes_no_spans(redis: Redis, valkey_url: str, exporter: InMemorySpanExporter) -> None:
    async with _worker(redis, valkey_url):
        await asyncio.sleep(1.5)  # several looks at the queue
    assert exporter.get_finished_spans() == ()
