"""A key that asks too much in a minute is told to wait, and every answer says what is left."""

import pytest

from eventroute_cli.simulator.limits import Limiter, RateLimits
from eventroute_cli.simulator.request import ApiError

NOW = 1_800_000_000.0


def test_headers_say_limit_what_is_left_and_when_it_is_whole_again() -> None:
    limiter = Limiter(RateLimits(60, 6000, 600))
    limiter.admit(3000, NOW)
    limiter.charge_output(60, NOW)
    headers = limiter.headers(NOW)
    assert {name.removeprefix("anthropic-ratelimit-"): value for name, value in headers.items()} == {
        "requests-limit": "60",
        "requests-remaining": "59",
        "requests-reset": "2027-01-15T08:00:01Z",
        "input-tokens-limit": "6000",
        "input-tokens-remaining": "3000",
        "input-tokens-reset": "2027-01-15T08:00:30Z",
        "output-tokens-limit": "600",
        "output-tokens-remaining": "540",
        "output-tokens-reset": "2027-01-15T08:00:06Z",
        "tokens-limit": "600",
        "tokens-remaining": "540",
        "tokens-reset": "2027-01-15T08:00:06Z",
    }


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
    limiter = Limiter(limits)
    tokens_in, tokens_out, requests = spent
    for _ in range(requests):
        limiter.admit(tokens_in, NOW)
    limiter.charge_output(tokens_out, NOW)
    with pytest.raises(ApiError, match=named) as caught:
        limiter.admit(100, NOW)
    assert (caught.value.status, caught.value.headers) == (429, {"retry-after": wait})


def test_after_the_wait_the_request_is_admitted_and_not_a_second_earlier() -> None:
    limiter = Limiter(RateLimits(requests=2))
    limiter.admit(0, NOW)
    limiter.admit(0, NOW)
    with pytest.raises(ApiError):
        limiter.admit(0, NOW + 29)
    limiter.admit(0, NOW + 30)


def test_a_refused_request_costs_nothing() -> None:
    limiter = Limiter(RateLimits(requests=10, input_tokens=100))
    limiter.admit(100, NOW)
    with pytest.raises(ApiError):
        limiter.admit(100, NOW)
    assert limiter.headers(NOW)["anthropic-ratelimit-requests-remaining"] == "9"


def test_a_prompt_above_the_whole_limit_waits_for_a_full_bucket_and_then_goes() -> None:
    limiter = Limiter(RateLimits(input_tokens=100))
    limiter.admit(1000, NOW)
    with pytest.raises(ApiError):
        limiter.admit(1, NOW + 500)
    limiter.admit(1000, NOW + 600)


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    limiter = Limiter(RateLimits(requests=1))
    limiter.admit(0, NOW)
    with pytest.raises(ApiError):
        limiter.admit(0, NOW - 3600)
