"""A collector for the spans of local programs: OTLP over HTTP in, plain values out, all in memory."""

import gzip
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_MAX_SPANS: Final = 100_000  # a bound, not a limit that a laptop run comes near
_KINDS: Final = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """One span as it was exported; ids in lower-case hex, times in Unix nanoseconds."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    links: tuple[str, ...]
    """Span ids that this span is linked to."""
    failed: bool

    @property
    def duration_ms(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / 1e6


class Collector:
    """An OTLP/HTTP endpoint on a free loopback port, in a thread of its own."""

    def __init__(self) -> None:
        """Listen at once; serve inside the `with` block."""
        self._spans: list[CollectedSpan] = []
        self._forgotten = 0
        self._lock = threading.Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                try:
                    body = self.rfile.read(int(self.headers.get("content-length", 0)))
                    collector.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
                except (DecodeError, ValueError, EOFError, zlib.error, gzip.BadGzipFile):
                    self.send_response(400)
                else:
                    self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
                """Say nothing: the terminal belongs to the command."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def endpoint(self) -> str:
        """What programs are given as `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Stop serving; what was collected stays readable."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, body: bytes) -> None:
        """Add the spans of one export; raises `DecodeError` when the body is not one."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            self._spans.extend(_spans(request))
            excess = max(0, len(self._spans) - _MAX_SPANS)
            del self._spans[:excess]
            self._forgotten += excess

    def spans(self, trace_id: str | None = None) -> list[CollectedSpan]:
        """List what has arrived so far, of one trace or of all, by time."""
        with self._lock:
            found = [span for span in self._spans if trace_id in (None, span.trace_id)]
        return sorted(found, key=lambda span: span.start_ns)

    def since(self, position: int) -> tuple[list[CollectedSpan], int]:
        """List what arrived after a position, in order of arrival, and the position to ask from next; begin with 0."""
        with self._lock:
            return self._spans[max(0, position - self._forgotten) :], self._forgotten + len(self._spans)


def _spans(request: ExportTraceServiceRequest) -> Iterable[CollectedSpan]:
    for resource in request.resource_spans:
        names = {item.key: _value(item.value) for item in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield CollectedSpan(
                    service=str(names.get("service.name", "")),
                    name=span.name,
                    kind=_KINDS.get(span.kind, ""),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    attributes={item.key: _value(item.value) for item in span.attributes},
                    links=tuple(link.span_id.hex() for link in span.links),
                    failed=span.status.code == 2,  # noqa: PLR2004 - STATUS_CODE_ERROR
                )


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None
