"""A worker that is killed loses nothing and repeats nothing that was saved."""

import time
from signal import SIGKILL

import pytest

from support.account import RESULTS, SECOND, discrepancies, settled
from support.burst import Burst
from support.installation import Installation
from support.queue import GROUP
from support.waiting import until

pytestmark = pytest.mark.real

BEGUN = 20  # of a worker, unless set


async def _leased(site: Installation) -> int:
    return int(await site.redis.zcard(GROUP.running))


async def _is_busy(site: Installation) -> bool:
    return await _leased(site) > 0


async def test_in_the_middle_of_a_burst_another_one_goes_on_where_it_stopped(site: Installation) -> None:
    receiver, killed, other = site.receiver("receiver").start(), site.worker("killed").start(), site.worker("other")
    await receiver.until_ready()
    await killed.until_listening()
    burst = Burst([receiver.hooks_url])
    async with burst.sending():
        await burst.until_acknowledged(120)
        await until(lambda: _is_busy(site))
        await killed.end(SIGKILL)
        killed_ns = time.time_ns()
        leased = await _leased(site)
        other.start()
    account = await settled(site, burst)
    assert discrepancies(account, burst) == []
    assert 0 < leased <= 2 * BEGUN
    repeated = account.repeated()
    assert len(repeated) <= leased
    assert all(call.received_ns < killed_ns for calls in repeated.values() for call in calls)


async def test_answers_that_were_saved_and_not_yet_sent_are_sent_without_asking_again(site: Installation) -> None:
    receiver, killed, other = site.receiver("receiver").start(), site.worker("killed"), site.worker("other")
    await receiver.until_ready()
    broken = GROUP.stream("team-a", SECOND)
    await site.redis.set(broken, "not a stream")
    burst = Burst([receiver.hooks_url], size=60)
    async with burst.sending():
        killed.start()
    await until(lambda: _entries(site, RESULTS, burst.size), timeout_s=20)
    await killed.end(SIGKILL)
    killed_ns = time.time_ns()
    await site.redis.delete(broken)
    other.start()
    account = await settled(site, burst)
    assert discrepancies(account, burst) == []
    assert max(call.received_ns for calls in account.calls.values() for call in calls) < killed_ns
    assert account.repeated() == {}


async def _entries(site: Installation, stream: str, count: int) -> bool:
    return bool(await site.redis.xlen(GROUP.stream("team-a", stream)) >= count)
