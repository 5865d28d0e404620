"""How many calls may be under way at once is learned from whether the API takes them."""

import pytest
from redis.asyncio import Redis

from eventroute.throttle import End
from support.throttle import Bucket, told

pytestmark = pytest.mark.real


async def limit(bucket: Bucket) -> float:
    """Read how many may be under way."""
    return (await bucket.figures()).limit


async def test_each_answer_allows_one_more_while_a_quarter_of_them_is_used(redis: Redis) -> None:
    bucket = Bucket(redis)
    for call in range(1, 3):
        assert await bucket.enter(call)
    await bucket.leave(1)
    assert await limit(bucket) == 6
    await bucket.leave(2)
    assert await limit(bucket) == 6, "one of six"


async def test_no_more_than_configured(redis: Redis) -> None:
    bucket = Bucket(redis, most=4)
    assert await bucket.enter_all() == 4
    await bucket.leave(1)
    assert await limit(bucket) == 4


@pytest.mark.parametrize("end", [End.LIMITED, End.OVERLOADED])
async def test_a_refusal_halves_them_once_for_all_that_were_under_way(redis: Redis, end: End) -> None:
    bucket = Bucket(redis)
    for call in range(1, 6):
        assert await bucket.enter(call)
    bucket.pass_s(1)
    await bucket.leave(1, end)
    await bucket.leave(2, end)
    assert await limit(bucket) == 2.5
    bucket.pass_s(10)
    await bucket.leave(3)
    await bucket.leave(4)
    await bucket.leave(5)
    assert await bucket.enter(6)
    bucket.pass_s(1)
    before = await limit(bucket)
    await bucket.leave(6, end)
    assert await limit(bucket) == pytest.approx(before / 2)


async def test_after_a_refusal_they_grow_by_one_for_as_many_answers_as_there_are(redis: Redis) -> None:
    bucket = Bucket(redis)
    for call in range(1, 5):
        assert await bucket.enter(call)
    bucket.pass_s(1)
    await bucket.leave(1, End.OVERLOADED, after_s=0)
    await bucket.leave(2)
    assert await limit(bucket) == 2.5 + 1 / 2.5
    await bucket.leave(3)
    await bucket.leave(4)
    assert await limit(bucket) < 4


async def test_never_less_than_one(redis: Redis) -> None:
    bucket = Bucket(redis)
    for call in range(1, 8):
        bucket.pass_s(1)
        assert await bucket.enter(call)
        bucket.pass_s(0.1)
        await bucket.leave(call, End.OVERLOADED, after_s=0)
    assert await limit(bucket) == 1


async def test_retry_after_holds_for_everybody(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert await bucket.enter(1)
    assert (await bucket.grant(2)).places == 1
    await bucket.leave(1, End.LIMITED, after_s=3)
    assert await bucket.wait_ms(2) == 3000, "though a place was granted"
    assert await bucket.wait_ms(3) == 3000
    assert (await bucket.grant(2, 3)).places == 0
    assert (await bucket.figures()).free == 0
    bucket.pass_s(3)
    assert (await bucket.grant(2, 3)).places == 2


async def test_the_longest_of_several_holds(redis: Redis) -> None:
    bucket = Bucket(redis)
    for call in (1, 2):
        assert await bucket.enter(call)
    await bucket.leave(1, End.LIMITED, after_s=30)
    await bucket.leave(2, End.LIMITED, after_s=1)
    assert await bucket.wait_ms(3) == 30_000


async def test_an_absurd_time_is_looked_at_again_after_an_hour(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert await bucket.enter(1)
    await bucket.leave(1, End.LIMITED, after_s=1e9)
    assert await bucket.wait_ms(2) == 3_600_000


async def test_without_a_time_the_pause_doubles_up_to_a_bound_and_an_answer_ends_that(redis: Redis) -> None:
    bucket = Bucket(redis)
    waits = []
    for call in range(1, 10):
        bucket.pass_s(0.1)
        assert (await bucket.grant(call)).places == 1
        assert await bucket.enter(call)
        bucket.pass_s(0.1)
        await bucket.leave(call, End.OVERLOADED)
        waits.append(await bucket.wait_ms(99))
        bucket.pass_s(60)
    assert waits == [1000, 2000, 4000, 8000, 15_000, 15_000, 15_000, 15_000, 15_000]
    assert (await bucket.grant(10)).places == 1
    assert await bucket.enter(10)
    await bucket.leave(10)
    assert (await bucket.grant(11)).places == 1
    assert await bucket.enter(11)
    bucket.pass_s(0.1)
    await bucket.leave(11, End.OVERLOADED)
    assert await bucket.wait_ms(99) == 1000


async def test_a_refusal_while_there_is_room_means_that_bursts_are_too_large(redis: Redis) -> None:
    bucket = Bucket(redis)
    for call in (1, 2):
        assert await bucket.enter(call)
    await bucket.leave(1, told=told((360, 300)))
    await bucket.leave(2, End.LIMITED, told=told((360, 299)), after_s=0)
    assert await bucket.wait_ms(3) == 167, "six a second, and none is left of this one"
    bucket.pass_s(60)
    figures = await bucket.figures()
    assert (figures.free, figures.limit) == (3, 6), "half a second's worth, and as many under way as before"
    assert (await bucket.grant(10, 11, has_more=True)).places == 2
    assert await bucket.enter(10)
    await bucket.leave(10, told=told((360, 300)))
    bucket.pass_s(0.001)
    assert await bucket.enter(11)
    await bucket.leave(11, told=told((360, 299)))
    assert (await bucket.grant(12, 13)).places == 1, "whatever the headers say of the minute"
    bucket.pass_s(0.167)
    assert (await bucket.grant(13)).places == 1
    bucket.pass_s(1)
    assert await bucket.enter(12)
    bucket.pass_s(0.1)
    before = await limit(bucket)
    await bucket.leave(12, End.LIMITED, told=told((360, 300)), after_s=0)
    assert await limit(bucket) == pytest.approx(before / 2), "it was paced, and is refused all the same"


async def test_a_refusal_because_of_a_limit_leaves_bursts_as_they_are(redis: Redis) -> None:
    bucket = Bucket(redis)
    for call in (1, 2, 3):
        assert await bucket.enter(call)
    await bucket.leave(1, End.LIMITED, told=told((180, 0)), after_s=0)
    await bucket.leave(2, End.LIMITED, told=told((180, 170), input=(1000, 0)), after_s=0)
    await bucket.leave(3, End.LIMITED, after_s=0)
    bucket.pass_s(60)
    assert (await bucket.figures()).requests_left == 180


async def test_until_something_was_refused_the_number_of_calls_says_nothing_of_what_the_api_takes(redis: Redis) -> None:
    """The autoscaler would bring no further worker, and only what further workers ask lets the number grow."""
    bucket = Bucket(redis)
    for call in range(1, 4):
        assert await bucket.enter(call)
    await bucket.leave(1, told=told((6000, 400)))
    assert (await bucket.figures()).free == 397
    await bucket.leave(2, End.OVERLOADED, told=told((6000, 400)), after_s=0)
    assert (await bucket.figures()).free == 2
