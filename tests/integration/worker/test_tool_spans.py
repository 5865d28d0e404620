"""What people see of calls of tools: spans in the delivery's one trace, figures, and nothing of what was said."""

from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from redis.asyncio import Redis

from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.server import Served
from eventroute_worker import metrics
from support.acting_worker import acting_routes
from support.approving import Approving, approving
from support.queue import admit
from support.runs import build_runner, sample_delivery
from support.waiting import until
from support.worker import running, until_empty

pytestmark = pytest.mark.real

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
RECEIPT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@pytest.fixture
async def scene(redis: Redis, simulator: Served) -> AsyncIterator[Approving]:
    async with approving(redis, simulator) as found:
        await admit(redis, sample_delivery(), traceparent=RECEIPT)
        yield found


def called(kind: str, outcome: str) -> float:
    (family,) = metrics.TOOL_CALLS.collect()
    labels = {"kind": kind, "outcome": outcome}
    return sum(s.value for s in family.samples if s.labels == labels and s.name.endswith("_total"))


def of_tools(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name.startswith("execute_tool")]


def about(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {})[name]


async def test_a_call_that_is_approved_is_one_trace_from_the_receipt_to_the_answer(
    redis: Redis, scene: Approving, exporter: InMemorySpanExporter
) -> None:
    scene.simulator.simulator.faults.add([Fault(kind=FaultKind.TOOL_USE, tool="refund", input={"id": "re_hush"})])
    before = called("http", "done")
    routes = acting_routes(scene.service.port, approval_s=60)
    runner = build_runner(redis, claude=scene.claude, routes=routes, way=scene.way)

    async def is_asked() -> bool:
        return bool(await scene.waiting())

    async with running(redis, runner):
        await until(is_asked)
        assert await scene.say() == "ok"
        await until_empty(redis)
    attempts = [span for span in exporter.get_finished_spans() if span.name == "process eventroute"]
    assert [about(span, "eventroute.outcome") for span in attempts] == ["unapproved", "succeeded"]
    asked, made = of_tools(exporter)
    assert [asked.name, made.name] == ["execute_tool refund"] * 2
    assert [about(span, "eventroute.outcome") for span in (asked, made)] == ["unapproved", "done"]
    assert about(asked, "gen_ai.tool.call.id") == about(made, "gen_ai.tool.call.id")
    assert [span.parent.span_id for span in (asked, made) if span.parent] == [
        span.context.span_id for span in attempts if span.context
    ]
    assert {f"{span.context.trace_id:032x}" for span in (*attempts, asked, made) if span.context} == {TRACE_ID}
    assert "re_hush" not in " ".join(span.to_json() for span in exporter.get_finished_spans())
    assert called("http", "done") == before + 1
    assert len(scene.service.journal) == 1


async def test_a_tool_that_there_is_not_is_told_of_without_the_name_that_a_stranger_may_have_chosen(
    redis: Redis, scene: Approving, exporter: InMemorySpanExporter
) -> None:
    scene.simulator.simulator.faults.add([Fault(kind=FaultKind.TOOL_USE, tool="drop_hush", input={})])
    before = called("none", "refused")
    runner = build_runner(redis, claude=scene.claude, routes=acting_routes(scene.service.port), way=scene.way)
    async with running(redis, runner):
        await until_empty(redis)
    [span] = of_tools(exporter)
    assert (span.name, about(span, "eventroute.outcome")) == ("execute_tool unknown", "refused")
    assert span.status.status_code is StatusCode.ERROR
    assert "drop_hush" not in span.to_json()
    assert called("none", "refused") == before + 1
