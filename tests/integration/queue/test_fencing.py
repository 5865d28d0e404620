"""A worker that stood still while another one took its delivery changes nothing any more, whatever it then calls."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from eventroute.queue import Lease, LeaseLost, Renewed, Trouble, Work
from support.queue import GROUP, KEPT, admit_job, content, lease, lease_again, run_out, settle, work_on

pytestmark = pytest.mark.real

TROUBLE: Final = Trouble(reason="billing", detail="402", key_id="own", model="")

Call = Callable[[Work, Lease], Awaitable[Any]]

CALLS: Final[Mapping[str, Call]] = {
    "begin": lambda work, own: work.begin(own, traceparent="00-a"),
    "asking": lambda work, own: work.asking(own),
    "note": lambda work, own: work.note(own, last_error="x"),
    "mark_sink": lambda work, own: work.mark_sink(own, "log"),
    "save": lambda work, own: work.save(own, b"late"),
    "remember": lambda work, own: work.remember(own, "ns/a:b", b"late", seq=1, keep=3, ttl_s=60),
    "add_to_stream": lambda work, own: work.add_to_stream(own, "s", "team-a/s", {"text": "late"}, max_entries=9),
    "settle": lambda work, own: work.settle(
        own, outcome="succeeded", reason="", detail="", retention=KEPT, fields={"about": "late"}
    ),
    "settle as dead": lambda work, own: work.settle(
        own, outcome="dead", reason="sink", detail="", retention=KEPT, fields={}
    ),
    "put_back": lambda work, own: work.put_back(own, pause_ms=0, counts=False),
    "put_back for later": lambda work, own: work.put_back(own, pause_ms=1000, counts=True, error="late"),
    "park": lambda work, own: work.park(own, TROUBLE, has_asked=True),
}

MEANWHILE: Final[Mapping[str, Call | None]] = {
    "runs elsewhere": None,
    "is settled": CALLS["settle"],
    "is dead": CALLS["settle as dead"],
    "is ready again": CALLS["put_back"],
    "waits for its time": CALLS["put_back for later"],
    "is parked": CALLS["park"],
}


async def _overtaken(redis: Redis, meanwhile: str) -> tuple[Lease, Lease]:
    name = await admit_job(redis, "d-1")
    first = await lease(redis, worker="stood still")
    await work_on(redis).begin(first, traceparent="")
    second = await lease_again(redis, name)
    await work_on(redis).begin(second, traceparent="")
    if (call := MEANWHILE[meanwhile]) is not None:
        await call(work_on(redis), second)
    return first, second


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("call", CALLS)
async def test_a_late_call_is_refused_and_changes_no_byte(redis: Redis, call: str, meanwhile: str) -> None:
    late, _ = await _overtaken(redis, meanwhile)
    before = await content(redis)
    with pytest.raises(LeaseLost):
        await CALLS[call](work_on(redis), late)
    assert await content(redis) == before


@pytest.mark.parametrize("meanwhile", MEANWHILE)
async def test_a_late_renewal_renews_nothing_and_names_what_is_lost(redis: Redis, meanwhile: str) -> None:
    late, _ = await _overtaken(redis, meanwhile)
    before = await content(redis)
    assert await work_on(redis).renew(late.group, [late], lease_ms=99_000) == Renewed([late.delivery], {})
    assert await content(redis) == before


async def test_a_worker_that_stood_still_before_its_first_call_cannot_begin_what_another_has_settled(
    redis: Redis,
) -> None:
    name = await admit_job(redis, "d-1")
    late = await lease(redis, worker="stood still")
    await settle(redis, await lease_again(redis, name))
    before = await content(redis)
    with pytest.raises(LeaseLost):
        await work_on(redis).begin(late, traceparent="")
    assert await content(redis) == before


@pytest.mark.parametrize("call", CALLS)
async def test_a_lease_that_ran_out_and_that_nobody_has_taken_is_as_good_as_any(redis: Redis, call: str) -> None:
    name = await admit_job(redis, "d-1")
    own = await lease(redis)
    await run_out(redis, name)
    before = await content(redis)
    await CALLS[call](work_on(redis), own)
    assert await content(redis) != before


async def test_an_answer_that_comes_after_the_lease_ran_out_is_kept_until_somebody_takes_the_delivery(
    redis: Redis,
) -> None:
    await admit_job(redis, "d-1")
    own = await lease(redis)
    await work_on(redis).begin(own, traceparent="")
    await run_out(redis, own.delivery)
    await work_on(redis).lease(GROUP, worker="other", lease_ms=60_000, wanted=0, busy=0)  # sees that it ran out
    with pytest.raises(LeaseLost):
        await work_on(redis).save(own, b"paid for")
    again = await lease(redis, worker="other")
    begun = await work_on(redis).begin(again, traceparent="")
    assert (again.fence, begun.answer) == (own.fence + 1, b"paid for")


@pytest.mark.parametrize("end", ["settle", "settle as dead"])
async def test_an_answer_that_comes_after_the_end_is_not(redis: Redis, end: str) -> None:
    await admit_job(redis, "d-1")
    own = await lease(redis)
    await CALLS[end](work_on(redis), own)
    before = await content(redis)
    with pytest.raises(LeaseLost):
        await work_on(redis).save(own, b"late")
    assert await content(redis) == before
