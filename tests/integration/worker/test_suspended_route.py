"""What is queued for a suspended route waits, in order and at no cost, until it is lifted; what runs ends."""

import asyncio

import pytest
from redis.asyncio import Redis

from eventroute.delivery import Delivery
from eventroute.ids import DeliveryId, RoutePath, route_path
from eventroute.prompt import Prompt, prepare
from eventroute.queue import Group, HoldReason
from eventroute.route_table import ModelCall, RetryRule, WorkerRoute
from eventroute.secret import Secret
from eventroute_worker.answer import Reply
from eventroute_worker.attempt import Attempt, Later
from eventroute_worker.keeper import Keeper
from eventroute_worker.troubles import Troubles
from support.queue import GROUP, admit, admit_all, depth, fields, lease, upkeep_of
from support.runs import PATH, FakeClaude, FakeRoutes, build_runner, results, sample_delivery, worker_route
from support.waiting import until
from support.worker import keeping, running, until_empty

pytestmark = pytest.mark.real

OTHER = route_path("team-a", "other")
SUSPENDED = worker_route(is_suspended=True)


def serve(routes: FakeRoutes, route: WorkerRoute) -> None:
    """Let the worker's table have this version of a route."""
    routes._plans[route.path] = prepare(route)


def keeper_of(redis: Redis, routes: FakeRoutes, *, groups: int = 1) -> Keeper:
    of = [Group(number) for number in range(groups)]
    return Keeper(
        upkeep_of(redis),
        worker="w",
        groups=of,
        routes=routes,
        troubles=Troubles(),
        may_meet=lambda _: False,
        limits=dict,
    )


async def reason(redis: Redis, path: RoutePath = PATH) -> str | None:
    held = (await upkeep_of(redis).held(GROUP)).get(path)
    return held.reason if held else None


class Slow(FakeClaude):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        reply = await super().ask(call, prompt, api_key=api_key)
        await self.may_answer.wait()
        return reply


def named(*names: str, path: RoutePath = PATH) -> list[Delivery]:
    return [sample_delivery(name, route=path) for name in names]


async def test_the_call_under_way_ends_and_the_rest_waits_in_order_until_it_is_lifted(redis: Redis) -> None:
    claude, routes = Slow(), FakeRoutes(worker_route(), worker_route(path=OTHER))
    await admit_all(redis, named("d-1", "d-2", "d-3"))
    async with (
        keeping(redis, routes=routes) as keeper,
        running(redis, build_runner(redis, claude=claude, routes=routes), slots=1),
    ):
        await until(lambda: len(claude.asked) == 1)
        serve(routes, SUSPENDED)
        keeper.wake()  # as the table does when it has changed
        await until(lambda: _is(redis, HoldReason.SUSPENDED))
        claude.may_answer.set()
        await admit_all(redis, named("d-4", "d-5"))
        await admit_all(redis, named("d-other", path=OTHER))
        await until(lambda: _has_depth(redis, 4))
        assert await _has_results(redis, ["d-1", "d-other"])
        serve(routes, worker_route())
        keeper.wake()
        await until_empty(redis)
    assert [entry["delivery"] for entry in await results(redis)] == ["d-1", "d-other", "d-2", "d-3", "d-4", "d-5"]
    assert (await fields(redis, DeliveryId("d-4")))["attempts"] == "1"


async def _is(redis: Redis, wanted: str) -> bool:
    return await reason(redis) == wanted


async def _has_depth(redis: Redis, wanted: int) -> bool:
    return await depth(redis) == wanted


async def _has_results(redis: Redis, names: list[str]) -> bool:
    return [entry["delivery"] for entry in await results(redis)] == names


async def test_the_wait_counts_against_no_deadline(redis: Redis) -> None:
    routes = FakeRoutes(worker_route(retry=RetryRule(attempts=1, deadline_s=60)))
    await admit(redis, sample_delivery("d-1"))
    await redis.hincrby(GROUP.delivery(DeliveryId("d-1")), "at", -3_600_000)
    await upkeep_of(redis).hold(GROUP, PATH, HoldReason.SUSPENDED)
    async with keeping(redis, routes=routes), running(redis, build_runner(redis, routes=routes)):
        await until_empty(redis)
    assert [entry["delivery"] for entry in await results(redis)] == ["d-1"]


async def test_a_delivery_that_was_leased_before_the_hold_is_not_begun(redis: Redis) -> None:
    claude = FakeClaude()
    await admit(redis, sample_delivery("d-1"))
    taken = await lease(redis)
    end = await build_runner(redis, claude=claude, routes=FakeRoutes(SUSPENDED))(Attempt(taken))
    assert end == Later(delay_s=0, counts=False)
    assert (await reason(redis), claude.asked) == (HoldReason.SUSPENDED, [])
    assert "attempts" not in await fields(redis, DeliveryId("d-1"))


async def test_the_keeper_holds_it_once_and_lets_it_go_when_it_is_lifted(redis: Redis) -> None:
    routes = FakeRoutes(SUSPENDED, worker_route(path=OTHER))
    keeper = keeper_of(redis, routes)
    await keeper.look()
    since = (await upkeep_of(redis).held(GROUP))[PATH].since
    await keeper.look()
    held = await upkeep_of(redis).held(GROUP)
    assert held.keys() == {PATH}
    assert (held[PATH].reason, held[PATH].since) == (HoldReason.SUSPENDED, since)
    serve(routes, worker_route())
    await keeper.look()
    assert await upkeep_of(redis).held(GROUP) == {}


async def test_a_withheld_route_that_is_mended_and_suspended_is_held_as_suspended(redis: Redis) -> None:
    await upkeep_of(redis).hold(GROUP, PATH, HoldReason.WITHHELD)
    await keeper_of(redis, FakeRoutes(SUSPENDED)).look()
    assert await reason(redis) == HoldReason.SUSPENDED


async def test_a_suspended_route_that_is_deleted_is_held_as_deleted(redis: Redis) -> None:
    await upkeep_of(redis).hold(GROUP, PATH, HoldReason.SUSPENDED)
    await keeper_of(redis, FakeRoutes()).look()
    assert await reason(redis) == HoldReason.DELETED


async def test_a_worker_that_missed_the_change_hears_of_it_before_it_lets_go_of_anything(redis: Redis) -> None:
    await upkeep_of(redis).hold(GROUP, PATH, HoldReason.SUSPENDED)
    behind = FakeRoutes(worker_route())
    behind.after_refresh = [SUSPENDED]
    await keeper_of(redis, behind).look()
    assert await reason(redis) == HoldReason.SUSPENDED


async def test_each_is_held_in_the_group_of_its_namespace_alone(redis: Redis) -> None:
    names = [route_path(f"team-{number}", "triage") for number in range(8)]
    await keeper_of(redis, FakeRoutes(*(worker_route(path=path, is_suspended=True) for path in names)), groups=3).look()
    held = [path for number in range(3) for path in await upkeep_of(redis).held(Group(number))]
    assert sorted(held) == sorted(names)
