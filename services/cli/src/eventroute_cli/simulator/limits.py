"""How much a key may ask per minute: token buckets, told in the headers of every answer as the API does.

One bucket each for requests, input and output tokens, per key and model pool. A bucket refills steadily. Input is
charged as an estimate of the whole prompt when the request arrives, and what the cache held is given back while the
answer is made; output is charged as it is made. Beyond the buckets, requests may come too close together (`burst_s`)
or become too many too fast (`ramp`). All of it can be changed while the simulator runs.
Source: platform.claude.com/docs/en/api/rate-limits, October 2026.
"""

import hashlib
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import msgspec

from eventroute.errors import Refused
from eventroute_cli.simulator.errors import ApiError
from eventroute_cli.simulator.models import MODELS, POOLS

_MINUTE_S: Final = 60.0
_RAMP_S: Final = 10  # arbitrary: the API does not say how it measures growth
_RAMP_FACTOR: Final = 2  # the same
_ROUNDED_TO: Final = 1000
_ROUNDING_ERROR: Final = 1e-6

_Limit = Annotated[int, msgspec.Meta(ge=1)]
_BurstSeconds = Annotated[float, msgspec.Meta(gt=0, le=_MINUTE_S)]
_Ramp = Annotated[int, msgspec.Meta(ge=1)]


class RateLimits(msgspec.Struct, frozen=True):
    """What a minute allows to a key in one pool; the defaults are out of a laptop's reach."""

    requests: _Limit = 1_000_000
    input_tokens: _Limit = 1_000_000_000
    output_tokens: _Limit = 1_000_000_000
    burst_s: _BurstSeconds = _MINUTE_S
    """How many seconds' worth of requests may come at once: at 1, sixty a minute are one a second."""
    ramp: _Ramp | None = None
    """Requests in ten seconds that are no growth; above, at most twice as many as in the ten before. None = any."""


NO_LIMITS: Final = RateLimits()


class LimitChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """New limits; what is absent stays."""

    pool: str = ""
    """A pool of `POOLS`; empty = all."""
    requests: _Limit | msgspec.UnsetType = msgspec.UNSET
    input_tokens: _Limit | msgspec.UnsetType = msgspec.UNSET
    output_tokens: _Limit | msgspec.UnsetType = msgspec.UNSET
    burst_s: _BurstSeconds | msgspec.UnsetType = msgspec.UNSET
    ramp: _Ramp | msgspec.UnsetType | None = msgspec.UNSET

    def __post_init__(self) -> None:
        """Refuse a pool that does not exist."""
        if self.pool and self.pool not in POOLS:
            raise ValueError(f"unknown pool {self.pool!r}; there are {', '.join(POOLS)}")

    def applied_to(self, limits: RateLimits) -> RateLimits:
        """Build the limits that hold from now on."""
        given = {name: getattr(self, name) for name in RateLimits.__struct_fields__}
        return msgspec.structs.replace(
            limits, **{name: value for name, value in given.items() if value is not msgspec.UNSET}
        )


