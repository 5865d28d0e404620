"""A bucket of the throttle whose clock stands still, and what tests ask of it."""

from typing import Any, Final

from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.throttle import Asked, End, Figures, Granted, Quota, Refused, Size, Spent, Throttle, Told
from support.still_queue import StillQueue

BUCKET: Final = "own:claude-haiku-5-5"
MOST: Final = 100
LASTS_MS: Final = 60_000


class Bucket:
    """One bucket; calls are named by numbers, and last for a minute at most."""

    def __init__(self, redis: Redis, *, most: int = MOST) -> None:
        self.clock = StillQueue(redis)
        self.throttle = Throttle(self.clock, most_calls=most)

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.now_ms += round(seconds * 1000)

    async def enter(self, call: int, *, fence: int = 1, size: Size = Size(300, 1000)) -> bool:
        """Take a place; tell whether there was one."""
        return await self.wait_ms(call, fence=fence, size=size) is None

    async def wait_ms(self, call: int, *, fence: int = 1, size: Size = Size(300, 1000)) -> int | None:
        """Take a place; tell how long to wait when there is none."""
        refused = await self.throttle.enter(BUCKET, _name(call), fence=fence, size=size, lasts_ms=LASTS_MS)
        return refused.until_ms - self.clock.now_ms if isinstance(refused, Refused) else None

    async def enter_all(self, upto: int = 100, *, first: int = 1, size: Size = Size(300, 1000)) -> int:
        """Take as many places as there are, and tell how many."""
        for call in range(first, upto + first):
            if not await self.enter(call, size=size):
                return call - first
        return upto

    async def grant(self, *calls: int, has_more: bool = False, size: Size = Size(300, 1000)) -> Granted:
        """Ask for places for those that wait; the time is told as a distance from now."""
        granted = await self.throttle.grant(BUCKET, [Asked(_name(call), size) for call in calls], has_more=has_more)
        return Granted(granted.places, granted.next_ms - self.clock.now_ms)

    async def leave(self, call: int, end: End = End.ANSWERED, *, fence: int = 1, **of: Any) -> bool:
        """End a call."""
        return await self.throttle.leave(BUCKET, _name(call), fence=fence, end=end, **of)

    async def give_up(self, call: int) -> bool:
        """Give back a place that was granted."""
        return await self.throttle.give_up(BUCKET, _name(call))

    async def figures(self) -> Figures:
        """Read how it stands."""
        return (await self.throttle.figures([BUCKET]))[BUCKET]


def told(requests: tuple[int, int] | None = None, **tokens: tuple[int, int]) -> Told:
    """Say what headers say: of each kind what a minute allows, and what is left."""
    return Told(Quota(*requests) if requests else None, **{kind: Quota(*quota) for kind, quota in tokens.items()})


def spent(prompt: int = 100, output: int = 50, *, cached: int = 0) -> Spent:
    """Say what a call used."""
    return Spent(prompt, prompt - cached, output)


def _name(call: int) -> DeliveryId:
    return DeliveryId(f"d-{call}")
