"""What one look of the keeper does to a held route, and what it says while Redis is away."""

import asyncio
import contextlib
from collections.abc import Mapping

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from eventroute.ids import RoutePath
from eventroute.queue import Limit
from eventroute.runtime.redis import connect
from eventroute_cli.local.processes import free_port
from eventroute_worker.keeper import Keeper
from eventroute_worker.troubles import Troubles
from support.queue import GROUP, upkeep_of
from support.runs import PATH, FakeRoutes, worker_route

pytestmark = pytest.mark.real


def keeper(
    redis: Redis, routes: FakeRoutes, *, limits: Mapping[RoutePath, Limit] | None = None, worker: str = "w"
) -> Keeper:
    return Keeper(
        upkeep_of(redis),
        worker=worker,
        groups=[GROUP],
        routes=routes,
        troubles=Troubles(),
        may_meet=lambda trouble: trouble.key_id == "own",
        limits=dict if limits is None else lambda: limits,
    )


@pytest.mark.parametrize("reason", ["withheld", "deleted"])
async def test_a_route_that_is_served_again_is_let_go_and_stays_so(redis: Redis, reason: str) -> None:
    await upkeep_of(redis).hold(GROUP, PATH, reason)
    await keeper(redis, FakeRoutes(worker_route())).look()
    assert await upkeep_of(redis).held(GROUP) == {}


@pytest.mark.parametrize(("is_broken", "wanted"), [(True, "withheld"), (False, "deleted")])
async def test_one_that_is_not_served_is_held_for_the_reason_of_now(
    redis: Redis, *, is_broken: bool, wanted: str
) -> None:
    await upkeep_of(redis).hold(GROUP, PATH, "deleted" if is_broken else "withheld")
    routes = FakeRoutes()
    routes.broken = {PATH} if is_broken else set()
    await keeper(redis, routes).look()
    assert (await upkeep_of(redis).held(GROUP))[PATH].reason == wanted


async def test_a_worker_that_has_read_no_table_changes_no_reason(redis: Redis) -> None:
    await upkeep_of(redis).hold(GROUP, PATH, "withheld")
    await keeper(redis, FakeRoutes(version=None)).look()
    assert (await upkeep_of(redis).held(GROUP))[PATH].reason == "withheld"


async def test_a_limit_holds_from_the_look_after_it_was_said_and_goes_with_it(redis: Redis) -> None:
    other = RoutePath("team-a/other")
    limits = {PATH: Limit(1), other: Limit(7, holds_lanes=True)}
    looks = keeper(redis, FakeRoutes(worker_route()), limits=limits)
    await looks.look()
    assert await upkeep_of(redis).limits(GROUP) == limits
    limits[PATH] = Limit(0, holds_lanes=True)
    del limits[other]
    await looks.look()
    assert await upkeep_of(redis).limits(GROUP) == {PATH: Limit(0, holds_lanes=True)}


async def test_a_limit_of_a_route_that_cannot_be_served_now_holds_on(redis: Redis) -> None:
    routes = FakeRoutes()
    routes.broken = {PATH}
    await upkeep_of(redis).limit(GROUP, {PATH: Limit(2)})
    await keeper(redis, routes).look()
    assert await upkeep_of(redis).limits(GROUP) == {PATH: Limit(2)}


async def test_limits_are_said_by_the_keeper_alone_and_by_none_who_has_read_no_table(redis: Redis) -> None:
    await keeper(redis, FakeRoutes(), limits={PATH: Limit(1)}).look()
    await keeper(redis, FakeRoutes(), limits={PATH: Limit(9)}, worker="another").look()
    assert await upkeep_of(redis).limits(GROUP) == {PATH: Limit(1)}, "else two versions of a table take turns"
    await keeper(redis, FakeRoutes(version=None), limits={}).look()
    assert await upkeep_of(redis).limits(GROUP) == {PATH: Limit(1)}


async def test_a_redis_that_is_away_is_told_once_however_often_it_looks() -> None:
    away = connect(f"redis://127.0.0.1:{free_port()}/0")
    looks = keeper(away, FakeRoutes())
    with capture_logs() as logs:
        running = asyncio.create_task(looks.run())
        for _ in range(4):
            looks.wake()
            await asyncio.sleep(0.1)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    await away.aclose()
    assert [entry["event"] for entry in logs] == ["upkeep_failed"]
