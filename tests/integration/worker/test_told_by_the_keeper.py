"""What waits for something to be mended is a figure of one worker, the one that keeps the queue, over all groups."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import RoutePath
from eventroute.queue import Group
from eventroute_worker import metrics
from eventroute_worker.keeper import Keeper
from eventroute_worker.troubles import Troubles
from support.queue import upkeep_of
from support.runs import FakeRoutes

pytestmark = pytest.mark.real

GROUPS = [Group(0), Group(1)]


def keeper(redis: Redis, worker: str) -> Keeper:
    routes = FakeRoutes()
    routes.broken = {RoutePath("team-a/one"), RoutePath("team-b/other")}
    return Keeper(
        upkeep_of(redis),
        worker=worker,
        groups=GROUPS,
        routes=routes,
        troubles=Troubles(),
        may_meet=lambda _: False,
        limits=dict,
    )


def held() -> dict[str, float]:
    (family,) = metrics.HELD_ROUTES.collect()
    return {sample.labels["reason"]: sample.value for sample in family.samples}


async def test_the_keeper_counts_over_all_groups_and_nobody_else_tells(redis: Redis) -> None:
    upkeep, first, second = upkeep_of(redis), keeper(redis, "first"), keeper(redis, "second")
    await upkeep.hold(GROUPS[0], RoutePath("team-a/one"), "withheld")
    await upkeep.hold(GROUPS[1], RoutePath("team-b/other"), "withheld")
    await first.look()
    assert held() == {"withheld": 2}
    await second.look()
    assert held() == {}, "else it is counted twice"
    await redis.delete(*(group.keeper for group in GROUPS))
    await second.look()
    assert held() == {"withheld": 2}
    await first.look()
    assert held() == {}, "who was the keeper once no longer tells"
