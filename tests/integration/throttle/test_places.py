"""A place is one call: taken once, given back once, and gone by itself when its worker is gone."""

import pytest
from redis.asyncio import Redis

from eventroute.throttle import keys
from support.throttle import BUCKET, LASTS_MS, Bucket, told

pytestmark = pytest.mark.real


async def test_a_place_that_is_taken_again_as_the_reply_got_lost_is_charged_once(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert await bucket.enter(0)
    await bucket.leave(0, told=told((600, 100)))
    for _ in range(3):
        assert await bucket.enter(1)
    figures = await bucket.figures()
    assert (figures.under_way, figures.requests_left) == (1, 98)


async def test_a_place_that_is_given_back_again_tells_nothing_new(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert await bucket.enter(0)
    await bucket.leave(0, told=told((600, 100)))
    for call in (1, 2, 3):
        assert await bucket.enter(call)
    await bucket.leave(1)
    before = await bucket.figures()
    await bucket.leave(1, told=told((600, 1)))
    assert await bucket.figures() == before


async def test_the_call_of_a_worker_that_was_thought_dead_counts_no_more(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert await bucket.enter(1, fence=1)
    assert await bucket.enter(1, fence=2)
    assert (await bucket.figures()).under_way == 1
    await bucket.leave(1, fence=1)
    assert (await bucket.figures()).under_way == 1
    await bucket.leave(1, fence=2)
    assert (await bucket.figures()).under_way == 0


async def test_both_calls_of_one_delivery_are_charged(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert await bucket.enter(0)
    await bucket.leave(0, told=told((600, 100)))
    assert await bucket.enter(1, fence=1)
    assert await bucket.enter(1, fence=2)
    assert (await bucket.figures()).requests_left == 97


async def test_a_killed_workers_calls_end_when_they_must_be_over(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert await bucket.enter_all() == 5
    bucket.pass_s(LASTS_MS / 1000 - 0.001)
    assert (await bucket.grant(50)).places == 0
    bucket.pass_s(0.001)
    assert (await bucket.figures()).under_way == 0
    assert (await bucket.grant(50)).places == 1


async def test_a_grant_that_nobody_uses_is_given_back(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert await bucket.enter(0)
    await bucket.leave(0, told=told((600, 3)))
    assert (await bucket.grant(1, 2, 3)).places == 2
    bucket.pass_s(5)
    figures = await bucket.figures()
    assert figures.under_way == 0
    assert (await bucket.grant(4, 5, 6)).places == 3
    assert await bucket.throttle.figures([]) == {}


async def test_a_grant_is_the_place_of_its_call(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert (await bucket.grant(1)).places == 1
    assert (await bucket.grant(1)).places == 1, "the reply got lost"
    assert await bucket.enter(1, fence=7)
    bucket.pass_s(6)
    assert (await bucket.figures()).under_way == 1
    await bucket.leave(1, fence=7)
    assert (await bucket.figures()).under_way == 0


async def test_nobody_overtakes_those_that_wait(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert await bucket.enter_all() == 5
    assert await bucket.leave(1), "others wait"
    assert await bucket.wait_ms(20) == 0, "there is a place, and the other one is to have it"
    assert (await bucket.grant(6, has_more=True)).places == 1
    assert await bucket.leave(2)
    assert not await bucket.enter(21)
    assert await bucket.enter(6)


async def test_when_nobody_waits_any_more_whoever_comes_may_go(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert await bucket.enter_all() == 5
    await bucket.leave(1)
    await bucket.leave(2)
    assert not await bucket.enter(7), "6 may be on its way to where it waits"
    bucket.pass_s(0.3)
    assert (await bucket.grant(6)).places == 1
    assert await bucket.enter(8)
    assert not await bucket.leave(8)


async def test_a_word_of_those_that_wait_is_stale_after_a_while(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert await bucket.enter_all() == 5
    await bucket.leave(1)
    bucket.pass_s(2.5)
    assert await bucket.enter(20)


async def test_a_grant_that_is_given_up_is_the_next_ones_at_once(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert await bucket.enter(0)
    await bucket.leave(0, told=told((600, 3)))
    before = await redis.hgetall(keys.state(BUCKET))
    assert (await bucket.grant(1, 2, 3, has_more=True)).places == 2
    for _ in range(2):
        assert await bucket.give_up(1), "others wait"
    assert await bucket.give_up(2)
    figures = await bucket.figures()
    assert (figures.under_way, figures.requests_left) == (0, 2)
    after = await redis.hgetall(keys.state(BUCKET))
    assert {name for name in after if after[name] != before[name]} == {b"line"}, "nobody was asked"
    assert (await bucket.grant(4, 5)).places == 2


async def test_a_grant_whose_call_has_begun_cannot_be_given_up(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert (await bucket.grant(1)).places == 1
    assert await bucket.enter(1, fence=7)
    assert not await bucket.give_up(1)
    assert not await bucket.give_up(2), "it was never granted one"
    assert (await bucket.figures()).under_way == 1
