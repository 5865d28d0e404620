"""A worker that is told to stop finishes what it has begun: no call of Claude is thrown away."""

from signal import SIGTERM

import pytest

from support.account import discrepancies, settled
from support.burst import Burst
from support.installation import Installation
from support.queue import GROUP, depth

pytestmark = pytest.mark.real


async def test_it_leaves_the_rest_to_others_at_once_and_repeats_no_call(site: Installation) -> None:
    receiver, stopped = site.receiver("receiver").start(), site.worker("stopped").start()
    await receiver.until_ready()
    await stopped.until_listening()
    burst = Burst([receiver.hooks_url])
    async with burst.sending():
        await burst.until_acknowledged(120)
        assert await stopped.end(SIGTERM) == 0
        assert await depth(site.redis), "there was nothing left to hand over"
        assert not await site.redis.exists(GROUP.running)
        site.worker("other").start()
    account = await settled(site, burst)
    assert discrepancies(account, burst) == []
    assert account.repeated() == {}
