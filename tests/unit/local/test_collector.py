"""The collector takes spans as the SDK's exporter sends them, and refuses everything else."""

import gzip
from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from eventroute_cli.local import collector as module
from eventroute_cli.local.collector import Collector

TRACE = bytes(range(16))


def attribute(name: str, value: AnyValue) -> KeyValue:
    return KeyValue(key=name, value=value)


def span(number: int, *, start_ns: int = 0, failed: bool = False) -> Span:
    return Span(
        trace_id=TRACE,
        span_id=number.to_bytes(8, "big"),
        parent_span_id=(number - 1).to_bytes(8, "big") if number > 1 else b"",
        name=f"span {number}",
        kind=Span.SPAN_KIND_CONSUMER,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + 1_500_000,
        attributes=[
            attribute("text", AnyValue(string_value="word")),
            attribute("number", AnyValue(int_value=7)),
            attribute("list", AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="one")]))),
            attribute("nothing", AnyValue()),
        ],
        links=[Span.Link(trace_id=TRACE, span_id=(99).to_bytes(8, "big"))],
        status=Status(code=Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET),
    )


def export(*spans: Span, service: str = "eventroute-worker") -> bytes:
    resource = Resource(attributes=[attribute("service.name", AnyValue(string_value=service))])
    scopes = [ScopeSpans(spans=spans)]
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=resource, scope_spans=scopes)])
    body: bytes = request.SerializeToString()
    return body


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def send(collector: Collector, body: bytes, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{collector.endpoint}/v1/traces", content=body, headers=named).status_code


def test_a_span_arrives_with_all_that_is_shown_of_it(collector: Collector) -> None:
    assert send(collector, export(span(2, start_ns=5, failed=True))) == 200
    (found,) = collector.spans()
    assert (found.service, found.name, found.kind) == ("eventroute-worker", "span 2", "CONSUMER")
    assert found.trace_id == TRACE.hex()
    assert (found.span_id, found.parent_id) == (f"{2:016x}", f"{1:016x}")
    assert (found.start_ns, found.duration_ms, found.failed) == (5, 1.5, True)
    assert found.attributes == {"text": "word", "number": 7, "list": ["one"], "nothing": None}
    assert found.links == (f"{99:016x}",)


def test_a_compressed_export_is_read(collector: Collector) -> None:
    assert send(collector, gzip.compress(export(span(1))), content_encoding="gzip") == 200
    assert [found.failed for found in collector.spans()] == [False]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xff\xff\xff", {}),
        (b"no gzip", {"content_encoding": "gzip"}),
        (gzip.compress(b"x" * 100)[:-9], {"content_encoding": "gzip"}),
    ],
    ids=["no protobuf", "no gzip", "half of a gzip"],
)
def test_what_is_no_export_is_refused_in_silence_and_the_next_one_is_taken(
    collector: Collector, capfd: pytest.CaptureFixture[str], body: bytes, headers: dict[str, str]
) -> None:
    assert send(collector, body, **headers) == 400
    assert send(collector, export(span(1))) == 200
    assert len(collector.spans()) == 1
    assert capfd.readouterr() == ("", "")


def test_spans_of_a_trace_come_by_time(collector: Collector) -> None:
    collector.take(export(span(2, start_ns=20), span(1, start_ns=10)))
    assert [found.name for found in collector.spans(TRACE.hex())] == ["span 1", "span 2"]
    assert collector.spans("0" * 32) == []


def test_each_span_is_told_once_in_order_of_arrival(collector: Collector) -> None:
    collector.take(export(span(2)))
    first, position = collector.since(0)
    collector.take(export(span(1)))
    second, position = collector.since(position)
    assert [found.name for found in [*first, *second]] == ["span 2", "span 1"]
    assert collector.since(position) == ([], position)


def test_the_oldest_are_forgotten_beyond_the_bound_and_positions_stay_true(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_SPANS", 3)
    collector.take(export(span(1), span(2)))
    _, position = collector.since(0)
    collector.take(export(span(3), span(4), span(5)))
    new, position = collector.since(position)
    assert [found.name for found in new] == ["span 3", "span 4", "span 5"]
    assert len(collector.spans()) == 3
    assert collector.since(position)[0] == []
