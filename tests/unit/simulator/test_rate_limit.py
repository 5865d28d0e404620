"""A key that asks too much in a minute is told to wait, and every answer says what is left."""

import pytest

from eventroute.errors import Refused
from eventroute_cli.simulator.errors import ApiError
from eventroute_cli.simulator.limits import LimitChange, Limiter, Limits, RateLimits, parse_change, parse_limit
from eventroute_cli.simulator.models import MODELS

NOW = 1_800_000_000.0


def limiter_of(limits: RateLimits) -> Limiter:
    return Limiter(limits, NOW)


def told(limiter: Limiter, now: float = NOW) -> dict[str, str]:
    return {name.removeprefix("anthropic-ratelimit-"): value for name, value in limiter.headers(now).items()}


def make(
    limiter: Limiter, output_tokens: int, *, cached_tokens: int = 0, now: float = NOW, over_s: float = 0.0
) -> None:
    limiter.settle(cached_tokens=cached_tokens, output_tokens=output_tokens, now=now, over_s=over_s)


def refusal(limiter: Limiter, now: float) -> ApiError | None:
    try:
        limiter.admit(0, now)
    except ApiError as error:
        return error
    return None


def test_headers_say_limit_what_is_left_and_when_it_is_whole_again() -> None:
    limiter = limiter_of(RateLimits(60, 60_000, 8_000))
    limiter.admit(30_400, NOW)
    make(limiter, 4_600)
    assert told(limiter) == {
        "requests-limit": "60",
        "requests-remaining": "59",
        "requests-reset": "2027-01-15T08:00:01Z",
        "input-tokens-limit": "60000",
        "input-tokens-remaining": "30000",
        "input-tokens-reset": "2027-01-15T08:00:31Z",
        "output-tokens-limit": "8000",
        "output-tokens-remaining": "3000",
        "output-tokens-reset": "2027-01-15T08:00:35Z",
        "tokens-limit": "68000",
        "tokens-remaining": "33000",
        "tokens-reset": "2027-01-15T08:00:35Z",
    }


@pytest.mark.parametrize(
    ("tokens_in", "tokens_out", "named"), [(60_000, 10, "input-tokens"), (10, 9_000, "output-tokens")]
)
def test_tokens_are_those_of_the_bucket_that_is_empty(tokens_in: int, tokens_out: int, named: str) -> None:
    limiter = limiter_of(RateLimits(60, 60_000, 8_000))
    limiter.admit(tokens_in, NOW)
    make(limiter, tokens_out)
    headers = told(limiter)
    assert headers["tokens-remaining"] == "0"
    for part in ("limit", "remaining", "reset"):
        assert headers[f"tokens-{part}"] == headers[f"{named}-{part}"]


@pytest.mark.parametrize(
    ("limits", "spent", "named", "wait"),
    [
        (RateLimits(requests=2), (0, 0, 2), "2 requests", "30"),
        (RateLimits(input_tokens=600), (590, 0, 1), "600 input tokens", "9"),
        (RateLimits(output_tokens=60), (0, 90, 1), "60 output tokens", "31"),
    ],
)
def test_the_tightest_limit_refuses_and_names_the_wait(
    limits: RateLimits, spent: tuple[int, int, int], named: str, wait: str
) -> None:
    limiter = limiter_of(limits)
    tokens_in, tokens_out, requests = spent
    for _ in range(requests):
        limiter.admit(tokens_in, NOW)
    make(limiter, tokens_out)
    with pytest.raises(ApiError, match=named) as caught:
        limiter.admit(100, NOW)
    assert (caught.value.status, caught.value.kind, caught.value.code) == (429, "rate_limit_error", "")
    assert caught.value.headers == {"retry-after": wait}


def test_after_the_wait_the_request_is_admitted_and_not_a_second_earlier() -> None:
    limiter = limiter_of(RateLimits(requests=2))
    limiter.admit(0, NOW)
    limiter.admit(0, NOW)
    with pytest.raises(ApiError):
        limiter.admit(0, NOW + 29)
    limiter.admit(0, NOW + 30)


def test_a_minutes_requests_may_have_to_come_one_by_one() -> None:
    limiter = limiter_of(RateLimits(requests=60, burst_s=1))
    limiter.admit(0, NOW)
    assert told(limiter)["requests-remaining"] == "59"
    with pytest.raises(ApiError, match="60 requests per minute") as caught:
        limiter.admit(0, NOW + 0.5)
    assert caught.value.headers == {"retry-after": "1"}
    limiter.admit(0, NOW + 1)


def test_a_refused_request_costs_nothing() -> None:
    limiter = limiter_of(RateLimits(requests=10, input_tokens=100))
    limiter.admit(100, NOW)
    with pytest.raises(ApiError):
        limiter.admit(100, NOW)
    assert told(limiter)["requests-remaining"] == "9"


def test_a_prompt_above_the_whole_limit_waits_for_a_full_bucket_and_then_goes() -> None:
    limiter = limiter_of(RateLimits(input_tokens=100))
    limiter.admit(1000, NOW)
    with pytest.raises(ApiError):
        limiter.admit(1, NOW + 500)
    limiter.admit(1000, NOW + 600)


