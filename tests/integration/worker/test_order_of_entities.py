"""Several worker processes, some of them killed: of each entity Claude is asked one call at a time, in order."""

import itertools
import re
from collections import defaultdict
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from eventroute.queue import Admissions, Candidate, Limits
from eventroute.route_table import WORKER
from eventroute.runtime.scripts import ClientCaller
from eventroute.runtime.tables import publish
from eventroute.sealed import SealKey, new_key_text
from eventroute_cli.simulator.api import SimulatorSettings
from eventroute_cli.simulator.journal import Entry, Journal
from eventroute_cli.simulator.server import serving
from support.queue import dead_letters, run_all_out
from support.runs import PATH, sample_delivery, worker_route
from support.waiting import until
from support.worker import until_empty
from support.worker_process import worker_fleet

pytestmark = pytest.mark.real

ENTITIES, EVENTS = 6, 8


async def _admit(redis: Redis) -> None:
    admissions = Admissions(ClientCaller(redis), limits=Limits(1_000_000, 0))
    for number in range(EVENTS):
        batch = [
            Candidate(
                sample_delivery(f"d-{who}-{number}", payload=b'{"who":%d,"n":%d}' % (who, number)), [], lane=f"{who}"
            )
            for who in range(ENTITIES)
        ]
        await admissions.admit(PATH, batch, rate=None)


def _has_asked(journal: Journal, *, times: int) -> bool:
    return len(journal.entries()) >= times


def _by_entity(entries: list[Entry]) -> dict[int, list[tuple[int, Entry]]]:
    found: defaultdict[int, list[tuple[int, Entry]]] = defaultdict(list)
    for entry in sorted(entries, key=lambda each: each.received_ns):
        said = re.search(r'"who":(\d+),"n":(\d+)', entry.text)
        assert said
        found[int(said[1])].append((int(said[2]), entry))
    return found


async def test_no_two_calls_of_an_entity_overlap_and_none_overtakes_another(
    redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    with (
        serving(SimulatorSettings(latency_s=0.2, latency_spread=0.5)) as claude,
        worker_fleet(tmp_path, redis_url=valkey_url, claude_url=claude.url, table_key=new_key_text()) as fleet,
    ):
        journal = claude.simulator.journal
        await publish(redis, WORKER, {PATH: worker_route()}, SealKey.from_text(fleet.table_key))
        await _admit(redis)
        for wanted in (4, 16):
            killed = fleet.start(name="killed")
            await until(partial(_has_asked, journal, times=wanted), timeout_s=20)
            killed.kill()
            await until(lambda: all(entry.ended_ns for entry in journal.entries()))
            await run_all_out(redis)
        for name in ("killed", "other", "third"):  # the first takes the killed one's place
            fleet.start(name=name)
        await until_empty(redis, timeout_s=60)
        entries = journal.entries()
    assert await dead_letters(redis) == []
    assert any(entry.client_gone for entry in entries), "a worker was killed while it asked"
    of_entities = _by_entity(entries)
    assert set(of_entities) == {*range(ENTITIES)}
    for calls in of_entities.values():
        numbers = [number for number, _ in calls]
        assert numbers == sorted(numbers)
        assert set(numbers) == {*range(EVENTS)}
        for (_, before), (_, after) in itertools.pairwise(calls):
            assert before.ended_ns <= after.received_ns
    overlaps = sum(
        one.received_ns < other.received_ns < one.ended_ns for one in entries for other in entries if one is not other
    )
    assert overlaps, "entities do not wait for each other"
