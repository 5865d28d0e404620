"""Whatever happens to answers on their way to sinks, in any order: the accounts are right, and nothing is stuck."""

import contextlib
import random

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, sending_path
from eventroute.queue import Desk, Lease, LeaseLost, Mode
from support.queue import GROUP, KEPT, admit_in_lane, run_out, settle, work_on
from support.runs import PATH

pytestmark = pytest.mark.real

STEPS = 250
MODES: tuple[Mode, ...] = ("resume", "sinks", "whole")
SINKS = ("own", "own-2")
NOTHING = KEPT._replace(body=0, answer=0, record=0)


class Chaos:
    """Does one thing after the other that a worker, a person or a crash may do."""

    def __init__(self, redis: Redis, seed: int) -> None:
        self.redis, self.random = redis, random.Random(seed)
        self.work, self.desk = work_on(redis), Desk({GROUP: redis})
        self.leases: list[Lease] = []
        self.names: list[str] = []

    async def step(self) -> None:
        chosen = self.random.choice(
            (self.admit, self.take, self.take, self.end, self.end, self.end, self.replay, self.discard, self.crash)
        )
        with contextlib.suppress(LeaseLost):
            await chosen()

    async def admit(self) -> None:
        self.names.append(f"d-{len(self.names)}")
        await admit_in_lane(self.redis, self.names[-1], lane=self.random.choice("xy"))

    async def take(self) -> None:
        taken = await self.work.lease(GROUP, worker="w", lease_ms=60_000, wanted=1, sendings=1, busy=0)
        self.leases += taken.leases

    async def end(self) -> None:
        if not self.leases:
            return
        lease = self.leases.pop(self.random.randrange(len(self.leases)))
        await self.work.begin(lease, traceparent="")
        if not lease.sink:
            await self.work.hand_over(lease, b"%f" % self.random.random(), SINKS)
        match self.random.choice(("put_back", "dead", "well", "well")):
            case "put_back":
                await self.work.put_back(lease, pause_ms=self.random.choice((0, 1)), counts=False)
            case "dead":
                await settle(self.redis, lease, "dead", "sink")
            case _ if lease.sink:
                await settle(self.redis, lease, "sent", kept=NOTHING)
            case _:
                await settle(self.redis, lease)

    async def replay(self) -> None:
        await self.desk.replay([self.any()], mode=self.random.choice(MODES))

    async def discard(self) -> None:
        await self.desk.discard([self.any()])

    async def crash(self) -> None:
        if self.leases:
            await run_out(self.redis, self.random.choice(self.leases).delivery)

    def any(self) -> DeliveryId:
        name = self.random.choice(self.names or ["d-0"])
        return DeliveryId(self.random.choice((name, *(f"{name}:{sink}" for sink in SINKS))))

    async def finish(self) -> None:
        """End all that is left, in turns."""
        if self.leases:
            await run_out(self.redis, *(lease.delivery for lease in self.leases))
        for _ in range(50 * STEPS):
            taken = await self.work.lease(GROUP, worker="w", lease_ms=60_000, wanted=5, sendings=5, busy=0)
            if not taken.leases and not await self.redis.zcard(GROUP.later):
                return
            for lease in taken.leases:
                with contextlib.suppress(LeaseLost):
                    await self.end_well(lease)

    async def end_well(self, lease: Lease) -> None:
        await self.work.begin(lease, traceparent="")
        if not lease.sink:
            await self.work.hand_over(lease, b"last", SINKS)
        await settle(self.redis, lease, "sent" if lease.sink else "succeeded", kept=NOTHING)


@pytest.mark.parametrize("seed", range(8))
async def test_all_that_is_handed_over_ends_and_is_taken_off_every_account(redis: Redis, seed: int) -> None:
    chaos = Chaos(redis, seed)
    for _ in range(STEPS):
        await chaos.step()
    await chaos.finish()
    assert await redis.hmget(GROUP.usage, "depth", "bytes") == [b"0", b"0"]
    assert await redis.hmget(GROUP.route(PATH), "depth", "bytes", "sendings", "sending_bytes") == [b"0"] * 4
    for path in (PATH, *(sending_path(PATH, sink) for sink in SINKS)):
        assert await redis.zcard(GROUP.ready(path)) == await redis.zcard(GROUP.behind(path)) == 0
        assert await redis.scard(GROUP.active(path)) == 0
        assert [await redis.exists(GROUP.lane(path, lane)) for lane in "xy"] == [0, 0]
        letters = await redis.zrange(GROUP.dead(path), 0, -1)
        sizes = [await redis.hstrlen(GROUP.delivery(DeliveryId(name.decode())), "body") for name in letters]
        assert int(await redis.hget(GROUP.route(path), "dead_bytes") or 0) == sum(sizes)
    assert await redis.zcard(GROUP.running) == await redis.zcard(GROUP.suspects) == 0
