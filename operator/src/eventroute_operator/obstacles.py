"""What stands or will stand in the way of a route's deliveries: queue and API know it, and the status says it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from eventroute.crd.status import StatusReason
from eventroute.ids import RoutePath, parse_path, route_path
from eventroute.outcome import DeadReason
from eventroute.queue import Group, HoldReason, Stop, Upkeep
from eventroute.queue.upkeep import Standing
from eventroute.route_table import ModelCall, WorkerRoute
from eventroute.runtime.notices import Notice, Notices
from eventroute.runtime.stats import RouteStats
from eventroute_operator.idle import nothing_matched
from eventroute_operator.judge import Judged

NOTICE_DAYS: Final = (3, 14, 60)
"""So many days before a model goes its routes say so anew."""

_OF_THE_KEY: Final = {DeadReason.BILLING: StatusReason.KEY_UNPAID}


class Obstacle(NamedTuple):
    """Why deliveries of a route wait, or none of them is for Claude."""

    reason: StatusReason
    message: str


class Obstacles(NamedTuple):
    """What is in the way, of all routes or of each, and which models will be."""

    stop: Obstacle | None = None
    by_route: Mapping[RoutePath, Obstacle] = {}
    notices: Mapping[str, Notice] = {}

    def of(self, judged: Judged, stats: RouteStats | None, now: dt.datetime) -> Obstacle | None:
        """Find what is in a route's way, or will be.

        stats  what is known of its traffic; None = nothing is
        """
        waits = self.stop or self.by_route.get(route_path(*judged.route.key))
        return waits or _idle(judged, stats, now) or _notice(judged.worker, self.notices, now.date())


async def read_obstacles(upkeep: Upkeep, groups: Sequence[Group]) -> Obstacles:
    """Find what deliveries wait for that somebody has to do; raises `RedisAway` or `RedisForbids`.

    Of suspended ones their spec says so, also while no worker is there to hold them.
    """
    found: dict[RoutePath, Obstacle] = {}
    for group in groups:
        for path, held in (await upkeep.held(group)).items():
            route, sink = parse_path(path)
            if held.reason == HoldReason.GONE:
                found[route] = Obstacle(StatusReason.SINK_GONE, f"sink {sink}: {held.detail}")
            elif held.reason != HoldReason.SUSPENDED:
                found[route] = Obstacle(StatusReason.HELD, f"the workers hold the route as {held.reason}")
        for standing in await upkeep.standing(group):
            found |= dict.fromkeys(_waiting(standing.by_route), _obstacle(standing))
    return Obstacles(_stopped(await upkeep.read_stop()), found)


def _idle(judged: Judged, stats: RouteStats | None, now: dt.datetime) -> Obstacle | None:
    said = nothing_matched(stats.effect, judged.route.generation, now) if stats else None
    return Obstacle(StatusReason.NOTHING_MATCHED, said) if said else None


def _notice(route: WorkerRoute | None, notices: Notices, today: dt.date) -> Obstacle | None:
    """Tell of a model that is gone, and nothing answers in its place, or of the route's next one to go.

    route  as it is served; None = it is not
    """
    if route is None:
        return None
    calls = [prompt.model for prompt in route.prompts]
    gone = next((call.name for call in calls if _is_gone(call, notices)), None)
    if gone:
        return Obstacle(StatusReason.MODEL_UNAVAILABLE, f"model {gone}: {_when(notices[gone], today)}")
    names = {each.name for call in calls for each in (call, call.fallback) if each and each.name in notices}
    if not names:
        return None
    name = min(names, key=lambda name: (_end(notices[name]), name))
    return Obstacle(StatusReason.MODEL_RETIRES, f"model {name}: {_when(notices[name], today)}")


def _is_gone(call: ModelCall, notices: Notices) -> bool:
    is_retired = call.name in notices and notices[call.name].is_retired
    return is_retired and (call.fallback is None or _is_gone(call.fallback, notices))


def _end(notice: Notice) -> dt.date:
    return dt.date.min if notice.is_retired else notice.retires or dt.date.max


def _when(notice: Notice, today: dt.date) -> str:
    """Say when a model goes, in words that change on the days of `NOTICE_DAYS` only."""
    if notice.is_retired:
        return f"retired since {notice.retires}" if notice.retires else "retired"
    if notice.retires is None:
        return "deprecated, retires on a day to be announced"
    if notice.retires <= today:
        return f"retires any moment, since {notice.retires}"
    left = (notice.retires - today).days
    within = next((f", in {days} days or less" for days in NOTICE_DAYS if left <= days), "")
    return f"retires on {notice.retires}{within}"


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
