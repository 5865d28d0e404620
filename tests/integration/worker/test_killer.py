"""A delivery that kills every worker it meets becomes a dead letter, and takes nobody along."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute_cli.local.processes import Processes
from support.queue import GROUP, admit_all, dead_letters, depth, fields, run_out
from support.runs import results, sample_delivery

pytestmark = pytest.mark.real

TESTS = Path(__file__).parents[2]
KILLER = DeliveryId("d-02")  # among the first that are leased
ATTEMPTS, DELIVERIES, SLOTS = 8, 40, 5


async def test_eight_crashes_of_one_among_forty_make_one_dead_letter(
    redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    names = [DeliveryId(f"d-{number:02}") for number in range(DELIVERIES)]
    await admit_all(redis, [sample_delivery(name) for name in names])
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    crashes: list[set[str]] = []
    """What each crash has cut short."""
    with Processes(tmp_path) as processes:
        while await depth(redis):
            command = [sys.executable, "-m", "support.killer", valkey_url, KILLER, str(ATTEMPTS)]
            process = processes.start("killer", command, environ)
            while process.poll() is None and await depth(redis):
                await asyncio.sleep(0.02)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(15) == 0
                break
            assert process.returncode == -signal.SIGKILL, processes.log("killer").read_text(encoding="utf-8")
            cut = {name.decode() for name in await redis.zrange(GROUP.running, 0, -1)}
            crashes.append(cut)
            await run_out(redis, *(DeliveryId(name) for name in cut))
            assert len(crashes) <= ATTEMPTS

    assert await dead_letters(redis) == [KILLER]
    found = await fields(redis, KILLER)
    assert (found["reason"], found["detail"]) == ("attempts", f"{ATTEMPTS} attempts were cut short")
    assert len(crashes) == ATTEMPTS
    assert all(KILLER in cut for cut in crashes)
    assert len(crashes[0]) <= 2 * SLOTS
    assert crashes[1:] == [{KILLER}] * (ATTEMPTS - 1), "from the second time on it ran alone"

    innocent = [name for name in names if name != KILLER]
    assert sorted(entry["delivery"] for entry in await results(redis)) == innocent
    for name in innocent:
        record = await fields(redis, name)
        assert record["outcome"] == "succeeded"
        assert int(record["attempts"]) <= (2 if name in crashes[0] else 1)
