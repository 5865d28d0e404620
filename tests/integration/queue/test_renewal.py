"""Renewing leases: what was given back or has ended stays so, and the renewing goes on whatever happens to it."""

from typing import Any, Final

import pytest
from redis.asyncio import Redis

from eventroute.queue import Renewed, Trouble, Work
from support.queue import GROUP, KEPT, admit_job, content, lease, lease_all, run_out, state, work_on
from support.waiting import until
from support.worker import Stuck, running

pytestmark = pytest.mark.real

TROUBLE: Final = Trouble(reason="billing", detail="402", key_id="own", model="")
ENDS: Final[dict[str, dict[str, Any]]] = {
    "put_back": {"pause_ms": 0, "counts": False},
    "put_back_for_later": {"pause_ms": 60_000, "counts": False},
    "park": {"trouble": TROUBLE, "has_asked": True},
    "settle": {"outcome": "succeeded", "reason": "", "detail": "", "retention": KEPT, "fields": {}},
    "settle_as_dead": {"outcome": "dead", "reason": "sink", "detail": "", "retention": KEPT, "fields": {}},
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_renewal_that_comes_after_the_end_takes_nothing_back(redis: Redis, end: str) -> None:
    await admit_job(redis, "d-1")
    own = await lease(redis)
    await work_on(redis).begin(own, traceparent="")
    call = getattr(work_on(redis), end.removesuffix("_for_later").removesuffix("_as_dead"))
    await call(own, **ENDS[end])
    before = await content(redis)
    assert await work_on(redis).renew(GROUP, [own], lease_ms=60_000) == Renewed([own.delivery], {})
    assert await content(redis) == before
    assert not await redis.exists(GROUP.running)


async def test_one_call_renews_all_that_are_held_and_tells_of_those_that_are_not(redis: Redis) -> None:
    names = [await admit_job(redis, f"d-{number}") for number in range(5)]
    leases = await lease_all(redis)
    await work_on(redis).put_back(leases[2], pause_ms=60_000, counts=False)
    await run_out(redis, *names)
    assert await work_on(redis).renew(GROUP, leases, lease_ms=60_000) == Renewed([names[2]], {})
    scores = dict(await redis.zrange(GROUP.running, 0, -1, withscores=True))
    assert sorted(scores) == [name.encode() for name in names if name != names[2]]
    assert min(scores.values()) > 1


async def test_the_renewing_survives_an_error_that_nobody_foresaw(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await admit_job(redis, "d-1")
    original, errors = Work.renew, [KeyError("foreign"), RuntimeError("foreign")]

    async def failing(self: Work, *args: Any, **kwargs: Any) -> Renewed:
        if errors:
            raise errors.pop()
        return await original(self, *args, **kwargs)

    monkeypatch.setattr(Work, "renew", failing)
    handler = Stuck()
    async with running(redis, handler, slots=1, sendings=0, lease_s=0.3):
        await handler.started.wait()
        await until(lambda: not errors)
        await run_out(redis, name)

        async def is_renewed() -> bool:
            return float(await redis.zscore(GROUP.running, name) or 0) > 1

        await until(is_renewed)
        assert await state(redis, name) == "running"
    assert len(handler.attempts) == 1
