"""Routes that hand over to each other, by sinks and by tools.

A target is a route of the same namespace that takes what others hand over, and from which no way leads back.
"""

from collections.abc import Iterator

from eventroute.compile.gathered import Gathered
from eventroute.compile.verdict import Problem, Reason, Severity
from eventroute.crd import v1alpha1 as crd
from eventroute.ids import RoutePath, route_path
from eventroute.schemes import INSIDE
from eventroute.suggest import nearest


def targets(spec: crd.EventRouteSpec) -> Iterator[str]:
    """Name the routes that a route hands over to, some several times."""
    yield from (sink.route.name for sink in spec.sinks if sink.route)
    yield from (tool.route.name for prompt in spec.prompts for tool in prompt.tools if tool.route)


def target_path(gathered: Gathered, name: str) -> RoutePath:
    """Say where the route is that is called so."""
    return route_path(gathered.route.metadata.namespace, name)


def check_target(gathered: Gathered, field: str, name: str) -> Iterator[Problem]:
    """Find what is wrong with a target.

    field  where it is named
    """
    at_hand, target = gathered.at_hand, target_path(gathered, name)
    if target not in at_hand.routes and target != gathered.path:
        yield _not_found(gathered, field, name)
        return
    found = gathered.route if target == gathered.path else at_hand.routes[target]
    if found is None:  # somebody has to mend it, and has been told; until then what is for it waits
        return
    if found.spec.provider != INSIDE.name:
        message = (
            f'route "{name}" takes events of {found.spec.provider}, and no answers: name one of provider {INSIDE.name}'
        )
        yield gathered.problem(Reason.TARGET_TAKES_NO_ANSWERS, field, message)
    elif way := _way_back(gathered, name):
        message = f"answers would go round for ever: {' → '.join(way)}; take one of these sinks or tools away"
        yield gathered.problem(Reason.ROUTE_CYCLE, field, message)


def _not_found(gathered: Gathered, field: str, name: str) -> Problem:
    at_hand, namespace = gathered.at_hand, gathered.route.metadata.namespace
    if not at_hand.secrets.complete:
        message = f'route "{name}" was not looked at'
        return gathered.problem(Reason.TARGET_NOT_FOUND, field, message, severity=Severity.NOTE)
    others = [
        path.removeprefix(f"{namespace}/")
        for path, route in at_hand.routes.items()
        if path.startswith(f"{namespace}/") and route and route.spec.provider == INSIDE.name
    ]
    message = f'there is no route "{name}" in {namespace}{nearest(name, others)}'
    return gathered.problem(Reason.TARGET_NOT_FOUND, field, message)


def _way_back(gathered: Gathered, first: str) -> list[str]:
    """Find the shortest way by which something would come back, as names of routes; empty = there is none."""
    own = gathered.route.metadata.name
    ways, seen = [[own, first]], {first}
    for way in ways:  # grows while it is gone through
        if way[-1] == own:
            return way
        following = gathered.at_hand.routes.get(target_path(gathered, way[-1]))
        for name in targets(following.spec) if following else ():
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []
