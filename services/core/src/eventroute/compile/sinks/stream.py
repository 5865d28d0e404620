"""The `stream` sink."""

from typing import Final

from eventroute.compile.sinks.judged import Judged, Kind
from eventroute.crd import v1alpha1 as crd
from eventroute.route_table import StreamSink


def _entry(judged: Judged[crd.StreamSink]) -> StreamSink:
    own = judged.own
    return StreamSink(name=judged.name, when=judged.sink.when, stream=own.name, max_entries=own.max_entries)


STREAM: Final = Kind(_entry, default_name=lambda own: f"stream-{own.name}")
