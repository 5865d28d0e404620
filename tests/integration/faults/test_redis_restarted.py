"""A Redis that restarts in the middle of a burst: senders hear 503 and come back, and what was acknowledged is done."""

from signal import SIGKILL, SIGTERM, Signals

import pytest

from support.account import discrepancies, settled
from support.burst import NO_ANSWER, Burst
from support.installation import Installation

pytestmark = pytest.mark.real


@pytest.mark.parametrize("signum", [SIGTERM, SIGKILL])
async def test_nothing_acknowledged_is_lost_and_nothing_is_done_twice(site: Installation, signum: Signals) -> None:
    receiver, worker = site.receiver("receiver").start(), site.worker("worker").start()
    await receiver.until_ready()
    await worker.until_listening()
    burst = Burst([receiver.hooks_url])
    async with burst.sending():
        await burst.until_acknowledged(120)
        await site.valkey.end(signum)
        await site.valkey.start().until_listening()
    account = await settled(site, burst)
    assert discrepancies(account, burst) == []
    assert account.repeated() == {}  # an answer waits for Redis to come back
    assert burst.answers[503] > 0
    assert burst.answers.keys() <= {200, 503}, f"{NO_ANSWER} would be a receiver that went away with Redis"