class _Bucket:
    """Fills steadily up to `capacity`; what is charged over a time is taken bit by bit."""

    def __init__(self) -> None:
        self.limit = 1
        self._capacity = self._level = math.inf
        self._at = 0.0
        self._charges: list[tuple[float, float]] = []
        """End and rest of each charge that is not taken yet; a negative rest is given back."""

    def allow(self, limit: int, burst_s: float, now: float) -> None:
        """Set the limit per minute; what is above the new capacity is lost."""
        self.level(now)
        self.limit = limit
        self._capacity = max(1.0, limit * burst_s / _MINUTE_S)
        self._level = min(self._level, self._capacity)

    def level(self, now: float) -> float:
        """Say what is left; less than nothing is possible, since output is known only when it is there."""
        now = max(now, self._at)  # a clock that steps back gives nothing away
        elapsed_s = now - self._at
        used = sum(rest * _share(elapsed_s, end - self._at) for end, rest in self._charges)
        self._charges = [
            (end, rest * (1 - _share(elapsed_s, end - self._at))) for end, rest in self._charges if end > now
        ]
        self._level = min(self._capacity, self._level + elapsed_s * self.limit / _MINUTE_S - used)
        self._at = now
        return self._level

    def charge(self, amount: float, now: float, *, over_s: float = 0.0) -> None:
        if over_s:
            self.level(now)
            self._charges.append((now + over_s, amount))
        else:
            self._level = min(self._capacity, self.level(now) - amount)

    def wait_s(self, amount: int, now: float) -> float:
        """Say in how many seconds an amount fits; more than a whole bucket waits for a full one."""
        missing = min(amount, self._capacity) - self.level(now)
        return missing * _MINUTE_S / self.limit if missing > _ROUNDING_ERROR else 0.0

    def full_at(self, now: float) -> float:
        return now + (self._capacity - self.level(now)) * _MINUTE_S / self.limit


def _share(elapsed_s: float, left_s: float) -> float:
    return 1.0 if elapsed_s >= left_s else elapsed_s / left_s