def test_what_the_cache_held_is_given_back_while_the_answer_is_made() -> None:
    limiter = limiter_of(RateLimits(input_tokens=60_000))
    limiter.admit(50_000, NOW)
    make(limiter, 0, cached_tokens=40_000, over_s=10)
    assert [told(limiter, NOW + second)["input-tokens-remaining"] for second in (0, 1, 5, 10, 20)] == [
        "10000", "15000", "35000", "60000", "60000",
    ]  # fmt: skip


def test_output_is_charged_as_it_is_made_and_may_be_more_than_there_was() -> None:
    limiter = limiter_of(RateLimits(output_tokens=6_000))
    limiter.admit(0, NOW)
    make(limiter, 12_000, over_s=10)
    limiter.admit(0, NOW + 5)
    with pytest.raises(ApiError, match="output tokens") as caught:
        limiter.admit(0, NOW + 10)
    assert caught.value.headers == {"retry-after": "51"}


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    limiter = limiter_of(RateLimits(requests=1))
    limiter.admit(0, NOW)
    with pytest.raises(ApiError):
        limiter.admit(0, NOW - 3600)
    with pytest.raises(ApiError):
        limiter.admit(0, NOW + 59)


def test_growth_beyond_twice_the_last_ten_seconds_is_refused_until_the_next_ten() -> None:
    limiter = limiter_of(RateLimits(ramp=3))

    def admitted(at: float) -> int:
        refused = None
        count = -1
        while refused is None:
            refused, count = refusal(limiter, at), count + 1
        assert (refused.status, refused.code) == (429, "ramp_limit_exceeded")
        assert refused.headers == {"retry-after": "6"}
        return count

    assert [admitted(NOW + 4 + second) for second in (0, 10, 20)] == [3, 6, 12]
    assert admitted(NOW + 44) == 3  # after ten idle seconds it begins anew


def test_a_limit_that_is_halved_holds_at_once_and_keeps_what_was_used() -> None:
    limits = Limits(RateLimits(requests=60))
    limiter = limits.limiter("key", "claude-haiku-5-5", NOW)
    for _ in range(10):
        limiter.admit(0, NOW)
    limits.change(LimitChange(requests=30), NOW)
    assert (told(limiter)["requests-limit"], told(limiter)["requests-remaining"]) == ("30", "30")
    for _ in range(30):
        limiter.admit(0, NOW)
    with pytest.raises(ApiError, match="30 requests") as caught:
        limiter.admit(0, NOW)
    assert caught.value.headers == {"retry-after": "2"}
    limits.change(LimitChange(requests=120, burst_s=30), NOW)
    assert told(limiter, NOW + 10)["requests-remaining"] == "20"


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("claude-opus-4-5", "claude-opus-4-8", True),
        ("claude-sonnet-4-6", "claude-sonnet-5", False),
        ("claude-fable-5", "claude-fable-5-2", True),
        ("claude-opus-5", "claude-opus-5-5", False),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001", True),
        ("claude-haiku-4-5", "claude-haiku-5-5", False),
    ],
)
def test_models_of_one_pool_share_its_limits(one: str, other: str, *, shared: bool) -> None:
    limits = Limits(RateLimits())
    assert (limits.limiter("key", one, NOW) is limits.limiter("key", other, NOW)) == shared


def test_each_key_has_limits_of_its_own_and_each_model_a_pool() -> None:
    limits = Limits(RateLimits())
    limiters = {limits.limiter(key, model, NOW) for key in ("a", "b") for model in MODELS}
    assert len(limiters) == 2 * len(limits.shown())


def test_a_change_touches_its_pool_only_and_what_it_does_not_name_stays() -> None:
    limits = Limits(RateLimits(requests=9), [LimitChange(pool="claude-opus-4", input_tokens=7)])
    limits.change(LimitChange(pool="claude-opus-4", ramp=5), NOW)
    shown = limits.shown()
    assert shown["claude-opus-4"] == RateLimits(requests=9, input_tokens=7, ramp=5)
    assert {shown[pool] for pool in shown if pool != "claude-opus-4"} == {RateLimits(requests=9)}
    limits.change(LimitChange(ramp=None, requests=8), NOW)
    assert set(limits.shown().values()) == {RateLimits(requests=8, input_tokens=7), RateLimits(requests=8)}


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("requests=60", LimitChange(requests=60)),
        ("claude-haiku-5-5,requests=60,burst_s=0.5", LimitChange(pool="claude-haiku-5-5", requests=60, burst_s=0.5)),
        ("input_tokens=1,output_tokens=2,ramp=3", LimitChange(input_tokens=1, output_tokens=2, ramp=3)),
    ],
)
def test_the_short_form_reads_as_written(text: str, change: LimitChange) -> None:
    assert parse_limit(text) == change


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("haiku,requests=1", "unknown pool 'haiku'"),
        ("requests=0", "requests"),
        ("rpm=1", "rpm"),
        ("burst_s=61", "burst_s"),
    ],
)
def test_a_mistake_in_a_limit_is_named(text: str, named: str) -> None:
    with pytest.raises(Refused, match=named):
        parse_limit(text)


@pytest.mark.parametrize("document", [b"", b"[]", b'{"requests": -1}', b'{"pool": "haiku"}', b"\xff", b"[" * 100_000])
def test_a_mistake_in_a_change_is_refused(document: bytes) -> None:
    with pytest.raises(Refused, match="limits: "):
        parse_change(document)
