"""Whether the number of processes follows the load: what `ScalingReady` says of the whole installation."""

from typing import Literal, NamedTuple

from eventroute.crd.status import StatusReason
from eventroute.errors import EventRouteError
from eventroute_operator.api import Api, NotThere


class Scaling(NamedTuple):
    """A reason of `ScalingReady`, and what it is about."""

    reason: StatusReason = StatusReason.FIXED
    message: str = ""
    """Empty = the reason's own words."""


async def look_at_scaling(
    api: Api, mode: Literal["none", "hpa", "keda"], *, namespace: str, names: tuple[str, ...], before: Scaling
) -> Scaling:
    """Ask for KEDA's opinion, where it is to scale; `before` stands while the API server cannot be asked."""
    if mode != "keda":
        return Scaling(StatusReason.FIXED if mode == "none" else StatusReason.AUTOSCALED)
    for name in names:
        try:
            found = await api.scaled_object(namespace, name)
        except NotThere as missing:
            if missing.is_kind:
                return Scaling(StatusReason.SCALED_OBJECT_NOT_READY, f"ScaledObject {namespace}/{name} does not exist")
            return Scaling(StatusReason.KEDA_NOT_INSTALLED)
        except EventRouteError:
            return before
        conditions = (found.get("status") or {}).get("conditions") or []
        if not any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions):
            return Scaling(StatusReason.SCALED_OBJECT_NOT_READY, f"ScaledObject {namespace}/{name} is not ready")
    return Scaling(StatusReason.AUTOSCALED)
