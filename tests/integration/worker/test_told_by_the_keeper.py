"""What waits for something to be mended is a figure of one worker, the one that keeps the queue, over all groups."""

import pytest
from prometheus_client import Gauge
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, RoutePath
from eventroute.queue import Group
from eventroute.runtime.scripts import ClientCaller
from eventroute.throttle import End, Quota, Size, Throttle, Told
from eventroute_worker import metrics
from eventroute_worker.keeper import Keeper
from eventroute_worker.troubles import Troubles
from support.queue import admit, lease, upkeep_of, work_on
from support.runs import FakeRoutes, sample_delivery

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


def of_buckets(gauge: Gauge) -> dict[str, float]:
    (family,) = gauge.collect()
    return {sample.labels["bucket"]: sample.value for sample in family.samples}


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


async def test_the_keeper_tells_what_waits_for_the_throttle_and_how_its_buckets_stand(redis: Redis) -> None:
    throttle = Throttle(ClientCaller(redis))
    await throttle.enter("own:haiku-5-5", DeliveryId("d-0"), fence=1, size=Size(3, 1), lasts_ms=60_000)
    await throttle.leave("own:haiku-5-5", DeliveryId("d-0"), fence=1, end=End.ANSWERED, told=Told(requests=Quota(1, 1)))
    await throttle.enter("own:haiku-5-5", DeliveryId("d-1"), fence=1, size=Size(3, 1), lasts_ms=60_000)
    for name in ("d-2", "d-3"):
        await admit(redis, sample_delivery(name))
        await work_on(redis).wait(await lease(redis), "own:haiku-5-5", Size(3, 1), until_ms=2**42)
    await keeper(redis, "first").look()
    assert of_buckets(metrics.THROTTLED) == {"own:haiku-5-5": 2}
    assert of_buckets(metrics.CALLS) == {"own:haiku-5-5": 0}
    assert of_buckets(metrics.CALL_LIMIT) == {"own:haiku-5-5": 5}
    assert 0 <= of_buckets(metrics.REQUESTS_LEFT)["own:haiku-5-5"] < 1
    await keeper(redis, "second").look()
    assert of_buckets(metrics.THROTTLED) == {}
