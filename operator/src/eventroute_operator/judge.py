"""One route's verdict: what `eventroute.compile` says of it with the Secrets and ConfigMaps that it names at hand.

Pure. A route is judged anew when it or something that it refers to has changed, and because of another
route only where its sinks lead to some.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from eventroute.compile import ConfigMaps, Secrets, Verdict, compile_routes
from eventroute.crd.objects import ConfigMapObject, SecretObject
from eventroute.crd.v1alpha1 import EventRoute
from eventroute.crd.validate import Mistake
from eventroute.ids import RoutePath
from eventroute.models import Models
from eventroute.outbound import OutboundRules
from eventroute.policy import Policy
from eventroute.route_table import ReceiverRoute, WorkerRoute
from eventroute_operator.cluster import Held, Kind, Reference, RouteObject


class Judged(NamedTuple):
    """A route, what was found, and what is to be published of it."""

    route: RouteObject
    verdict: Verdict | tuple[Mistake, ...]
    receiver: ReceiverRoute | None
    worker: WorkerRoute | None
    revisions: dict[str, str]
    """Secret → revision."""

    @property
    def is_served(self) -> bool:
        """Whether it stands in both tables."""
        return self.receiver is not None and self.worker is not None


def judge(
    route: RouteObject,
    find: Callable[[Reference], Held | None],
    *,
    models: Models | None = None,
    policy: Policy | None = None,
    outbound: OutboundRules | None = None,
    neighbours: Mapping[RoutePath, EventRoute | None] | None = None,
) -> Judged:
    """Compile a route.

    find    what a reference leads to; None = there is no such object
    models  what is known of each model; None = the built-in data
    policy  what the platform's owner allows; None = anything
    outbound  what sinks may connect to, as `compile_routes` takes it
    neighbours  the routes of its namespace, the same
    """
    if isinstance(route.spec, tuple):
        return Judged(route, route.spec, None, None, {})
    held = {reference: found for reference in route.references if (found := find(reference))}
    objects = [found.object for found in held.values()]
    secrets: Secrets = {each.key: each.data for each in objects if isinstance(each, SecretObject)}
    texts: ConfigMaps = {each.key: each.data for each in objects if isinstance(each, ConfigMapObject)}
    compiled = compile_routes(
        [route.spec],
        secrets=secrets,
        config_maps=texts,
        models=models,
        policy=policy,
        outbound=outbound,
        neighbours=neighbours,
    )
    verdict = compiled.verdicts[0]
    return Judged(
        route,
        verdict,
        compiled.receiver.get(verdict.path),
        compiled.worker.get(verdict.path),
        {each.key.name: found.revision for each, found in held.items() if each.kind is Kind.SECRET},
    )
