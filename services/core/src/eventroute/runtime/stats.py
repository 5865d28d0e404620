"""What a route's status tells of its traffic: counted in each process, added up in Redis every few seconds.

Counting is a dict update and never waits. A write that fails keeps its figures for the next one; `writing` makes the
last write when a program ends. What a killed process had not written, five seconds at most, the status never tells,
and a write whose reply got lost counts twice: the figures are for people; `/metrics` and the deliveries know better.
"""

import asyncio
import functools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Final, TypeVar

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from eventroute import keys
from eventroute.ids import DeliveryId, RouteUid
from eventroute.outcome import LeftOut, Receipt, RunOutcome
from eventroute.runtime import background
from eventroute.runtime.scripts import Script

WRITE_S: Final = 5.0
"""How old the figures in Redis may be."""

_LIFETIME_S: Final = 30 * 86_400  # after the last write: a status need not tell more of a route without events
_LAST_WRITE_S: Final = 2.0  # how long a program that ends waits for Redis; arbitrary
_MAX_DIGITS: Final = 14  # of a count, or of a time until the year 5138
_MAX_TYPES: Final = 16  # event types told of each cause, as in `stats.lua`; arbitrary, the others count as one
_TYPE_CHARS: Final = 40
_SCRIPT: Final = Script(__package__ or "", "stats")

_log = structlog.get_logger()


class LastDelivery(msgspec.Struct, frozen=True):
    """The newest thing that happened to a route: a delivery was accepted, or its run ended."""

    time_ms: Annotated[int, msgspec.Meta(ge=0, lt=10**_MAX_DIGITS)]
    """Unix milliseconds."""
    outcome: Annotated[str, msgspec.Meta(max_length=64)]
    """`queued`, or how the run ended."""
    delivery: Annotated[str, msgspec.Meta(max_length=64)]
    trace_id: Annotated[str, msgspec.Meta(max_length=32)]
    """32 hex digits; empty without a trace."""


_Count = Annotated[int, msgspec.Meta(ge=0, lt=10**_MAX_DIGITS)]


class Effect(msgspec.Struct):
    """What has come of the events that one generation of a route received."""

    generation: int
    since_ms: _Count
    """When the first of them was told of, Unix milliseconds."""
    queued: int = 0
    """How many went into the queue."""
    asked: int = 0
    """How many attempts found a prompt for their event."""
    left: dict[LeftOut, dict[str, _Count]] = msgspec.field(default_factory=dict)
    """How many were left out, by cause and event type; those beyond the first types have none."""

    def leave(self, cause: LeftOut, event_type: str, count: int) -> None:
        """Count events that were left out."""
        types = self.left.setdefault(cause, {})
        name = event_type[:_TYPE_CHARS]
        if name not in types and len(types) >= _MAX_TYPES:
            name = ""
        types[name] = types.get(name, 0) + count

    def add(self, earlier: "Effect") -> None:
        """Add what was counted before, if it was of the same generation."""
        if earlier.generation != self.generation:
            return
        self.since_ms = min(self.since_ms, earlier.since_ms)
        self.queued += earlier.queued
        self.asked += earlier.asked
        for cause, types in earlier.left.items():
            for event_type, count in types.items():
                self.leave(cause, event_type, count)


class RouteStats(msgspec.Struct, frozen=True):
    """What is known of one route's traffic."""

    receipts: dict[str, int]
    """`Receipt` → events of a verified request that were settled, or requests that were answered without."""
    runs: dict[str, int]
    """`RunOutcome` → deliveries that ended so."""
    last: LastDelivery | None
    secrets: dict[str, int]
    """`<Secret>/<key>` → when it last matched, Unix milliseconds."""
    effect: Effect | None = None
    """Of the newest generation that has received any; None = none has."""


class _Figures(msgspec.Struct):
    """What one route's part of a `Tally` holds until it is written."""

    receipts: Counter[str] = msgspec.field(default_factory=Counter)
    runs: Counter[str] = msgspec.field(default_factory=Counter)
    secrets: dict[str, int] = msgspec.field(default_factory=dict)
    last: LastDelivery | None = None
    effect: Effect | None = None


