"""Routes for tests, from the few fields that matter to them."""

from typing import Any

import msgspec

from eventroute.compile import Compiled, compile_routes
from eventroute.crd.objects import ObjectKey
from eventroute.crd.v1alpha1 import API_VERSION, EventRoute
from eventroute.crd.validate import Mistake, parse_route
from eventroute.delivery import Delivery
from eventroute.ids import DeliveryId, RoutePath
from eventroute.prompt import Event, Plan, prepare
from eventroute.route_table import ModelCall
from eventroute.secret import Secret

SECRET = b"5b1f0c8de2a94e7fb0a3"
SECRETS = {ObjectKey("team-a", "hook"): {"secret": Secret(SECRET)}}


def manifest(**spec: Any) -> dict[str, Any]:
    """Build a manifest of a GitHub route `team-a/triage`; `spec` replaces fields."""
    fields = {"provider": "github", "secretRefs": [{"name": "hook", "key": "secret"}], **spec}
    return {
        "apiVersion": API_VERSION,
        "kind": "EventRoute",
        "metadata": {"name": "triage", "namespace": "team-a"},
        "spec": fields,
    }


def event_route(**spec: Any) -> EventRoute:
    """Parse such a manifest."""
    route = parse_route(manifest(**spec))
    assert isinstance(route, EventRoute), route
    return route


def mistakes(**spec: Any) -> tuple[Mistake, ...]:
    """Name what is wrong with such a manifest."""
    route = parse_route(manifest(**spec))
    return () if isinstance(route, EventRoute) else route


def compiled(**spec: Any) -> Compiled:
    """Compile such a manifest, with its secret at hand."""
    return compile_routes([event_route(**spec)], secrets=SECRETS, config_maps={})


def model_call(**model: Any) -> ModelCall:
    """Compile such a manifest with this `model`, and take what is asked of Claude."""
    return compiled(model=model).worker[RoutePath("team-a/triage")].prompts[0].model


def plan(**spec: Any) -> Plan:
    """Make such a route ready for a worker."""
    return prepare(compiled(**spec).worker[RoutePath("team-a/triage")])


def event(
    payload: object,
    *,
    name: str = "issues.opened",
    headers: dict[str, str] | None = None,
    earlier: tuple[Event, ...] = (),
) -> Event:
    """Build a delivery of such a route; `earlier` are those that were collected before it."""
    raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return Event(
        Delivery(
            id=DeliveryId("d-aaaaaaaaaaaaaaaaaaaaaaaaaa"),
            route=RoutePath("team-a/triage"),
            generation=1,
            provider="github",
            event=name,
            provider_id="1",
            received_ms=1_700_000_000_123,
            headers=headers or {},
            payload=msgspec.Raw(raw),
            earlier=tuple(each.delivery for each in earlier),
        )
    )
