"""How much a key may ask per minute: token buckets, told in the headers of every answer as the API does.

One bucket each for requests, input and output tokens, per key and model family. A bucket refills steadily.
Source: platform.claude.com/docs/en/api/rate-limits.
"""

import math
from datetime import UTC, datetime
from typing import Final, NamedTuple

from eventroute_cli.simulator.request import ApiError

_MINUTE_S: Final = 60.0


class RateLimits(NamedTuple):
    """What one minute allows; the defaults are out of a laptop's reach."""

    requests: int = 1_000_000
    input_tokens: int = 1_000_000_000
    output_tokens: int = 1_000_000_000


NO_LIMITS: Final = RateLimits()


class _Bucket:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._level = float(limit)
        self._at = 0.0

    def level(self, now: float) -> float:
        self._level = min(float(self.limit), self._level + max(0.0, now - self._at) * self.limit / _MINUTE_S)
        self._at = now
        return self._level

    def charge(self, amount: int, now: float) -> None:
        self._level = self.level(now) - amount

    def wait_s(self, amount: int, now: float) -> float:
        """Say in how many seconds an amount fits; more than a whole bucket waits for a full one."""
        missing = min(amount, self.limit) - self.level(now)
        return max(0.0, missing * _MINUTE_S / self.limit)

    def full_at(self, now: float) -> float:
        return now + (self.limit - self.level(now)) * _MINUTE_S / self.limit


class Limiter:
    """The buckets of one key and model family."""

    def __init__(self, limits: RateLimits) -> None:
        """Start with full buckets."""
        self._buckets = {
            "requests": _Bucket(limits.requests),
            "input-tokens": _Bucket(limits.input_tokens),
            "output-tokens": _Bucket(limits.output_tokens),
        }

    def admit(self, input_tokens: int, now: float) -> None:
        """Charge one request, or raise the API's 429 with the time to wait.

        now  Unix time in seconds
        """
        wanted = {"requests": 1, "input-tokens": input_tokens, "output-tokens": 1}
        name, wait_s = max(
            ((name, self._buckets[name].wait_s(amount, now)) for name, amount in wanted.items()),
            key=lambda item: item[1],
        )
        if wait_s > 0:
            limit = self._buckets[name].limit
            raise ApiError(
                429,
                "rate_limit_error",
                f"This request would exceed your rate limit of {limit:,} {name.replace('-', ' ')} per minute",
                headers={"retry-after": str(math.ceil(wait_s))},
            )
        self._buckets["requests"].charge(1, now)
        self._buckets["input-tokens"].charge(input_tokens, now)

    def charge_output(self, tokens: int, now: float) -> None:
        """Charge an answer; output is known only afterwards, so the level may go below nothing."""
        self._buckets["output-tokens"].charge(tokens, now)

    def headers(self, now: float) -> dict[str, str]:
        """Write the rate-limit headers; `tokens` is the tighter of the two token buckets, as a client would see it."""
        tighter = min(("input-tokens", "output-tokens"), key=lambda name: self._buckets[name].level(now))
        headers = {}
        for name, bucket in (*self._buckets.items(), ("tokens", self._buckets[tighter])):
            headers[f"anthropic-ratelimit-{name}-limit"] = str(bucket.limit)
            headers[f"anthropic-ratelimit-{name}-remaining"] = str(max(0, int(bucket.level(now))))
            headers[f"anthropic-ratelimit-{name}-reset"] = _rfc3339(bucket.full_at(now))
        return headers


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(math.ceil(at), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