class _Growth:
    """Counts requests in windows of ten seconds."""

    def __init__(self) -> None:
        self._window = 0
        self._count = self._before = 0

    def wait_s(self, allowed: int | None, now: float) -> float:
        """Say in how many seconds another request is no longer too fast a growth."""
        self._move(now)
        if allowed is None or self._count < max(allowed, _RAMP_FACTOR * self._before):
            return 0.0
        return (self._window + 1) * _RAMP_S - now

    def count(self, now: float) -> None:
        self._move(now)
        self._count += 1

    def _move(self, now: float) -> None:
        window = int(now // _RAMP_S)
        if window > self._window:
            self._before = self._count if window == self._window + 1 else 0
            self._window, self._count = window, 0


class Limiter:
    """What one key has left in one pool. Times are Unix times in seconds."""

    def __init__(self, limits: RateLimits, now: float) -> None:
        """Start with full buckets."""
        self._buckets = {name: _Bucket() for name in ("requests", "input-tokens", "output-tokens")}
        self._burst = _Bucket()
        self._growth = _Growth()
        self.change(limits, now)

    def change(self, limits: RateLimits, now: float) -> None:
        """Let other limits hold from now on; what was used stays used."""
        self._limits = limits
        figures = (limits.requests, limits.input_tokens, limits.output_tokens)
        for bucket, limit in zip(self._buckets.values(), figures, strict=True):
            bucket.allow(limit, _MINUTE_S, now)
        self._burst.allow(limits.requests, limits.burst_s, now)

    def admit(self, input_tokens: int, now: float) -> None:
        """Charge one request and the estimate of its prompt, or raise the API's 429 with the time to wait."""
        wanted = {"requests": 1, "input-tokens": input_tokens, "output-tokens": 1}
        waits = {name: self._buckets[name].wait_s(amount, now) for name, amount in wanted.items()}
        waits["requests"] = max(waits["requests"], self._burst.wait_s(1, now))
        name = max(waits, key=lambda name: waits[name])
        if waits[name] > 0:
            limit = f"{self._buckets[name].limit:,} {name.replace('-', ' ')} per minute"
            raise _too_many(f"This request would exceed your rate limit of {limit}", waits[name])
        if (wait_s := self._growth.wait_s(self._limits.ramp, now)) > 0:
            raise _too_many(
                "This request would exceed the rate at which your usage may grow", wait_s, code="ramp_limit_exceeded"
            )
        for bucket in (self._buckets["requests"], self._burst):
            bucket.charge(1, now)
        self._growth.count(now)
        self._buckets["input-tokens"].charge(input_tokens, now)

    def settle(self, *, cached_tokens: int, output_tokens: int, now: float, over_s: float) -> None:
        """Charge an answer that is being made, and give back what the cache held of its prompt.

        over_s  how long it takes, in seconds
        """
        self._buckets["input-tokens"].charge(-cached_tokens, now, over_s=over_s)
        self._buckets["output-tokens"].charge(output_tokens, now, over_s=over_s)

    def headers(self, now: float) -> dict[str, str]:
        """Write the rate-limit headers."""
        told = {
            name: _Told(bucket.limit, bucket.level(now), bucket.full_at(now)) for name, bucket in self._buckets.items()
        }
        told["tokens"] = _together(told["input-tokens"], told["output-tokens"])
        headers = {}
        for name, (limit, left, reset) in told.items():
            rounded = int(left) if name == "requests" else round(left / _ROUNDED_TO) * _ROUNDED_TO
            headers[f"anthropic-ratelimit-{name}-limit"] = str(limit)
            headers[f"anthropic-ratelimit-{name}-remaining"] = str(max(0, rounded))
            headers[f"anthropic-ratelimit-{name}-reset"] = _rfc3339(reset)
        return headers


class _Told(NamedTuple):
    """What the headers say of a bucket."""

    limit: int
    left: float
    reset: float
    """Unix time in seconds at which it is full."""


def _together(tokens_in: _Told, tokens_out: _Told) -> _Told:
    """Sum up both kinds of tokens, unless one of them is what refuses."""
    tighter = min(tokens_in, tokens_out, key=lambda told: told.left)
    if tighter.left < 1:
        return tighter
    reset = max(tokens_in.reset, tokens_out.reset)
    return _Told(tokens_in.limit + tokens_out.limit, tokens_in.left + tokens_out.left, reset)


class Limits:
    """The limits of all pools, and what each key has left. Each key is an organization of its own."""

    def __init__(self, limits: RateLimits, changes: Iterable[LimitChange] = ()) -> None:
        """Give every pool the same limits, then change what the second argument says."""
        self._limits = dict.fromkeys(POOLS, limits)
        self._limiters: dict[tuple[str, str], Limiter] = {}
        for change in changes:
            self.change(change, 0.0)

    def change(self, change: LimitChange, now: float) -> None:
        """Let other limits hold, for every key."""
        for pool in [change.pool] if change.pool else self._limits:
            self._limits[pool] = change.applied_to(self._limits[pool])
        for (_, pool), limiter in self._limiters.items():
            if not change.pool or pool == change.pool:
                limiter.change(self._limits[pool], now)

    def limiter(self, key: str, model: str, now: float) -> Limiter:
        """Find what a key has left for a model."""
        pool = MODELS[model].pool
        if (key, pool) not in self._limiters:
            self._limiters[key, pool] = Limiter(self._limits[pool], now)
        return self._limiters[key, pool]

    def shown(self) -> dict[str, RateLimits]:
        """List the limits of each pool."""
        return self._limits


def organization_of(key: str) -> str:
    """Name the organization of a key, as `anthropic-organization-id` does."""
    return str(UUID(bytes=hashlib.sha256(key.encode()).digest()[:16], version=4))


def parse_change(document: bytes) -> LimitChange:
    """Read a change as a JSON object; raises `Refused` with the place of the mistake."""
    try:
        return msgspec.json.decode(document, type=LimitChange)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"limits: {error}") from error


def parse_limit(text: str) -> LimitChange:
    """Read the short form of the command line, `[POOL,]FIELD=VALUE…`, such as `claude-haiku-5-5,requests=60`."""
    first, *rest = text.split(",")
    named = [first, *rest] if "=" in first else [f"pool={first}", *rest]
    fields = dict(option.partition("=")[::2] for option in named)
    try:
        return msgspec.convert(fields, LimitChange, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(f"limit {text!r}: {error}; a limit is [POOL,]FIELD=VALUE…") from error


def _too_many(message: str, wait_s: float, *, code: str = "") -> ApiError:
    return ApiError(429, "rate_limit_error", message, code=code, headers={"retry-after": str(math.ceil(wait_s))})


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(math.ceil(at), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
