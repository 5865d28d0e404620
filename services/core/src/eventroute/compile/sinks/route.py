"""The `route` sink: its target is judged as any that a route hands over to."""

from collections.abc import Iterator
from typing import Final

from eventroute.compile.chain import check_target, target_path
from eventroute.compile.sinks.judged import Judged, Kind
from eventroute.compile.verdict import Problem
from eventroute.crd import v1alpha1 as crd
from eventroute.route_table import RouteSink


def _check(judged: Judged[crd.RouteSink]) -> Iterator[Problem]:
    yield from check_target(judged.gathered, f"{judged.field}.name", judged.own.name)


def _entry(judged: Judged[crd.RouteSink]) -> RouteSink:
    return RouteSink(
        name=judged.name,
        when=judged.sink.when,
        message=judged.sink.message,
        route=target_path(judged.gathered, judged.own.name),
        event=judged.own.event,
    )


ROUTE: Final = Kind(_entry, _check)
