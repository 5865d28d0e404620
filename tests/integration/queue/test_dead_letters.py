"""Dead letters of a route: bounded in number and bytes, the oldest making room, and a month old at most."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.outcome import DeadReason
from eventroute.queue import Admissions, Admitted, Candidate, Full, Limits
from eventroute.runtime.scripts import ClientCaller
from support.queue import GROUP, clock_ms, dead_letters, end, fields, state, upkeep_of
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

MOST, MOST_BYTES, DAY_MS = 10_000, 32 * 1024 * 1024, 86_400_000


async def _size(redis: Redis, name: DeliveryId) -> int:
    return int(await redis.hstrlen(GROUP.delivery(name), "body"))


async def test_the_oldest_makes_room_when_a_route_has_its_share_of_bytes(redis: Redis) -> None:
    names = [await end(redis, f"d-{number}", "dead") for number in range(3)]
    size = await _size(redis, names[0])
    assert await redis.hget(GROUP.route(PATH), "dead_bytes") == b"%d" % (3 * size)
    await redis.hset(GROUP.route(PATH), "dead_bytes", MOST_BYTES - size + 1)
    newest = await end(redis, "d-3", "dead")
    assert await dead_letters(redis) == [names[1], names[2], newest]
    assert await state(redis, names[0]) == "gone"
    assert await redis.hmget(GROUP.route(PATH), "dead_bytes", "dead_dropped") == [b"%d" % (MOST_BYTES - size + 1), b"1"]


async def test_up_to_the_bound_nothing_goes(redis: Redis) -> None:
    first = await end(redis, "d-0", "dead")
    await redis.hset(GROUP.route(PATH), "dead_bytes", MOST_BYTES - await _size(redis, first))
    await redis.zadd(GROUP.dead(PATH), {f"d-{number:05}": 1 for number in range(MOST - 2)})
    await end(redis, "d-1", "dead")
    assert await redis.zcard(GROUP.dead(PATH)) == MOST
    assert await redis.hget(GROUP.route(PATH), "dead_dropped") is None


async def test_the_oldest_makes_room_when_there_are_too_many(redis: Redis) -> None:
    await redis.zadd(GROUP.dead(PATH), {f"d-{number:05}": 1 + number for number in range(MOST)})
    name = await end(redis, "d-new", "dead")
    letters = await dead_letters(redis)
    assert (len(letters), letters[0], letters[-1]) == (MOST, "d-00001", name)


async def test_what_the_receiver_cannot_read_is_kept_within_the_same_bound(redis: Redis) -> None:
    admissions = Admissions(ClientCaller(redis), limits=Limits(1000, 0))

    def letter(name: str) -> Candidate:
        return Candidate(sample_delivery(name), [], dead=(DeadReason.UNPARSABLE, "no JSON"))

    assert isinstance(await admissions.admit(PATH, [letter("d-1")], rate=None), Admitted)
    found = await fields(redis, DeliveryId("d-1"))
    assert (found["state"], found["reason"], found["detail"]) == ("dead", "unparsable", "no JSON")
    size = await _size(redis, DeliveryId("d-1"))
    await redis.hset(GROUP.route(PATH), "dead_bytes", MOST_BYTES - size)
    assert isinstance(await admissions.admit(PATH, [letter("d-2")], rate=None), Admitted)
    assert await admissions.admit(PATH, [letter("d-3")], rate=None) == Full("route")
    assert await dead_letters(redis) == ["d-1", "d-2"]
    # Work of the same route is admitted all the same.
    assert isinstance(await admissions.admit(PATH, [Candidate(sample_delivery("d-4"), [])], rate=None), Admitted)


async def test_the_keeper_drops_what_is_a_month_old_and_gives_its_share_back(redis: Redis) -> None:
    old, young = await end(redis, "d-old", "dead"), await end(redis, "d-young", "dead")
    now = await clock_ms(redis)
    await redis.zadd(GROUP.dead(PATH), {old: now - 30 * DAY_MS - 1000, young: now - 30 * DAY_MS + 60_000})
    await upkeep_of(redis).keep(GROUP, worker="w", for_ms=1000, cursor=0, routes=100, count=100)
    assert await dead_letters(redis) == [young]
    assert await state(redis, old) == "gone"
    assert await redis.hget(GROUP.route(PATH), "dead_bytes") == b"%d" % await _size(redis, young)
