"""Receivers that are replaced, or killed, while providers send: whoever got a 2xx is served, the others come back."""

from signal import SIGKILL, SIGTERM

import pytest

from support.account import discrepancies, settled
from support.burst import NO_ANSWER, Burst
from support.installation import Installation

pytestmark = pytest.mark.real


async def test_a_rolling_restart_refuses_nobody_who_was_let_in(site: Installation) -> None:
    receivers = [site.receiver(name).start() for name in ("receiver-1", "receiver-2")]
    worker = site.worker("worker").start()
    for receiver in receivers:
        await receiver.until_ready()
    await worker.until_listening()
    burst = Burst([receiver.hooks_url for receiver in receivers], size=500, pause_s=0.1)
    async with burst.sending():
        for receiver in receivers:
            await burst.until_acknowledged(100)
            assert await receiver.end(SIGTERM) == 0
            await receiver.start().until_ready()
    account = await settled(site, burst)
    assert discrepancies(account, burst) == []
    assert account.repeated() == {}
    assert burst.answers[NO_ANSWER] > 0, "no sender met the stopped receiver"
    assert burst.answers.keys() <= {200, 503, NO_ANSWER}


async def test_a_killed_receiver_takes_no_acknowledged_delivery_with_it(site: Installation) -> None:
    killed, other = (site.receiver(name).start() for name in ("killed", "other"))
    worker = site.worker("worker").start()
    for receiver in (killed, other):
        await receiver.until_ready()
    await worker.until_listening()
    burst = Burst([killed.hooks_url, other.hooks_url])
    async with burst.sending():
        await burst.until_acknowledged(120)
        await killed.end(SIGKILL)
    account = await settled(site, burst)
    assert discrepancies(account, burst) == []
    assert account.repeated() == {}
    assert burst.answers[NO_ANSWER] > 0, "no sender met the killed receiver"
