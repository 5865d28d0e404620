"""A route's limit: so many of its deliveries run at once and no more, and one that is at it takes no turns."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, RoutePath, route_path
from eventroute.queue import Lease, Limit, Taken, Trouble, read_load
from eventroute.runtime.scripts import ClientCaller
from eventroute.throttle import Granted, Size
from support.queue import GROUP, admit_all, lease_all, ready, run_out, settle, upkeep_of, work_on
from support.runs import sample_delivery

pytestmark = pytest.mark.real

LIMITED, OTHER = (route_path("team-a", name) for name in ("limited", "other"))
BUCKET = "k:claude-haiku-5-5"
TROUBLE = Trouble(reason="billing", detail="402", key_id="k", model="")


async def _queue(redis: Redis, path: RoutePath, count: int) -> list[DeliveryId]:
    names = [DeliveryId(f"{path}-{number:03}") for number in range(count)]
    await admit_all(redis, [sample_delivery(name, route=path) for name in names])
    return names


async def _limited(redis: Redis, most: int, *, count: int = 10) -> list[DeliveryId]:
    await upkeep_of(redis).limit(GROUP, {LIMITED: Limit(most)})
    return await _queue(redis, LIMITED, count)


async def _turns(redis: Redis) -> list[str]:
    return [path.decode() for path in await redis.zrange(GROUP.rotation, 0, -1)]


async def _look(redis: Redis, worker: str, *, busy: int) -> Taken:
    return await work_on(redis).lease(GROUP, worker=worker, lease_ms=60_000, wanted=1, busy=busy)


def _names(leases: list[Lease], path: RoutePath = LIMITED) -> list[DeliveryId]:
    return [each.delivery for each in leases if each.path == path]


async def test_so_many_run_over_all_workers_and_other_routes_are_not_concerned(redis: Redis) -> None:
    names = await _limited(redis, 3)
    other = await _queue(redis, OTHER, 6)
    leases = await lease_all(redis, worker="one")
    assert (_names(leases), _names(leases, OTHER)) == (names[:3], other)
    assert await lease_all(redis, worker="two") == []


async def test_a_route_at_its_limit_takes_no_turns_and_wakes_nobody(redis: Redis) -> None:
    await _limited(redis, 1)
    await lease_all(redis)
    assert await _turns(redis) == []
    await redis.delete(GROUP.wake)
    await admit_all(redis, [sample_delivery("d-more", route=LIMITED)])
    assert await _turns(redis) == []
    assert not await redis.exists(GROUP.wake)
    await upkeep_of(redis).keep(GROUP, worker="w", for_ms=1000, cursor=0, routes=100, count=10)
    assert await _turns(redis) == []
    load = await upkeep_of(redis).load(GROUP)
    assert (load.ready, load.running) == (0, 1), "another worker would be of no use"


@pytest.mark.parametrize("how", ["settle", "dead", "put_back", "park", "run_out"])
async def test_it_comes_back_the_moment_one_ends_however_it_does(redis: Redis, how: str) -> None:
    names = await _limited(redis, 2)
    first, second = await lease_all(redis)
    await redis.delete(GROUP.wake)
    match how:
        case "settle":
            await settle(redis, first)
        case "dead":
            await settle(redis, first, "dead", "timeout")
        case "put_back":
            await work_on(redis).put_back(first, pause_ms=60_000, counts=False)
        case "park":
            await work_on(redis).park(first, TROUBLE, has_asked=False)
        case "run_out":
            await run_out(redis, first.delivery)
            await work_on(redis).lease(GROUP, worker="w", lease_ms=1, wanted=0, busy=0)
    assert await _turns(redis) == [LIMITED]
    assert await redis.exists(GROUP.wake)
    assert _names(await lease_all(redis)) == [names[0] if how == "run_out" else names[2]]
    assert second.delivery == names[1]


async def test_a_lower_limit_waits_until_fewer_run_and_a_higher_one_holds_at_once(redis: Redis) -> None:
    names = await _limited(redis, 4)
    leases = await lease_all(redis)
    await upkeep_of(redis).limit(GROUP, {LIMITED: Limit(2)})
    for each in leases[:2]:
        await settle(redis, each)
        assert await lease_all(redis) == []
    await settle(redis, leases[2])
    assert _names(await lease_all(redis)) == names[4:5]
    await upkeep_of(redis).limit(GROUP, {LIMITED: Limit(4)})
    assert _names(await lease_all(redis)) == names[5:7]
    await upkeep_of(redis).limit(GROUP, {LIMITED: Limit(0)})
    assert _names(await lease_all(redis)) == names[7:]
    assert await upkeep_of(redis).limits(GROUP) == {}


async def test_a_limit_lets_no_held_route_take_turns(redis: Redis) -> None:
    await _limited(redis, 1)
    [first] = await lease_all(redis)
    await upkeep_of(redis).hold(GROUP, LIMITED, "withheld")
    await settle(redis, first)
    await upkeep_of(redis).limit(GROUP, {LIMITED: Limit(5)})
    assert await _turns(redis) == []
    await upkeep_of(redis).release(GROUP, [LIMITED])
    assert len(await lease_all(redis)) == 5


async def test_a_suspect_of_a_route_at_its_limit_waits_and_lets_another_ones_by(redis: Redis) -> None:
    names = await _limited(redis, 1, count=2)
    [other] = await _queue(redis, OTHER, 1)
    for taken in await lease_all(redis):  # the first of each
        await work_on(redis).begin(taken, traceparent="")
        await run_out(redis, taken.delivery)
        await redis.zadd(GROUP.running, {taken.delivery: 1 if taken.path == LIMITED else 2}, xx=True)
    assert (await _look(redis, "solo", busy=1)).drain
    [running] = (await _look(redis, "another", busy=0)).leases
    assert (running.delivery, running.alone) == (names[1], False)
    assert await redis.zrange(GROUP.suspects, 0, -1) == [names[0].encode(), other.encode()]
    [alone] = (await _look(redis, "solo", busy=0)).leases
    assert (alone.delivery, alone.alone) == (other, True)


async def test_a_running_one_whose_record_somebody_removed_takes_no_place_for_ever(redis: Redis) -> None:
    names = await _limited(redis, 1)
    await lease_all(redis)
    await redis.delete(GROUP.delivery(names[0]))
    await run_out(redis, names[0])
    assert await lease_all(redis) == []
    await upkeep_of(redis).keep(GROUP, worker="w", for_ms=1000, cursor=0, routes=100, count=10)
    assert _names(await lease_all(redis)) == names[1:2]


async def test_nothing_is_kept_of_what_ran(redis: Redis) -> None:
    names = await _limited(redis, 2, count=2)
    for each in await lease_all(redis):
        await settle(redis, each)
    assert await ready(redis) == []
    assert not await redis.exists(GROUP.active(LIMITED))
    assert len(names) == 2


async def _wait(redis: Redis, leases: list[Lease]) -> list[DeliveryId]:
    """Let deliveries wait for the throttle."""
    for each in leases:
        await work_on(redis).wait(each, BUCKET, Size(100, 10), until_ms=0)
    return [each.delivery for each in leases]


async def _asked(redis: Redis, count: int = 50) -> list[DeliveryId]:
    """Tell whose turn it is at the throttle."""
    await redis.zadd(GROUP.turns, {BUCKET: 0}, xx=True)
    turn = await work_on(redis).turn(GROUP, count=count)
    return [each.delivery for each in turn.waiting] if turn else []


async def test_those_that_wait_have_their_turn_before_what_was_accepted_later(redis: Redis) -> None:
    names = await _limited(redis, 2, count=300)
    waiting = await _wait(redis, await lease_all(redis))
    assert waiting == names[:2]
    assert len(await ready(redis)) == 298
    assert await _asked(redis) == names[:2], "the ready ones are behind them"


async def test_what_is_ready_and_was_accepted_before_goes_first(redis: Redis) -> None:
    names = await _limited(redis, 3, count=6)
    first, second, third = await lease_all(redis)
    await work_on(redis).put_back(second, pause_ms=0, counts=True)
    await _wait(redis, [first, third])
    assert await _asked(redis) == [names[0], names[2]]
    await upkeep_of(redis).limit(GROUP, {LIMITED: Limit(2)})
    assert await _asked(redis) == names[:1], "the second place is for one that is ready"


async def test_routes_at_their_limit_are_in_the_way_of_no_other_at_the_throttle(redis: Redis) -> None:
    full = [route_path("team-a", f"full-{number}") for number in range(5)]
    await upkeep_of(redis).limit(GROUP, dict.fromkeys(full, Limit(1)))
    for path in full:
        await _queue(redis, path, 2)
        [taken] = await lease_all(redis)
        await _wait(redis, [taken])
        assert len(await lease_all(redis)) == 1
    await _queue(redis, OTHER, 1)
    [other] = await _wait(redis, await lease_all(redis))
    assert await _asked(redis, 1) == [other]
    turn = await redis.zrange(GROUP.waiting_routes(BUCKET), 0, -1)
    assert [path.decode() for path in turn] == [OTHER, *full], "they are the last, in their order"


async def test_no_more_of_it_counts_than_may_run(redis: Redis) -> None:
    await _limited(redis, 3)
    upkeep = upkeep_of(redis)
    assert (await upkeep.load(GROUP)).ready == 3
    first, _, _ = await lease_all(redis)
    await settle(redis, first)
    load = await upkeep.load(GROUP)
    assert (load.ready, load.running, load.workable) == (1, 2, 3)
    assert load.held == 6, "whatever the reason, nobody can take them now"


async def test_no_more_of_it_counts_than_may_run_once_it_is_let_go(redis: Redis) -> None:
    await _limited(redis, 3)
    await upkeep_of(redis).hold(GROUP, LIMITED, "withheld")
    assert (await read_load({GROUP: ClientCaller(redis)}, may_go=lambda path: path == LIMITED)).ready == 3


async def test_what_waits_for_the_throttle_counts_as_far_as_it_may_run_and_is_told_in_full(redis: Redis) -> None:
    await _limited(redis, 5, count=8)
    await _wait(redis, await lease_all(redis))
    await upkeep_of(redis).limit(GROUP, {LIMITED: Limit(2)})
    load = await upkeep_of(redis).load(GROUP)
    assert (load.ready, load.throttled, load.workable) == (2, 5, 2)
    assert await upkeep_of(redis).waiting(GROUP) == {BUCKET: 5}


async def test_a_turn_that_was_granted_is_taken_before_what_is_ready(redis: Redis) -> None:
    names = await _limited(redis, 1, count=4)
    await _wait(redis, await lease_all(redis))
    await redis.zadd(GROUP.turns, {BUCKET: 0}, xx=True)
    turn = await work_on(redis).turn(GROUP, count=5)
    assert turn
    await work_on(redis).call_up(GROUP, turn, Granted(1, 0))
    assert _names(await lease_all(redis)) == names[:1]
