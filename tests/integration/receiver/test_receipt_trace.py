"""The receiver's part of a trace: whole where it is recorded, nothing but its ids where it is not."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from eventroute.runtime.tracing import ForeseenIds, parse_traceparent
from support.queue import GROUP
from support.receiving import Receiving, opened, signed
from support.sample_routes import receiver_route

pytestmark = pytest.mark.real

ENOUGH = 64
"""Requests of which one at least is recorded, where every second one is."""


@pytest.fixture
def exporter(receiver: Receiving) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBasedTraceIdRatio(0.5), id_generator=ForeseenIds())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    receiver.receiver.hooks.webhooks._tracer = provider.get_tracer("test")
    return exporter


def _named(exporter: InMemorySpanExporter, name: str) -> dict[int, ReadableSpan]:
    return {span.context.trace_id: span for span in exporter.get_finished_spans() if span.name == name and span.context}


async def test_a_recorded_receipt_has_both_spans_and_another_has_none(
    receiver: Receiving, exporter: InMemorySpanExporter
) -> None:
    await receiver.serve(receiver_route())
    for number in range(30):
        assert (await receiver.post(opened(number))).status_code == 200
    receipts, sends = _named(exporter, "POST /hooks/{namespace}/{name}"), _named(exporter, "send eventroute")
    travelled: set[int] = set()
    for name in await receiver.queued():
        context = parse_traceparent((await receiver.redis.hget(GROUP.delivery(name), "trace")).decode())
        assert context is not None
        if context.trace_flags.sampled:
            sent = sends[context.trace_id]
            assert sent.context is not None
            assert sent.context.span_id == context.span_id
            assert sent.parent is not None
            assert sent.parent == receipts[context.trace_id].context
            travelled.add(context.trace_id)
    assert set(receipts) == set(sends) == travelled
    assert 0 < len(travelled) < 30


async def test_a_recorded_receipt_says_what_it_was_about_and_how_it_ended(
    receiver: Receiving, exporter: InMemorySpanExporter
) -> None:
    await receiver.serve(receiver_route())
    receipts: dict[int, ReadableSpan] = {}
    for _ in range(ENOUGH):
        await receiver.post(opened(1))
        if receipts := _named(exporter, "POST /hooks/{namespace}/{name}"):
            break
    (receipt,) = receipts.values()
    assert receipt.attributes is not None
    assert {name: value for name, value in receipt.attributes.items() if name != "eventroute.outcome"} == {
        "http.request.method": "POST",
        "http.route": "/hooks/{namespace}/{name}",
        "http.response.status_code": 200,
        "url.path": "/hooks/team-a/triage",
        "eventroute.route": "team-a/triage",
        "eventroute.provider": "github",
        "eventroute.event": "pull_request.opened",
        "eventroute.event.id": "gh-1",
        "eventroute.event.count": 1,
    }
    assert receipt.attributes["eventroute.outcome"] in ("queued", "duplicate")


async def test_only_a_batch_says_how_many_messages_were_sent(
    receiver: Receiving, exporter: InMemorySpanExporter
) -> None:
    await receiver.serve(receiver_route("alertmanager", public_url=None), receiver_route(name="single"))
    alerts = [{"status": "firing", "labels": {"n": str(number)}, "fingerprint": str(number)} for number in range(3)]
    counts: set[Any] = set()
    for _ in range(ENOUGH):
        assert (await receiver.post(signed("alertmanager", {"alerts": alerts, "n": len(counts)}))).status_code == 200
        assert (await receiver.post(opened(1), name="single")).status_code == 200
        counts = {
            span.attributes.get("messaging.batch.message_count")
            for span in _named(exporter, "send eventroute").values()
            if span.attributes is not None
        }
        if len(counts) > 1:
            break
    assert counts == {3, None}
