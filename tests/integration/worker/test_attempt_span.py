"""What an attempt's span says of it, for whoever looks for one among many."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from redis.asyncio import Redis

from eventroute.outcome import DeadReason
from eventroute.runtime import tracing
from eventroute_worker.answer import GivenUp, Passing, Reply, Standing
from eventroute_worker.attempt import Attempt
from support.queue import admit, lease
from support.runs import PATH, FakeClaude, answer, build_runner, sample_delivery

pytestmark = pytest.mark.real


@pytest.mark.parametrize(
    ("reply", "ends", "status"),
    [
        (answer(), {tracing.OUTCOME: "succeeded"}, StatusCode.UNSET),
        (
            GivenUp(reason=DeadReason.TOO_LARGE, detail="413"),
            {tracing.OUTCOME: "dead", tracing.REASON: "too_large", tracing.DETAIL: "413"},
            StatusCode.ERROR,
        ),
        (
            Standing(reason=DeadReason.BILLING, detail="402", whole_key=True),
            {tracing.OUTCOME: "parked", tracing.REASON: "billing", tracing.DETAIL: "402"},
            StatusCode.ERROR,
        ),
        (Passing(detail="529", after_s=1), {tracing.OUTCOME: "later", tracing.DETAIL: "529"}, StatusCode.UNSET),
    ],
)
async def test_it_names_delivery_route_event_and_end(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, reply: Reply, ends: dict[str, str], status: StatusCode
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", lambda: provider.get_tracer("test"))
    await admit(redis, sample_delivery("d-7"))
    await build_runner(redis, claude=FakeClaude(reply))(Attempt(await lease(redis)))
    (span,) = (each for each in exporter.get_finished_spans() if each.name == "process eventroute")
    wanted = {
        tracing.MESSAGING_MESSAGE_ID: "d-7",
        tracing.ROUTE: PATH,
        tracing.PROVIDER: "github",
        tracing.EVENT: "pull_request.opened",
        tracing.ATTEMPT: 1,
        **ends,
    }
    assert {name: value for name, value in (span.attributes or {}).items() if name in wanted} == wanted
    assert span.status.status_code is status
