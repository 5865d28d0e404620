"""Whether the number of processes follows the load: what `ScalingReady` says of the whole installation."""

from typing import Final, NamedTuple

from eventroute.crd.status import StatusReason
from eventroute.errors import EventRouteError
from eventroute_operator.api import Api, AutoscalerKind, Forbidden, NotThere
from eventroute_operator.settings import ScalingMode


class Scaling(NamedTuple):
    """A reason of `ScalingReady`, and what it is about."""

    reason: StatusReason = StatusReason.FIXED
    message: str = ""
    """Empty = the reason's own words."""


_SIGN_OF_LIFE: Final[dict[ScalingMode, tuple[AutoscalerKind, str]]] = {
    "hpa": (AutoscalerKind.HPA, "ScalingActive"),  # false as long as it gets no figures, such as without metrics server
    "keda": (AutoscalerKind.SCALED_OBJECT, "Ready"),
}
"""Kind of an autoscaler, and its own condition that it can do its work."""


async def look_at_scaling(
    api: Api, mode: ScalingMode, *, namespace: str, names: tuple[str, ...], before: Scaling
) -> Scaling:
    """Ask the autoscalers of these names how they are; `before` stands while the API server cannot be asked."""
    if mode == "none":
        return Scaling(StatusReason.FIXED)
    kind, condition = _SIGN_OF_LIFE[mode]
    for name in names:
        try:
            found = await api.autoscaler(kind, namespace, name)
        except NotThere as missing:
            if not missing.is_kind:
                return Scaling(StatusReason.KEDA_NOT_INSTALLED)
            return Scaling(StatusReason.AUTOSCALER_NOT_READY, f"{kind} {namespace}/{name} does not exist")
        except Forbidden as error:
            return Scaling(StatusReason.AUTOSCALER_NOT_READY, str(error))
        except EventRouteError:
            return before
        conditions: list[dict[str, str]] = (found.get("status") or {}).get("conditions") or []
        own = next((each for each in conditions if each.get("type") == condition), {})
        if own.get("status") != "True":
            why = own.get("message") or "it has not said anything yet"
            return Scaling(StatusReason.AUTOSCALER_NOT_READY, f"{kind} {namespace}/{name} is not ready: {why}")
    return Scaling(StatusReason.AUTOSCALED)
