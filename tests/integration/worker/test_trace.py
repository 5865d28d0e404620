"""The worker's part of the one trace: a span per attempt, Claude and sinks below it, and nothing of the content."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.models import Models
from eventroute.prompt import Prompt
from eventroute.route_table import ModelCall
from eventroute.runtime import tracing
from eventroute.secret import Secret
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.server import serving
from eventroute_worker.answer import Passing
from eventroute_worker.attempt import Attempt
from eventroute_worker.claude import Claude
from eventroute_worker.pricing import Prices
from support.queue import GROUP, admit, admit_job, lease, lease_again
from support.runs import FakeClaude, build_runner, results, sample_delivery
from support.worker import Recorder, running, until_empty

pytestmark = pytest.mark.real

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
RECEIPT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", lambda: provider.get_tracer("test"))
    return exporter


def _named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def _values(spans: Sequence[ReadableSpan]) -> str:
    return " ".join(span.to_json() for span in spans)


async def test_each_attempt_is_a_child_of_the_receipt_and_linked_to_the_one_before(
    redis: Redis, exporter: InMemorySpanExporter
) -> None:
    runner = build_runner(redis, claude=FakeClaude(*[Passing(detail="529", after_s=0)] * 2))
    await admit(redis, sample_delivery(), traceparent=RECEIPT)
    await runner(Attempt(await lease(redis)))
    for _ in range(2):
        await runner(Attempt(await lease_again(redis, DeliveryId("d-1"))))
    attempts = _named(exporter, "process eventroute")
    assert [span.kind for span in attempts] == [SpanKind.CONSUMER] * 3
    assert [(span.attributes or {})["eventroute.attempt"] for span in attempts] == [1, 2, 3]
    for span in attempts:
        assert span.parent is not None
        assert f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}" == RECEIPT[3:52]
    linked = [[link.context.span_id for link in span.links] for span in attempts]
    ids = [span.context.span_id for span in attempts if span.context]
    assert linked == [[], [ids[0]], [ids[1]]]


async def test_the_sink_is_below_the_attempt_and_its_entry_holds_the_trace_id(
    redis: Redis, exporter: InMemorySpanExporter
) -> None:
    await admit(redis, sample_delivery(), traceparent=RECEIPT)
    await build_runner(redis)(Attempt(await lease(redis)))
    [attempt], [sink] = _named(exporter, "process eventroute"), _named(exporter, "sink stream")
    assert sink.parent is not None
    assert attempt.context is not None
    assert sink.parent.span_id == attempt.context.span_id
    assert sink.kind is SpanKind.CLIENT
    assert (await results(redis))[0]["trace_id"] == TRACE_ID


async def test_an_attempt_says_how_it_ended(redis: Redis, exporter: InMemorySpanExporter) -> None:
    await admit(redis, sample_delivery())
    await build_runner(redis)(Attempt(await lease(redis)))
    bad = await admit(redis, sample_delivery("d-2"))
    await redis.hset(GROUP.delivery(bad), "body", "{}")
    await build_runner(redis)(Attempt(await lease(redis)))
    good, dead = (dict(span.attributes or {}) for span in _named(exporter, "process eventroute"))
    assert good["eventroute.outcome"] == "succeeded"
    assert (dead["eventroute.outcome"], dead["eventroute.reason"]) == ("dead", "decode")


async def test_a_call_to_claude_carries_its_span_into_the_request(exporter: InMemorySpanExporter) -> None:
    call = ModelCall(name="claude-haiku-5-5", max_tokens=64, timeout_s=5, thinking="disabled")
    with serving() as served:
        served.simulator.faults.add([Fault(kind=FaultKind.OK), Fault(kind=FaultKind.OVERLOADED)])
        async with Claude(
            api_key=Secret(DEFAULT_KEY.encode()),
            base_url=served.url,
            propagate_trace=True,
            prices=Prices(Models.load()),
        ) as claude:
            for _ in range(2):
                await claude.ask(call, Prompt("system words", "user words", ()), api_key=None)
        asked = [entry.headers["traceparent"][3:52] for entry in served.simulator.journal.entries()]
    answered, failed = spans = _named(exporter, "chat claude-haiku-5-5")
    contexts = [span.context for span in spans if span.context]
    assert asked == [f"{context.trace_id:032x}-{context.span_id:016x}" for context in contexts]
    attributes = dict(answered.attributes or {})
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.provider.name"] == "anthropic"
    assert attributes["gen_ai.response.finish_reasons"] == ("end_turn",)
    assert isinstance(attributes["gen_ai.usage.input_tokens"], int)
    assert failed.status.status_code is StatusCode.ERROR
    assert dict(failed.attributes or {})["error.type"] == "passing"
    assert "words" not in _values(spans)
    assert DEFAULT_KEY not in _values(spans)


async def test_no_payload_prompt_or_answer_is_in_any_span(redis: Redis, exporter: InMemorySpanExporter) -> None:
    await admit(redis, sample_delivery(payload=b'{"title":"hush-payload"}'))
    stream = GROUP.stream("team-a", "results")
    await redis.set(stream, "hush-stream")
    await build_runner(redis)(Attempt(await lease(redis)))
    await redis.delete(stream)
    await build_runner(redis)(Attempt(await lease_again(redis, DeliveryId("d-1"))))
    spans = exporter.get_finished_spans()
    assert len(spans) == 4
    for text in ("hush", "Answer 1.", "Summarize."):
        assert text not in _values(spans)


async def test_an_error_that_quotes_the_payload_leaves_only_its_type_in_the_span(
    redis: Redis, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise ValueError("hush")

    runner = build_runner(redis)
    monkeypatch.setattr(runner._sinks._stream, "send", fails)
    await admit(redis, sample_delivery())
    with pytest.raises(ValueError, match="hush"):
        await runner(Attempt(await lease(redis)))
    spans = exporter.get_finished_spans()
    assert [(span.attributes or {})["error.type"] for span in spans] == ["ValueError"] * 2
    assert "hush" not in _values(spans)


async def test_an_idle_worker_makes_no_span(redis: Redis, exporter: InMemorySpanExporter) -> None:
    async with running(redis, Recorder()):
        await admit_job(redis, "d-1", traceparent=RECEIPT)
        await until_empty(redis)
    assert exporter.get_finished_spans() == ()
