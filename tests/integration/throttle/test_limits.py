"""What a minute allows is learned from the headers, and no more of it is given out than is left."""

import pytest
from redis.asyncio import Redis

from eventroute.throttle import End, Size
from support.throttle import BUCKET, Bucket, spent, told

pytestmark = pytest.mark.real


async def learned(redis: Redis, requests: tuple[int, int] | None = None, **tokens: tuple[int, int]) -> Bucket:
    """Let one call tell the limits, and let many be under way at once."""
    bucket = Bucket(redis)
    assert await bucket.enter(0)
    await bucket.leave(0, told=told(requests, **tokens), spent=spent(300 // 3, 100))
    await redis.hset(f"er:{{g0}}:throttle:{BUCKET}", "limit", 50)
    return bucket


async def test_before_the_first_answer_only_the_number_of_calls_is_limited(redis: Redis) -> None:
    bucket = Bucket(redis)
    assert await bucket.enter_all() == 5


async def test_requests_go_as_long_as_some_are_left_and_then_as_they_are_refilled(redis: Redis) -> None:
    bucket = await learned(redis, (600, 4))
    assert await bucket.enter_all() == 3, "one less than told: what is left is rounded down"
    assert await bucket.wait_ms(50) == 100, "ten a second"
    bucket.pass_s(0.099)
    assert (await bucket.grant(50)).places == 0
    bucket.pass_s(0.001)
    assert (await bucket.grant(50, 51)).places == 1


async def test_input_tokens_are_estimated_by_what_prompts_had_before(redis: Redis) -> None:
    bucket = await learned(redis, (1000, 1000), input=(60_000, 10_000))
    assert await bucket.enter_all(size=Size(3000, 1)) == 9, "a token for three bytes, and 500 for the rounding"
    assert await bucket.wait_ms(50, size=Size(3000, 1)) == 500, "half of the thousand is missing"


async def test_output_tokens_are_estimated_by_what_answers_had_before(redis: Redis) -> None:
    bucket = await learned(redis, (1000, 1000), output=(60_000, 1500))
    assert await bucket.enter_all(size=Size(3, 1000)) == 10, "a hundred each, though it may be a thousand"
    assert (await bucket.grant(49, size=Size(3, 0))).places == 1, "at most as many as it may have"


async def test_what_was_estimated_is_corrected_by_what_was_used(redis: Redis) -> None:
    bucket = await learned(redis, (1000, 1000), input=(60_000, 10_000))
    assert await bucket.enter(1, size=Size(27_000, 1))
    assert not await bucket.enter(2, size=Size(3000, 1))
    await bucket.leave(1, spent=spent(9000, 1, cached=8000))
    assert (await bucket.grant(2, size=Size(3000, 1))).places == 1


async def test_what_came_from_the_cache_does_not_count_but_tells_of_the_length(redis: Redis) -> None:
    bucket = await learned(redis, (1000, 1000), input=(60_000, 10_000))
    for call in range(1, 30):
        assert await bucket.enter(call, size=Size(300, 1))
        await bucket.leave(call, spent=spent(200, 1, cached=200))
    assert not await bucket.enter(50, size=Size(14_400, 1)), "two tokens for three bytes by now"
    bucket.pass_s(0.2)
    assert (await bucket.grant(50, size=Size(14_100, 1))).places == 1


async def test_a_prompt_larger_than_a_minute_allows_waits_for_a_full_one(redis: Redis) -> None:
    bucket = await learned(redis, (1000, 1000), input=(6000, 3500))
    assert await bucket.wait_ms(1, size=Size(30_000, 1)) == 30_000
    bucket.pass_s(30)
    assert (await bucket.grant(1, size=Size(30_000, 1))).places == 1
    assert (await bucket.grant(2, size=Size(3, 1))).places == 0
    bucket.pass_s(40.1)
    assert (await bucket.grant(2, size=Size(3, 1))).places == 1, "what was too much is refilled first"


async def test_what_others_use_of_the_same_limit_is_seen_in_the_headers(redis: Redis) -> None:
    bucket = await learned(redis, (600, 300))
    assert await bucket.enter(1)
    await bucket.leave(1, told=told((600, 2)))
    assert await bucket.enter_all(first=10) == 3, "two, rounded down from as much as three"


async def test_what_began_after_a_call_is_not_in_what_that_one_tells(redis: Redis) -> None:
    bucket = await learned(redis, (600, 10))
    bucket.pass_s(0.5)
    for call in range(1, 6):
        assert await bucket.enter(call)
    await bucket.leave(1, told=told((600, 200)))
    assert (await bucket.figures()).requests_left == 200 - 1 - 4


async def test_what_began_just_before_a_call_may_reach_the_api_after_it(redis: Redis) -> None:
    bucket = await learned(redis, (600, 10))
    bucket.pass_s(0.5)
    for call in range(1, 4):
        assert await bucket.enter(call)
        bucket.pass_s(0.1)
    await bucket.leave(3, told=told((600, 200)))
    assert (await bucket.figures()).requests_left == 200 - 1 - 2


async def test_what_began_long_before_a_call_is_in_what_that_one_tells(redis: Redis) -> None:
    bucket = await learned(redis, (600, 10))
    bucket.pass_s(0.5)
    for call in (1, 2, 3):
        assert await bucket.enter(call)
        bucket.pass_s(0.3)
    await bucket.leave(3, told=told((600, 200)))
    assert (await bucket.figures()).requests_left == 200 - 1 - 1, "nobody knows of the second, the first has arrived"


async def test_what_is_granted_and_has_not_begun_is_not_in_what_others_tell(redis: Redis) -> None:
    bucket = await learned(redis, (600, 10))
    bucket.pass_s(0.5)
    assert (await bucket.grant(1, 2)).places == 2
    assert await bucket.enter(3)
    await bucket.leave(3, told=told((600, 200)))
    assert (await bucket.figures()).requests_left == 200 - 1 - 2
    assert await bucket.enter(1)
    bucket.pass_s(0.5)
    assert await bucket.enter(4)
    await bucket.leave(4, told=told((600, 400)))
    assert (await bucket.figures()).requests_left == 400 - 1 - 1


async def test_a_refused_call_shows_that_less_was_left_than_it_needed(redis: Redis) -> None:
    bucket = await learned(redis, (1000, 1000), input=(60_000, 10_000))
    assert await bucket.enter(1, size=Size(3000, 1))
    await bucket.leave(1, End.LIMITED, told=told((1000, 1000), input=(60_000, 1000)), after_s=0)
    assert await bucket.wait_ms(2, size=Size(3030, 1)) == 10, "ten tokens more than the thousand that were not left"


async def test_what_was_refilled_during_a_call_may_be_left_beside_what_it_tells(redis: Redis) -> None:
    bucket = await learned(redis, (600, 600))
    assert await bucket.enter(1)
    bucket.pass_s(5)
    await bucket.leave(1, told=told((600, 100)))
    assert (await bucket.figures()).requests_left == 100 + 1 + 50


async def test_nothing_left_may_be_less_than_nothing(redis: Redis) -> None:
    bucket = await learned(redis, (1000, 1000), output=(6000, 600))
    assert await bucket.enter(1, size=Size(3, 1000))
    await bucket.leave(1, spent=spent(1, 3000))
    left = await redis.hget(f"er:{{g0}}:throttle:{BUCKET}", "left:output")
    assert await bucket.enter(2, size=Size(3, 0)) is False
    assert float(left) < -2000
    assert (await bucket.grant(3, size=Size(3, 0))).places == 0


async def test_a_smaller_limit_holds_from_the_answer_that_tells_it(redis: Redis) -> None:
    bucket = await learned(redis, (600, 600))
    assert await bucket.enter(1)
    await bucket.leave(1, told=told((60, 0)))
    assert (await bucket.figures()).requests_max == 60
    assert await bucket.enter_all(first=10) == 1
    assert (await bucket.grant(50)).next_ms == 1000


async def test_what_is_left_never_exceeds_what_a_minute_allows(redis: Redis) -> None:
    bucket = await learned(redis, (60, 30))
    bucket.pass_s(3600)
    assert (await bucket.figures()).requests_left == 60


async def test_a_clock_that_is_set_back_gives_nothing_away(redis: Redis) -> None:
    bucket = await learned(redis, (600, 3))
    before = (await bucket.figures()).requests_left
    bucket.pass_s(-3600)
    assert await bucket.enter(1)
    assert before is not None
    assert (await bucket.figures()).requests_left == before - 1
    bucket.pass_s(0.1)
    assert (await bucket.figures()).requests_left == before


async def test_a_refused_call_is_not_charged(redis: Redis) -> None:
    bucket = await learned(redis, (600, 10), input=(60_000, 5000))
    before = await redis.hmget(f"er:{{g0}}:throttle:{BUCKET}", "left:requests", "left:input")
    for call, end in enumerate((End.LIMITED, End.OVERLOADED, End.UNUSED), start=1):
        assert await bucket.enter(call)
        await bucket.leave(call, end, after_s=0)
    assert await redis.hmget(f"er:{{g0}}:throttle:{BUCKET}", "left:requests", "left:input") == before


async def test_a_call_that_failed_stays_charged(redis: Redis) -> None:
    bucket = await learned(redis, (600, 10))
    assert await bucket.enter(1)
    await bucket.leave(1, End.FAILED)
    assert (await bucket.figures()).requests_left == 8


async def test_after_a_day_without_a_call_all_is_forgotten(redis: Redis) -> None:
    bucket = await learned(redis, (600, 10))
    assert await bucket.enter(1)
    for kind in ("throttle", "places", "calls"):
        assert 86_000_000 < await redis.pttl(f"er:{{g0}}:{kind}:{BUCKET}") <= 86_400_000
    assert await bucket.throttle.figures(["other:claude-haiku-5-5"]) == {}
