"""What stands in the way of a route's deliveries: the queue knows it, and the status says it."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from eventroute.crd.status import StatusReason
from eventroute.ids import RoutePath
from eventroute.outcome import DeadReason
from eventroute.queue import Group, HoldReason, Stop, Upkeep
from eventroute.queue.upkeep import Standing

_OF_THE_KEY: Final = {DeadReason.BILLING: StatusReason.KEY_UNPAID}


class Obstacle(NamedTuple):
    """Why deliveries of a route wait."""

    reason: StatusReason
    message: str


class Obstacles(NamedTuple):
    """What is in the way, of all routes or of each."""

    stop: Obstacle | None = None
    by_route: Mapping[RoutePath, Obstacle] = {}

    def of(self, path: RoutePath) -> Obstacle | None:
        """Find what is in a route's way."""
        return self.stop or self.by_route.get(path)


async def read_obstacles(upkeep: Upkeep, groups: Sequence[Group]) -> Obstacles:
    """Find what deliveries wait for that somebody has to do; raises `RedisAway` or `RedisForbids`.

    Of suspended ones their spec says so, also while no worker is there to hold them.
    """
    found: dict[RoutePath, Obstacle] = {}
    for group in groups:
        for path, held in (await upkeep.held(group)).items():
            if held.reason != HoldReason.SUSPENDED:
                found[path] = Obstacle(StatusReason.HELD, f"the workers hold the route as {held.reason}")
        for standing in await upkeep.standing(group):
            found |= dict.fromkeys(_waiting(standing.by_route), _obstacle(standing))
    return Obstacles(_stopped(await upkeep.read_stop()), found)


def _stopped(stop: Stop) -> Obstacle | None:
    if not stop.is_standing:
        return None
    why = f": {stop.reason}" if stop.reason else ""
    return Obstacle(StatusReason.STOPPED, f"{stop.by} stopped the installation{why}; `eventroute start` ends that")


def _waiting(by_route: Mapping[RoutePath, int]) -> list[RoutePath]:
    return [path for path, count in by_route.items() if count > 0]


def _obstacle(standing: Standing) -> Obstacle:
    trouble = standing.trouble
    if trouble.budget:
        return Obstacle(StatusReason.BUDGET_SPENT, trouble.detail)
    if trouble.model:
        return Obstacle(StatusReason.MODEL_UNAVAILABLE, f"model {trouble.model}: {trouble.detail}")
    reason = _OF_THE_KEY.get(DeadReason(trouble.reason), StatusReason.KEY_REFUSED)
    return Obstacle(reason, f"Claude's API refuses the key: {trouble.detail}")
