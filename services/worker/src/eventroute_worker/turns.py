"""The worker's side of the throttle: a place for each call, and the turns of those that wait for one.

What the throttle decides stands in `eventroute.throttle`, where those that it refuses wait in `eventroute.queue`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from eventroute.ids import RoutePath
from eventroute.prompt import Prompt
from eventroute.queue import Group, Lease, Work
from eventroute.route_table import ModelCall
from eventroute.runtime.scripts import RedisAway, RedisForbids
from eventroute.throttle import End, Size, Spent, Throttle
from eventroute_worker import metrics
from eventroute_worker.answer import NOT_TOLD, Answer, Failed, GivenUp, Passing, Reply, Standing
from eventroute_worker.attempt import Ended, Throttled

_MARGIN_S: Final = 15.0  # a call is over so long after its time-out, whatever held it up on its way. Arbitrary
_AT_ONCE: Final = 50  # places asked for in one call: a millisecond of Redis' time. Arbitrary
_CONGESTED: Final = {429: End.LIMITED, 529: End.OVERLOADED}

_log = structlog.get_logger()


class NoPlace(Ended):
    """The delivery has to wait for its turn."""


class Place:
    """A place for one call."""

    def __init__(self, bucket: str, size: Size) -> None:
        """Take it before anybody was asked."""
        self.size = size
        self.is_asked = False
        self.reply: Reply | None = None
        self._bucket = bucket

    async def ask(self, call: Callable[[], Awaitable[Reply]]) -> Reply:
        """Make the call."""
        self.is_asked = True
        self.reply = reply = await call()
        return reply

    def check(self, reply: Reply) -> None:
        """Raise `NoPlace` where the API says that there are too many calls."""
        if isinstance(reply, Passing) and reply.status in _CONGESTED:
            raise NoPlace(Throttled(bucket=self._bucket, size=self.size, detail=reply.detail))


class Turns:
    """Places for calls, and the turns of those that wait."""

    def __init__(self, work: Work, throttle: Throttle, *, groups: Sequence[Group]) -> None:
        """Take the collaborators, and the groups whose deliveries may wait for the same places."""
        self._work = work
        self._throttle = throttle
        self._groups = groups
        self._wanted: dict[RoutePath, str] = {}
        """What the queue was told of routes."""
        self._granted: set[Lease] = set()
        """Attempts that have not taken the place that they were granted."""

    @asynccontextmanager
    async def attempt(self, lease: Lease) -> AsyncIterator[None]:
        """Run an attempt; a place that it was granted and has not taken by its end is for others at once."""
        if lease.granted:
            self._granted.add(lease)
        try:
            yield
        finally:
            if lease in self._granted:
                self._granted.remove(lease)
                await self._give_up(lease)

    @asynccontextmanager
    async def place(self, lease: Lease, bucket: str, call: ModelCall, prompt: Prompt) -> AsyncIterator[Place]:
        """Hold a place while the block runs; raises `NoPlace` when there is none."""
        await self._tell(lease, bucket)
        place = Place(bucket, _size(call, prompt))
        await self._enter(lease, bucket, place, lasts_ms=int((call.timeout_s + _MARGIN_S) * 1000))
        try:
            yield place
        finally:
            await self._leave(lease, bucket, place)

    async def serve(self, group: Group, free: int) -> None:
        """Let those go whose turn it is and for whom there are places, no more than there are free slots."""
        turn = await self._work.turn(group, count=min(free, _AT_ONCE))
        if turn is None:
            return
        granted = await self._throttle.grant(turn.bucket, turn.waiting, has_more=turn.has_more)
        metrics.GRANTED.inc(await self._work.call_up(group, turn, granted))

    async def _tell(self, lease: Lease, bucket: str) -> None:
        if self._wanted.get(lease.path) != bucket:
            await self._work.want(lease.group, lease.path, bucket)
            self._wanted[lease.path] = bucket

    async def _enter(self, lease: Lease, bucket: str, place: Place, *, lasts_ms: int) -> None:
        try:
            refused = await self._throttle.enter(
                bucket, lease.delivery, fence=lease.fence, size=place.size, lasts_ms=lasts_ms
            )
        except (RedisAway, asyncio.CancelledError):
            await self._leave(lease, bucket, place)  # it may have been taken all the same
            raise
        if bucket == lease.granted:  # a refusal has taken it back
            self._granted.discard(lease)
        if refused:
            raise NoPlace(Throttled(bucket=bucket, size=place.size, until_ms=refused.until_ms))

    async def _leave(self, lease: Lease, bucket: str, place: Place) -> None:
        """Give the place back; a Redis that is away then lets it end by itself."""
        reply = place.reply
        end = _end(reply) if place.is_asked else End.UNUSED
        if end in _CONGESTED.values():
            metrics.CONGESTIONS.labels(end).inc()
        try:
            others_wait = await self._throttle.leave(
                bucket,
                lease.delivery,
                fence=lease.fence,
                end=end,
                told=reply.told if reply else NOT_TOLD,
                spent=_spent(reply),
                after_s=reply.after_s if isinstance(reply, Passing) and end in _CONGESTED.values() else None,
            )
            await self._hurry(bucket, others_wait=others_wait)
        except (RedisAway, RedisForbids) as error:
            _log.warning("place_not_given_back", delivery=lease.delivery, error=str(error))

    async def _give_up(self, lease: Lease) -> None:
        """Give a granted place back; a Redis that is away then lets it end by itself."""
        try:
            others_wait = await self._throttle.give_up(lease.granted, lease.delivery)
            await self._hurry(lease.granted, others_wait=others_wait)
        except (RedisAway, RedisForbids) as error:
            _log.warning("place_not_given_back", delivery=lease.delivery, error=str(error))

    async def _hurry(self, bucket: str, *, others_wait: bool) -> None:
        if others_wait:
            await asyncio.gather(*(self._work.hurry(group, bucket) for group in self._groups))


def _size(call: ModelCall, prompt: Prompt) -> Size:
    """Measure a call."""
    return Size(prompt.size, call.max_tokens)


def _end(reply: Reply | None) -> End:
    match reply:
        case Answer():
            return End.ANSWERED
        case Passing():
            return _CONGESTED.get(reply.status, End.FAILED)
        case Failed() | Standing() | GivenUp() | None:
            return End.FAILED


def _spent(reply: Reply | None) -> Spent | None:
    answer = reply.paid if isinstance(reply, GivenUp) else reply
    if not isinstance(answer, Answer):
        return None
    usage = answer.usage
    return Spent(usage.prompt, usage.prompt - usage.cache_read, usage.output)
