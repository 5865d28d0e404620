"""The `log` sink."""

from typing import Final

from eventroute.compile.sinks.judged import Judged, Kind
from eventroute.crd import v1alpha1 as crd
from eventroute.route_table import LogSink


def _entry(judged: Judged[crd.LogSink]) -> LogSink:
    return LogSink(name=judged.name, when=judged.sink.when)


LOG: Final = Kind(_entry)
