"""The times that scripts write: Redis' own, in milliseconds, and as late as what they are about."""

import json

import pytest
from redis.asyncio import Redis

from eventroute.ids import Claim, ClaimId, DeliveryId
from eventroute.outcome import DeadReason
from eventroute.queue import Admissions, Candidate, Limits, Retention, Trouble, scripts
from eventroute.runtime.scripts import ClientCaller
from support.queue import GROUP, admit_job, fields, lease, upkeep_of, work_on
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

SLACK_MS = 2_000
DAY_MS = 86_400_000
KEPT = Retention(body=60_000, answer=120_000, record=180_000)
TROUBLE = Trouble(reason="billing", detail="402", key_id="k", model="")


async def since(redis: Redis, told: str | float | None, *, ahead_ms: int = 0) -> bool:
    """Tell whether a time is now, or as much ahead as it should be."""
    seconds, microseconds = await redis.time()
    assert told is not None
    return -SLACK_MS < float(told) - ahead_ms - (int(seconds) * 1000 + int(microseconds) // 1000) <= 0


async def is_left(redis: Redis, key: str, wanted_ms: int) -> bool:
    left = int(await redis.pttl(key))
    return -SLACK_MS < left - wanted_ms <= 0


async def settle(redis: Redis, outcome: str) -> DeliveryId:
    taken = await lease(redis)
    await work_on(redis).settle(taken, outcome=outcome, reason="", detail="", retention=KEPT, fields={})
    return taken.delivery


async def test_acceptance(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    assert await since(redis, (await fields(redis, name))["at"])
    await redis.hset(GROUP.delivery(name), "at", 7)
    taken = await work_on(redis).lease(GROUP, worker="w", lease_ms=1, wanted=1, busy=0)
    assert await since(redis, taken.now_ms)
    assert taken.leases[0].ready_ms == 7


async def test_a_claim_lives_as_long_as_it_says(redis: Redis) -> None:
    candidate = Candidate(sample_delivery("d-1"), [Claim(ClaimId("one"), 600), Claim(ClaimId("two"), 7200)])
    await Admissions(ClientCaller(redis), limits=Limits(9, 0)).admit(PATH, [candidate], rate=None)
    assert await is_left(redis, GROUP.claim(ClaimId("one")), 600_000)
    assert await is_left(redis, GROUP.claim(ClaimId("two")), 7_200_000)


async def test_a_lease_ends_when_it_says_and_that_is_told(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    taken = await work_on(redis).lease(GROUP, worker="w", lease_ms=15_000, wanted=1, busy=0)
    assert await since(redis, await redis.zscore(GROUP.running, name), ahead_ms=15_000)
    assert taken.next_ms == await redis.zscore(GROUP.running, name)
    await work_on(redis).renew(GROUP, taken.leases, lease_ms=60_000)
    assert await since(redis, await redis.zscore(GROUP.running, name), ahead_ms=60_000)


async def test_what_is_put_back_is_due_after_its_pause(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await work_on(redis).put_back(await lease(redis), pause_ms=30_000, counts=True)
    assert await since(redis, await redis.zscore(GROUP.later, name), ahead_ms=30_000)
    assert await since(redis, (await fields(redis, name))["due"], ahead_ms=30_000)


async def test_an_answer_that_is_saved(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await work_on(redis).save(await lease(redis), b"{}")
    assert await since(redis, (await fields(redis, name))["saved"])


async def test_an_end(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    name = await settle(redis, "succeeded")
    assert await since(redis, (await fields(redis, name))["finished"])
    assert await since(redis, await redis.zscore(GROUP.finished("bodies", PATH), name))
    assert await is_left(redis, GROUP.delivery(name), KEPT.record)
    kept = await redis.hmget(GROUP.route(PATH), "keep_bodies", "keep_answers", "keep_records")
    assert [int(each) for each in kept] == [*KEPT]


async def test_a_dead_letter_of_a_worker(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    name = await settle(redis, "dead")
    assert await since(redis, (await fields(redis, name))["finished"])
    assert await since(redis, await redis.zscore(GROUP.dead(PATH), name))
    assert await is_left(redis, GROUP.delivery(name), 31 * DAY_MS)


async def test_a_dead_letter_of_a_receiver(redis: Redis) -> None:
    letter = Candidate(sample_delivery("d-1"), [], dead=(DeadReason.UNPARSABLE, "no JSON"))
    await Admissions(ClientCaller(redis), limits=Limits(9, 0)).admit(PATH, [letter], rate=None)
    name = letter.delivery.id
    assert await since(redis, (await fields(redis, name))["finished"])
    assert await since(redis, await redis.zscore(GROUP.dead(PATH), name))
    assert await is_left(redis, GROUP.delivery(name), 31 * DAY_MS)


async def test_a_replay_counts_from_now_and_expires_no_more(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    name = await settle(redis, "succeeded")
    await ClientCaller(redis)(scripts.REPLAY, GROUP.prefix, ["resume", name])
    found = await fields(redis, name)
    assert await since(redis, found["since"])
    assert await since(redis, found["due"])
    assert "finished" not in found
    assert await redis.pttl(GROUP.delivery(name)) == -1


async def test_what_was_parked_counts_from_when_it_goes_on(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await work_on(redis).park(await lease(redis), TROUBLE, has_asked=True)
    assert await since(redis, await redis.hget(GROUP.probed, TROUBLE.cause))
    await redis.hset(GROUP.probed, TROUBLE.cause, 0)
    assert await upkeep_of(redis).probe(GROUP, TROUBLE.cause, every_ms=60_000)
    assert await since(redis, await redis.hget(GROUP.probed, TROUBLE.cause))
    found = await fields(redis, name)
    assert await since(redis, found["since"])
    assert await since(redis, found["due"])


async def test_a_route_that_is_held_and_released(redis: Redis) -> None:
    await upkeep_of(redis).hold(GROUP, PATH, "deleted", "as told")
    held = json.loads(await redis.hget(GROUP.held, PATH))
    assert await since(redis, held["since"])
    assert held["detail"] == "as told"
    await upkeep_of(redis).release(GROUP, [PATH])
    assert await since(redis, await redis.hget(GROUP.route(PATH), "released"))


async def test_a_lease_that_ran_out_makes_ready_from_then_on(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await work_on(redis).begin(await lease(redis), traceparent="")
    await redis.zadd(GROUP.running, {name: 1})
    await work_on(redis).lease(GROUP, worker="x", lease_ms=9_000, wanted=0, busy=1)
    assert await since(redis, (await fields(redis, name))["due"])
    assert await since(redis, await redis.zscore(GROUP.suspects, name))
    await lease(redis, worker="x", lease_ms=9_000)
    assert await is_left(redis, GROUP.solo, 9_000)


async def test_whoever_keeps_the_queue_does_so_for_as_long_as_it_says(redis: Redis) -> None:
    await upkeep_of(redis).keep(GROUP, worker="w", for_ms=5_000, cursor=0, routes=10, count=10)
    assert await is_left(redis, GROUP.keeper, 5_000)


async def test_a_history_lives_as_many_seconds_as_the_route_says_from_its_last_entry(redis: Redis) -> None:
    for number in (1, 2):
        await admit_job(redis, f"d-{number}")
        await work_on(redis).remember(
            await lease(redis), "route/x", b"entry %d" % number, seq=number, keep=3, ttl_s=600
        )
        assert await is_left(redis, GROUP.history("route/x"), 600_000)
        await redis.expire(GROUP.history("route/x"), 5)
