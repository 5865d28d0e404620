"""Where answers go: one module per kind, dispatched here over the tagged union of the route table.

*Local* kinds write to this process or to the queue's own Redis: they are done within the run, and are there when Redis
is. All others may be away for as long as they like: to each the answer is sent as something of its own, with attempts,
pauses, a deadline and an end (`eventroute_worker.sending`), so that one that is down delays only itself.

A new kind is a module here with a writer and a line in `RemoteSinks`; its entry in `eventroute.route_table`,
its model in the manifest (`eventroute.crd.v1alpha1`), and how one becomes the other (`eventroute.compile.sinks`).
"""

from collections.abc import Iterable
from typing import assert_never

from opentelemetry.trace import SpanKind, StatusCode

from eventroute.queue import Work
from eventroute.route_table import (
    SLACK,
    GithubSink,
    HttpSink,
    LocalSink,
    LogSink,
    PostgresSink,
    RemoteSink,
    RouteSink,
    Sink,
    SlackSink,
    StreamSink,
)
from eventroute.runtime import tracing
from eventroute_worker.outbound import Outbound
from eventroute_worker.sinks import github, http, slack
from eventroute_worker.sinks.databases import Databases
from eventroute_worker.sinks.github import GithubSinkWriter
from eventroute_worker.sinks.http import HttpSinkWriter
from eventroute_worker.sinks.log import LogSinkWriter
from eventroute_worker.sinks.model import Result, SinkFailed, SinkGone, SinkRefused
from eventroute_worker.sinks.pace import Pace
from eventroute_worker.sinks.postgres import PostgresSinkWriter
from eventroute_worker.sinks.route import RouteSinkWriter
from eventroute_worker.sinks.slack import SlackSinkWriter
from eventroute_worker.sinks.stream import StreamSinkWriter

__all__ = [
    "LocalSinks",
    "RemoteSinks",
    "Result",
    "RouteSinkWriter",
    "SinkFailed",
    "SinkGone",
    "SinkRefused",
    "kind_of",
    "split",
]


def split(sinks: Iterable[Sink]) -> tuple[list[LocalSink], list[RemoteSink]]:
    """Tell what is written to within a run from what is not."""
    local: list[LocalSink] = []
    remote: list[RemoteSink] = []
    for sink in sinks:
        if isinstance(sink, LocalSink):
            local.append(sink)
        else:
            remote.append(sink)
    return local, remote


def kind_of(sink: Sink) -> str:
    """Name the kind of a sink."""
    return str(type(sink).__struct_config__.tag)


class LocalSinks:
    """Writes answers to local sinks."""

    def __init__(self, work: Work) -> None:
        """Take what the kinds need."""
        self._log = LogSinkWriter(work)
        self._stream = StreamSinkWriter(work)

    async def send(self, sink: LocalSink, result: Result) -> None:
        """Write an answer to a sink of the route and mark it done; raises `SinkFailed`."""
        kind = kind_of(sink)
        with tracing.tracer().start_as_current_span(
            f"sink {kind}",
            kind=SpanKind.CLIENT,
            attributes={tracing.SINK_KIND: kind, tracing.SINK_NAME: sink.name},
            record_exception=False,  # its message may hold what the sink was sent
            set_status_on_exception=False,
        ) as span:
            try:
                await self._dispatch(sink, result)
            except Exception as error:
                span.set_attribute(tracing.ERROR_TYPE, type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    async def _dispatch(self, sink: LocalSink, result: Result) -> None:
        match sink:
            case LogSink():
                await self._log.send(sink.name, result)
            case StreamSink():
                await self._stream.send(sink, result)
            case _:
                assert_never(sink)


class RemoteSinks:
    """Sends answers to sinks of every other kind."""

    def __init__(
        self,
        way: Outbound,
        work: Work,
        databases: Databases | None = None,
        *,
        slack: str = SLACK,
        chain: RouteSinkWriter | None = None,
    ) -> None:
        """Take the way out, the calls to the queue, connections to databases, Slack's Web API, the way to other routes.

        databases  None = made of the way out
        slack      where the API is
        chain      None = nothing is handed over
        """
        self._chain = chain
        self._github = GithubSinkWriter(way)
        self._http = HttpSinkWriter(way)
        self._postgres = PostgresSinkWriter(databases or Databases(way))
        self._slack = SlackSinkWriter(way, work, base_url=slack)

    def pace(self, sink: RemoteSink, result: Result) -> Pace | None:
        """Tell how fast the sink's destination takes answers; None = as they come. Raises `SinkRefused`."""
        match sink:
            case GithubSink():
                return github.pace_of(sink)
            case HttpSink():
                return http.pace_of(sink)
            case SlackSink():
                return slack.pace_of(sink, result)
            case PostgresSink() | RouteSink():
                return None
            case _:
                assert_never(sink)

    async def send(self, sink: RemoteSink, result: Result) -> str:
        """Send an answer once.

        raises   `SinkFailed` when it may be taken later, `SinkRefused` when it never will, `SinkGone` when nothing will
        returns  for people, what came of it where that is not to be expected; mostly empty
        """
        match sink:
            case GithubSink():
                await self._github.send(sink, result)
            case HttpSink():
                await self._http.send(sink, result)
            case PostgresSink():
                await self._postgres.send(sink, result)
            case RouteSink():
                if self._chain is None:
                    raise SinkFailed("this worker hands nothing over to other routes")
                return await self._chain.send(sink, result)
            case SlackSink():
                await self._slack.send(sink, result)
            case _:
                assert_never(sink)
        return ""
