"""The `route` sink: its target is a route of the same namespace that takes answers, and from which none leads back."""

from collections.abc import Iterator
from typing import Final

from eventroute.compile.gathered import Gathered
from eventroute.compile.sinks.judged import Judged, Kind
from eventroute.compile.verdict import Problem, Reason, Severity
from eventroute.crd import v1alpha1 as crd
from eventroute.ids import RoutePath, route_path
from eventroute.route_table import RouteSink
from eventroute.schemes import INSIDE
from eventroute.suggest import nearest


def _check(judged: Judged[crd.RouteSink]) -> Iterator[Problem]:
    gathered, name, target = judged.gathered, judged.own.name, _target(judged)
    at_hand = gathered.at_hand
    if target not in at_hand.routes and target != gathered.path:
        yield _not_found(judged)
        return
    found = gathered.route if target == gathered.path else at_hand.routes[target]
    if found is None:  # somebody has to mend it, and has been told; until then answers wait
        return
    if found.spec.provider != INSIDE.name:
        message = (
            f'route "{name}" takes events of {found.spec.provider}, and no answers: name one of provider {INSIDE.name}'
        )
        yield judged.problem(Reason.TARGET_TAKES_NO_ANSWERS, "name", message)
    elif way := _way_back(gathered, target):
        message = f"answers would go round for ever: {' → '.join(way)}; take one of these sinks away"
        yield judged.problem(Reason.ROUTE_CYCLE, "name", message)


def _target(judged: Judged[crd.RouteSink]) -> RoutePath:
    return route_path(judged.gathered.route.metadata.namespace, judged.own.name)


def _not_found(judged: Judged[crd.RouteSink]) -> Problem:
    at_hand, name = judged.gathered.at_hand, judged.own.name
    namespace = judged.gathered.route.metadata.namespace
    if not at_hand.secrets.complete:
        message = f'route "{name}" was not looked at'
        return judged.problem(Reason.TARGET_NOT_FOUND, "name", message, severity=Severity.NOTE)
    others = [
        path.removeprefix(f"{namespace}/")
        for path, route in at_hand.routes.items()
        if path.startswith(f"{namespace}/") and route and route.spec.provider == INSIDE.name
    ]
    message = f'there is no route "{name}" in {namespace}{nearest(name, others)}'
    return judged.problem(Reason.TARGET_NOT_FOUND, "name", message)


def _way_back(gathered: Gathered, target: RoutePath) -> list[str]:
    """Find the shortest way by which an answer would come back, as names of routes; empty = there is none."""
    namespace, _, own = gathered.path.partition("/")
    first = target.removeprefix(f"{namespace}/")
    ways, seen = [[own, first]], {first}
    for way in ways:  # grows while it is gone through
        if way[-1] == own:
            return way
        following = gathered.at_hand.routes.get(route_path(namespace, way[-1]))
        for sink in following.spec.sinks if following else ():
            if sink.route and sink.route.name not in seen:
                seen.add(sink.route.name)
                ways.append([*way, sink.route.name])
    return []


def _entry(judged: Judged[crd.RouteSink]) -> RouteSink:
    return RouteSink(
        name=judged.name,
        when=judged.sink.when,
        message=judged.sink.message,
        route=_target(judged),
        event=judged.own.event,
    )


ROUTE: Final = Kind(_entry, _check)
