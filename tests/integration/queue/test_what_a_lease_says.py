"""What stands in Redis of a delivery that a worker has, and what the worker is told of it."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import RoutePath
from eventroute.outcome import DeadReason
from eventroute.queue import Admissions, Candidate, Limits
from eventroute.runtime.scripts import ClientCaller
from support.queue import GROUP, admit, admit_job, fields, lease, upkeep_of, work_on
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_delivery_runs_and_its_worker_knows_all_of_it(redis: Redis) -> None:
    name = await admit_job(redis, "d-1", traceparent=TRACE)
    found = await lease(redis)
    assert (found.delivery, found.path, found.fence, found.group, found.traceparent, found.alone) == (
        name,
        PATH,
        1,
        GROUP,
        TRACE,
        False,
    )
    told = await fields(redis, name)
    assert (told["state"], told["fence"]) == ("running", "1")
    assert "alone" not in told


async def test_a_suspect_says_that_it_is_one_until_its_lease_is_over(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await work_on(redis).begin(await lease(redis), traceparent="")
    await redis.zadd(GROUP.running, {name: 1})
    await work_on(redis).lease(GROUP, worker="x", lease_ms=60_000, wanted=0, busy=0)
    assert not {"state", "stage"} & (await fields(redis, name)).keys()
    found = await lease(redis, worker="x")
    assert (found.alone, found.path, found.fence) == (True, PATH, 2)
    told = await fields(redis, name)
    assert (told["alone"], told["cuts"], await redis.get(GROUP.solo)) == ("1", "1", b"x")
    await work_on(redis).put_back(found, pause_ms=0, counts=False)
    assert "alone" not in await fields(redis, name)
    assert not await redis.exists(GROUP.solo)


async def test_what_was_put_back_is_ready_since_it_was_due(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await redis.hset(GROUP.delivery(name), "at", 7)
    await work_on(redis).put_back(await lease(redis), pause_ms=0, counts=True)
    assert (await lease(redis)).ready_ms == int((await fields(redis, name))["due"]) > 7


async def test_beginning_tells_what_stands_and_when_the_route_was_released(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await upkeep_of(redis).hold(GROUP, PATH, "withheld")
    await upkeep_of(redis).release(GROUP, [PATH])
    begun = await work_on(redis).begin(await lease(redis), traceparent=TRACE)
    assert begun.released_ms == int(await redis.hget(GROUP.route(PATH), "released"))
    assert (begun.attempts, begun.seq, begun.last_traceparent, begun.probes) == (1, 1, "", "")
    told = await fields(redis, name)
    assert (told["stage"], told["attempts"], told["last_traceparent"]) == ("begun", "1", TRACE)


async def test_each_route_is_known_once_it_had_a_delivery(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    other = RoutePath("team-b/z")
    await admit(redis, sample_delivery("d-2", route=other))
    assert set(await upkeep_of(redis).routes(GROUP)) == {PATH, other}


async def test_the_keeper_lets_the_oldest_dead_letters_of_receivers_make_room(redis: Redis) -> None:
    letter = Candidate(sample_delivery("d-1"), [], dead=(DeadReason.UNPARSABLE, "no JSON"))
    await Admissions(ClientCaller(redis), limits=Limits(9, 0)).admit(PATH, [letter], rate=None)
    seconds, _ = await redis.time()
    await redis.zadd(
        GROUP.dead(PATH), {f"older-{number}": (int(seconds) - 60) * 1000 + number for number in range(10_001)}
    )
    await upkeep_of(redis).keep(GROUP, worker="w", for_ms=1000, cursor=0, routes=10, count=10)
    left = await redis.zrange(GROUP.dead(PATH), 0, -1)
    assert (len(left), left[0], left[-1]) == (10_000, b"older-2", b"d-1")
    assert await redis.hget(GROUP.route(PATH), "dead_dropped") == b"2"


async def test_the_trace_of_an_attempt_stays_when_the_next_one_has_none(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    for traceparent, before in (("00-trace", ""), ("", "00-trace"), ("", "00-trace")):
        taken = await lease(redis)
        assert (await work_on(redis).begin(taken, traceparent=traceparent)).last_traceparent == before
        await work_on(redis).put_back(taken, pause_ms=0, counts=True)
