"""Each admission is a delivery of its own: what an earlier one of the same event has come to changes nothing for it."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import Claim, DeliveryId, RouteUid, claim_id, new_delivery_id
from eventroute.queue import Again, New, Repeat
from support.queue import GROUP, end, fields, lease, offer, settle, state, work_on
from support.runs import FakeClaude, build_runner, results, sample_delivery
from support.worker import running, until_empty

pytestmark = pytest.mark.real

CLAIM = Claim(claim_id(RouteUid("uid-triage"), "id", b"fingerprint"), 14_400)


async def test_an_event_whose_claim_has_expired_is_asked_again_each_time(redis: Redis) -> None:
    claude = FakeClaude()
    ids: list[DeliveryId] = []
    async with running(redis, build_runner(redis, claude=claude)):
        for _ in range(3):
            ids.append(new_delivery_id())
            assert await offer(redis, sample_delivery(ids[-1]), CLAIM) == New(ids[-1])
            assert await offer(redis, sample_delivery(new_delivery_id()), CLAIM) == Repeat(ids[-1])
            await until_empty(redis)
            await redis.delete(GROUP.claim(CLAIM.id))  # four hours later
    assert len(set(ids)) == 3
    assert len(claude.asked) == 3
    assert [entry["text"] for entry in await results(redis)] == ["Answer 1.", "Answer 2.", "Answer 3."]
    assert [await state(redis, name) for name in ids] == ["settled"] * 3


async def test_a_claim_lives_as_long_as_it_says(redis: Redis) -> None:
    await offer(redis, sample_delivery(), CLAIM)
    assert 14_390_000 < await redis.pttl(GROUP.claim(CLAIM.id)) <= 14_400_000


async def test_a_dead_letter_that_is_sent_again_runs_again_under_its_old_id_and_goes_on_from_its_answer(
    redis: Redis,
) -> None:
    await offer(redis, sample_delivery("d-1"), CLAIM)
    taken = await lease(redis)
    await work_on(redis).begin(taken, traceparent="")
    await work_on(redis).save(taken, b"saved before")
    await settle(redis, taken, "dead", "sink")
    assert await redis.hget(GROUP.route(taken.path), "dead_bytes") not in {None, b"0"}

    longer = sample_delivery("d-2", payload=b'{"number":7,"more":"%s"}' % (b"x" * 500))
    assert await offer(redis, longer, CLAIM) == Again(taken.delivery)
    assert await offer(redis, sample_delivery("d-3"), CLAIM) == Repeat(taken.delivery)
    found = await fields(redis, taken.delivery)
    assert await state(redis, taken.delivery) == "ready"
    assert await state(redis, DeliveryId("d-2")) == "gone"
    assert (found["answer"], "outcome" in found, "attempts" in found) == ("saved before", False, False)
    assert found["since"] == found["at"]
    assert await redis.pttl(GROUP.delivery(taken.delivery)) == -1
    assert not await redis.exists(GROUP.dead(taken.path))
    assert await redis.hget(GROUP.route(taken.path), "dead_bytes") == b"0"
    again = await lease(redis)
    assert (again.delivery, (await work_on(redis).begin(again, traceparent="")).attempts) == ("d-1", 1)


async def test_what_has_succeeded_is_a_repeat_for_as_long_as_the_claim_lives(redis: Redis) -> None:
    name = await end(redis, "d-1")
    await redis.set(GROUP.claim(CLAIM.id), name)
    assert await offer(redis, sample_delivery("d-2"), CLAIM) == Repeat(name)
    assert await state(redis, name) == "settled"
