"""What is particular to each kind of sink when a route is compiled: one module per kind, found by `KINDS`.

A kind is called as its field of the manifest. `eventroute_worker.sinks` says what else a new one takes.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from eventroute.compile.gathered import Gathered
from eventroute.compile.sinks.github import GITHUB
from eventroute.compile.sinks.http import HTTP
from eventroute.compile.sinks.judged import Judged, Kind, Written
from eventroute.compile.sinks.log import LOG
from eventroute.compile.sinks.postgres import POSTGRES
from eventroute.compile.sinks.route import ROUTE
from eventroute.compile.sinks.slack import SLACK
from eventroute.compile.sinks.stream import STREAM
from eventroute.compile.verdict import Problem
from eventroute.crd import v1alpha1 as crd
from eventroute.route_table import Sink

KINDS: Final[Mapping[str, Kind[Any]]] = {
    "github": GITHUB,
    "http": HTTP,
    "log": LOG,
    "postgres": POSTGRES,
    "route": ROUTE,
    "slack": SLACK,
    "stream": STREAM,
}


class JudgedSink:
    """A sink, with its kind."""

    def __init__(self, gathered: Gathered, index: int) -> None:
        """Take the one that stands there in the manifest."""
        sink = gathered.spec.sinks[index]
        kind = kind_of(sink)
        self._kind = KINDS[kind]
        self._judged: Judged[Any] = Judged(
            gathered=gathered,
            field=f"spec.sinks[{index}].{kind}",
            name=sink_name(sink),
            sink=sink,
            own=getattr(sink, kind),
            secrets={field.removeprefix(f"{kind}."): found for field, found in gathered.sink_secrets[index].items()},
        )

    def check(self) -> Iterator[Problem]:
        """Find what is wrong with it."""
        return self._kind.check(self._judged)

    def urls(self) -> Iterator[tuple[str, str]]:
        """List what it connects to, each with the field that says so."""
        return self._kind.urls(self._judged)

    def templates(self) -> Iterator[Written]:
        """List what is filled in for each answer, with the field that says so."""
        judged = self._judged
        if judged.sink.message is not None:
            yield Written(f"{judged.field.rpartition('.')[0]}.message", judged.sink.message)
        for own in self._kind.templates(judged.own):
            yield own._replace(field=f"{judged.field}.{own.field}")

    def entry(self) -> Sink:
        """Write its table entry, when nothing is wrong with it."""
        return self._kind.entry(self._judged)


def judged_sinks(gathered: Gathered) -> Iterator[JudgedSink]:
    """Go through the sinks of a route."""
    return (JudgedSink(gathered, index) for index in range(len(gathered.spec.sinks)))


def kind_of(sink: crd.Sink) -> str:
    """Tell the kind of a sink."""
    return next(kind for kind in KINDS if getattr(sink, kind) is not None)


def sink_name(sink: crd.Sink) -> str:
    """Name a sink: as the manifest does, or by kind and target."""
    kind = kind_of(sink)
    default = KINDS[kind].default_name
    return sink.name or (default(getattr(sink, kind)) if default else kind)
