"""A worker process that stands still while another one takes its delivery does nothing more for it when it goes on."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.route_table import WORKER
from eventroute.runtime.tables import publish
from eventroute.sealed import SealKey, new_key_text
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.server import Served, serving
from eventroute_worker.answer import decode_answer
from support.queue import GROUP, admit, fields, run_out, state
from support.runs import results, sample_delivery, worker_route
from support.waiting import until
from support.worker_process import WorkerProcess, worker_fleet

pytestmark = pytest.mark.real

NAME = DeliveryId("d-1")


@pytest.fixture
def claude() -> Iterator[Served]:
    with serving() as served:
        yield served


def _leases_lost(worker: WorkerProcess) -> float:
    found = re.search(r"^eventroute_worker_leases_lost_total (\S+)$", worker.get("/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


async def test_the_answer_of_the_other_one_stands_and_is_told_once(
    redis: Redis, valkey_url: str, claude: Served, tmp_path: Path
) -> None:
    claude.simulator.faults.add([Fault(kind=FaultKind.END_TURN, delay_s=1)])
    with worker_fleet(tmp_path, redis_url=valkey_url, claude_url=claude.url, table_key=new_key_text()) as fleet:
        await publish(redis, WORKER, {worker_route().path: worker_route()}, SealKey.from_text(fleet.table_key))
        suspended = fleet.start(name="suspended")
        await admit(redis, sample_delivery(NAME))
        await until(lambda: claude.simulator.faults.pending() == [])  # it has asked
        suspended.process.send_signal(signal.SIGSTOP)
        try:
            other = fleet.start(name="other")
            await run_out(redis, NAME)

            async def is_settled() -> bool:
                return await state(redis, NAME) == "settled"

            await until(is_settled)
            before = await fields(redis, NAME)
            told = await results(redis)
        finally:
            suspended.process.send_signal(signal.SIGCONT)
        await until(lambda: _leases_lost(suspended) == 1)
        assert await fields(redis, NAME) == before
        assert await results(redis) == told
        assert not await redis.exists(GROUP.running)
        assert _leases_lost(other) == 0
    assert len(told) == 1
    calls = claude.simulator.journal.entries()
    assert len(calls) == 2
    assert decode_answer(before["answer"].encode()).message_id.replace("msg_", "req_") == calls[-1].request_id
