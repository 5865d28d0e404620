"""A Claude that is overloaded, silent or broken for a while costs time, and nothing else."""

import pytest

from eventroute_cli.simulator.faults import Fault, FaultKind
from support.account import discrepancies, settled
from support.burst import Burst
from support.installation import Installation

pytestmark = pytest.mark.real

FAULTS = (
    Fault(kind=FaultKind.RATE_LIMIT, times=8, retry_after_s=1),
    Fault(kind=FaultKind.OVERLOADED, times=3),
    Fault(kind=FaultKind.API_ERROR, times=10),
    Fault(kind=FaultKind.HANG, times=5),
    Fault(kind=FaultKind.CUT, times=10),
    Fault(kind=FaultKind.CUT_BODY, times=10),
    Fault(kind=FaultKind.MALFORMED, times=5),
)


async def test_every_delivery_gets_its_answer_once_the_faults_are_over(site: Installation) -> None:
    receiver, worker = site.receiver("receiver").start(), site.worker("worker").start()
    await receiver.until_ready()
    await worker.until_listening()
    burst = Burst([receiver.hooks_url])
    async with burst.sending():
        await burst.until_acknowledged(100)
        await site.script(*FAULTS)
    account = await settled(site, burst)
    assert discrepancies(account, burst) == []
    assert account.repeated() == {}
    felt = [call.given.fault for calls in account.calls.values() for call in calls if call.given.fault]
    assert {kind: felt.count(kind) for kind in felt} == {fault.kind: fault.times for fault in FAULTS}
