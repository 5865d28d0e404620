"""From EventRoutes, Secrets and ConfigMaps to the route tables, with a verdict on each route.

Pure: the operator, the local mode and `eventroute lint` call it alike. An error keeps a route out of the table of the
side that it is in the way of, and never affects another route: with a wrong prompt, events are taken, and wait. What is
judged is in `CHECKS`, in the order in which a person would mend it; what is particular to a kind of sink in `sinks`.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eventroute.compile.checks import CHECKS
from eventroute.compile.gathered import AtHand, ConfigMaps, Secrets, Shelf, gather, references
from eventroute.compile.scheme import CUSTOM, scheme_of
from eventroute.compile.sinks import sink_name
from eventroute.compile.tables import receiver_route, worker_route
from eventroute.compile.verdict import MAX_MESSAGE_LENGTH, Condition, Problem, Reason, Severity, Side, Verdict
from eventroute.crd import v1alpha1 as crd
from eventroute.event_names import EventNames
from eventroute.ids import RoutePath, route_path
from eventroute.models import Models
from eventroute.outbound import OutboundRules
from eventroute.policy import Policy
from eventroute.route_table import ReceiverRoute, WorkerRoute

__all__ = [
    "CUSTOM",
    "MAX_MESSAGE_LENGTH",
    "Compiled",
    "Condition",
    "ConfigMaps",
    "Problem",
    "Reason",
    "Secrets",
    "Severity",
    "Side",
    "Verdict",
    "compile_routes",
    "references",
    "scheme_of",
    "sink_name",
]


class Compiled(NamedTuple):
    """The tables of all routes that can be served, and a verdict on each route, in the order given."""

    receiver: dict[RoutePath, ReceiverRoute]
    worker: dict[RoutePath, WorkerRoute]
    verdicts: tuple[Verdict, ...]


def compile_routes(  # noqa: PLR0913 - what is at hand, all by name
    routes: Sequence[crd.EventRoute],
    *,
    secrets: Secrets,
    config_maps: ConfigMaps,
    complete: bool = True,
    models: Models | None = None,
    today: dt.date | None = None,
    policy: Policy | None = None,
    events: EventNames | None = None,
    outbound: OutboundRules | None = None,
    neighbours: Mapping[RoutePath, crd.EventRoute | None] | None = None,
) -> Compiled:
    """Judge routes, and build the table entries of those that can be served.

    routes       the older first: of two with one path, the first keeps it
    secrets      those of all namespaces
    config_maps  the same
    complete     False = there may be more of both, and of routes, elsewhere, so that references to others are only
                 noted; such a note counts as an error does
    models       what is known of each model; None = the built-in data
    today        by which retired models are told, UTC; None = they are not, and no day takes a route out of service
    policy       what the platform's owner allows; None = anything
    events       which ones providers are known to send, so that others are warned of; None = any
    outbound     what sinks may connect to; None = not known here, and what may be refused is only warned of
    neighbours   further routes that sinks of these may lead to; None = one that cannot be understood
    """
    at_hand = AtHand(
        Shelf("Secret", secrets, Reason.SECRET_NOT_FOUND, Reason.SECRET_KEY_NOT_FOUND, complete),
        Shelf("ConfigMap", config_maps, Reason.CONFIG_MAP_NOT_FOUND, Reason.CONFIG_MAP_KEY_NOT_FOUND, complete),
        models or Models.load(),
        today,
        policy or Policy(),
        events or EventNames(),
        outbound,
        {**(neighbours or {}), **{_path(route): route for route in reversed(routes)}},
    )
    receiver: dict[RoutePath, ReceiverRoute] = {}
    worker: dict[RoutePath, WorkerRoute] = {}
    verdicts: list[Verdict] = []
    taken: set[RoutePath] = set()
    for route in routes:
        gathered = gather(route, at_hand, taken)
        verdict = Verdict(
            path=gathered.path,
            uid=gathered.uid,
            generation=route.metadata.generation,
            problems=tuple(problem for check in CHECKS for problem in check(gathered)),
        )
        verdicts.append(verdict)
        taken.add(gathered.path)
        if gathered.is_taken:
            continue
        if verdict.serves(Side.INTAKE):
            receiver[gathered.path] = receiver_route(gathered, may_name_headers=verdict.serves(Side.WORK))
        if verdict.serves(Side.WORK):
            worker[gathered.path] = worker_route(gathered, takes_answers=verdict.serves(Side.INTAKE))
    return Compiled(receiver, worker, tuple(verdicts))


def _path(route: crd.EventRoute) -> RoutePath:
    return route_path(route.metadata.namespace, route.metadata.name)