class Tally:
    """What a process has counted and not yet written."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._routes: dict[RouteUid, _Figures] = {}

    def add_receipt(self, route: RouteUid, outcome: Receipt, *, count: int = 1) -> None:
        """Count a request, or the events of one that were settled alike."""
        self._of(route).receipts[outcome] += count

    def add_match(self, route: RouteUid, secret: str, *, time_ms: int) -> None:
        """Note that a secret, named `<Secret>/<key>`, has proven a request genuine."""
        self._of(route).secrets[secret] = time_ms

    def add_accepted(
        self, route: RouteUid, delivery: DeliveryId, *, generation: int, time_ms: int, trace_id: str
    ) -> None:
        """Note the delivery that was accepted last; `add_receipt` counts it."""
        figures = self._of(route)
        figures.last = LastDelivery(time_ms, Receipt.QUEUED, delivery, trace_id)
        _effect(figures, generation).queued += 1

    def add_left(self, route: RouteUid, cause: LeftOut, types: Iterable[str], *, generation: int) -> None:
        """Note the types of events that end here, without a call to Claude."""
        effect = _effect(self._of(route), generation)
        for event_type in types:
            effect.leave(cause, event_type, 1)

    def add_asked(self, route: RouteUid, *, generation: int) -> None:
        """Note that there is a prompt for an event of a route."""
        _effect(self._of(route), generation).asked += 1

    def add_run(self, route: RouteUid, outcome: RunOutcome, delivery: DeliveryId, *, trace_id: str) -> None:
        """Count a delivery that has ended just now."""
        figures = self._of(route)
        figures.runs[outcome] += 1
        figures.last = LastDelivery(time.time_ns() // 1_000_000, outcome, delivery, trace_id)

    async def flush(self, redis: Redis) -> None:
        """Write what is new in one pipeline; when Redis does not take it, keep it and raise `RedisError`."""
        taken, self._routes = self._routes, {}
        if not taken:
            return
        try:
            async with redis.pipeline(transaction=False) as pipe:
                for route, figures in taken.items():
                    pipe.eval(_SCRIPT.source, 1, keys.stats(route), msgspec.json.encode(figures), _LIFETIME_S)
                replies = await pipe.execute(raise_on_error=False)
        except BaseException:
            self._take_back(taken)
            raise
        failed = {route: reply for route, reply in zip(taken, replies, strict=True) if isinstance(reply, Exception)}
        self._take_back({route: taken[route] for route in failed})
        for error in failed.values():
            raise error

    def _of(self, route: RouteUid) -> _Figures:
        figures = self._routes.get(route)
        if figures is None:
            figures = self._routes[route] = _Figures()
        return figures

    def _take_back(self, routes: dict[RouteUid, _Figures]) -> None:
        """Add what was not written to what has been counted meanwhile."""
        for route, old in routes.items():
            figures = self._of(route)
            figures.receipts += old.receipts
            figures.runs += old.runs
            figures.secrets = old.secrets | figures.secrets
            figures.last = figures.last or old.last
            if figures.effect is None:
                figures.effect = old.effect
            elif old.effect is not None:
                figures.effect.add(old.effect)


def _effect(figures: _Figures, generation: int) -> Effect:
    """Find what is counted of a generation; with another one, counting begins anew, and Redis keeps the newest."""
    effect = figures.effect
    if effect is None or effect.generation != generation:
        effect = figures.effect = Effect(generation, time.time_ns() // 1_000_000)
    return effect


@asynccontextmanager
async def writing(tally: Tally, redis: Redis) -> AsyncIterator[None]:
    """Write a tally every few seconds while the block runs, and once more after it."""
    try:
        async with background.running(functools.partial(_write, tally, redis)):
            yield
    finally:
        try:
            async with asyncio.timeout(_LAST_WRITE_S):
                await tally.flush(redis)
        except (RedisError, OSError) as error:  # a TimeoutError is an OSError
            _log.warning("statistics_lost", error=type(error).__name__)


async def _write(tally: Tally, redis: Redis) -> None:
    is_told = False
    while True:
        await asyncio.sleep(WRITE_S)
        try:
            await tally.flush(redis)
            is_told = False
        except (RedisError, OSError) as error:
            if not is_told:
                _log.warning("statistics_not_written", error=type(error).__name__)
            is_told = True


async def read_stats(redis: Redis, routes: Sequence[RouteUid]) -> list[RouteStats]:
    """Read the statistics of these routes in one pipeline; a route without any has empty ones."""
    async with redis.pipeline(transaction=False) as pipe:
        for route in routes:
            pipe.hgetall(keys.stats(route))
        return [_parse(fields) for fields in await pipe.execute()]


def _parse(fields: dict[bytes, bytes]) -> RouteStats:
    """Read what is understood: another version may have counted other things, and receivers face the internet."""
    numbers: dict[str, dict[str, int]] = {"receipts": {}, "runs": {}, "secrets": {}}
    for field, value in fields.items():
        kind, _, name = field.decode(errors="replace").partition(":")
        if name and kind in numbers and value.isdigit() and len(value) <= _MAX_DIGITS:
            numbers[kind][name] = int(value)
    last, effect = _parse_part(fields.get(b"last"), LastDelivery), _parse_part(fields.get(b"effect"), Effect)
    return RouteStats(**numbers, last=last, effect=effect)


_Part = TypeVar("_Part", LastDelivery, Effect)


def _parse_part(text: bytes | None, kind: type[_Part]) -> _Part | None:
    try:
        return None if text is None else msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
