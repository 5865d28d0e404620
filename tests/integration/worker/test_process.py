"""The worker as a process: it starts, shows its state, drains, and what it leaves behind when it is killed."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.ids import DeliveryId, route_path
from eventroute.queue import Amount, Desk
from eventroute.route_table import WORKER, WorkerRoute
from eventroute.runtime.notices import read_notices
from eventroute.runtime.redis import connect
from eventroute.runtime.tables import publish
from eventroute.sealed import SealKey, new_key_text
from eventroute.secret import Secret
from eventroute.throttle import bucket_name
from eventroute.throttle import keys as throttle_keys
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.server import Served, serving
from eventroute_worker.api_key import key_id
from support.budgets import budget, stands
from support.own_valkey import own_valkey
from support.queue import GROUP, admit, dead_letters, depth, fields, run_all_out, state
from support.runs import HISTORY, PATH, results, sample_delivery, worker_route
from support.waiting import until
from support.worker import record, until_empty
from support.worker_process import WorkerFleet, worker_fleet

pytestmark = pytest.mark.real

BURST = 500
OTHER = route_path("team-a", "other")


@pytest.fixture
def claude() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def fleet(tmp_path: Path, valkey_url: str, claude: Served) -> Iterator[WorkerFleet]:
    with worker_fleet(tmp_path, redis_url=valkey_url, claude_url=claude.url, table_key=new_key_text()) as fleet:
        yield fleet


async def _publish(redis: Redis, fleet: WorkerFleet, *routes: WorkerRoute) -> None:
    await publish(redis, WORKER, {route.path: route for route in routes}, SealKey.from_text(fleet.table_key))


async def _admit_burst(redis: Redis) -> None:
    for number in range(BURST):
        await admit(redis, sample_delivery(f"d-{number}", payload=b'{"who":%d}' % (number % 50)))


async def _settled(redis: Redis) -> int:
    return BURST - await depth(redis)


async def _check_burst(redis: Redis, claude: Served) -> None:
    """Nothing is lost, nothing is twice in the sink, and no saved answer was asked for again."""
    await until_empty(redis, timeout_s=60)
    assert await dead_letters(redis) == []
    entries = await results(redis)
    assert sorted(entry["delivery"] for entry in entries) == sorted(f"d-{number}" for number in range(BURST))
    texts = [entry["text"] for entry in entries]
    assert all(text.startswith("[simulated]") for text in texts)
    assert await redis.exists(GROUP.running, GROUP.later, GROUP.rotation, GROUP.suspects) == 0
    asked = len(claude.simulator.journal.entries())
    in_flight = 20  # those that Claude was working on, or whose answer was on its way, when the process ended
    assert BURST <= asked <= BURST + in_flight


async def test_a_delivery_goes_through(redis: Redis, fleet: WorkerFleet) -> None:
    await _publish(redis, fleet, worker_route())
    worker = fleet.start()
    await admit(redis, sample_delivery())
    await until_empty(redis)
    assert (await record(redis, DeliveryId("d-1")))["outcome"] == "succeeded"
    assert len(await results(redis)) == 1
    assert worker.get("/livez").status_code == 200
    assert worker.get("/readyz").json() == {"table": True, "redis": True}
    exposed = worker.get("/metrics").text
    assert 'eventroute_worker_runs_total{outcome="succeeded",reason=""} 1.0' in exposed
    assert "eventroute_worker_cost_usd_total" in exposed


async def test_the_pool_of_an_installations_own_models_file_is_the_one_that_is_throttled(
    redis: Redis, fleet: WorkerFleet, tmp_path: Path
) -> None:
    own = tmp_path / "models.json"
    own.write_text('{"as_of": "2026-10-01", "models": {"claude-haiku-5-5": {"pool": "ours"}}}')
    await _publish(redis, fleet, worker_route())
    fleet.start(models_path=own)
    await admit(redis, sample_delivery())
    await until_empty(redis)
    bucket = bucket_name(key_id(Secret(DEFAULT_KEY.encode())), "ours")
    assert await redis.hget(GROUP.route(PATH), "bucket") == bucket.encode()
    assert await redis.exists(throttle_keys.state(bucket))


async def test_a_worker_asks_at_its_start_which_models_go_away(redis: Redis, fleet: WorkerFleet) -> None:
    fleet.start()
    await until(lambda: redis.exists(keys.notices()), timeout_s=30)
    assert (await read_notices(redis))["claude-sonnet-4-5"].is_retired


async def test_a_stop_and_then_a_suspension_hold_what_is_queued_until_they_end(
    redis: Redis, fleet: WorkerFleet
) -> None:
    await _publish(redis, fleet, worker_route())
    desk = Desk({GROUP: redis})
    worker = fleet.start()
    await until(lambda: "installation_runs" in worker.log.read_text())
    await desk.stop(by="ada", reason="")
    await until(lambda: "installation_stopped" in worker.log.read_text())
    await admit(redis, sample_delivery("d-1"))
    await redis.hincrby(GROUP.delivery(DeliveryId("d-1")), "at", -7_200_000)  # beyond its deadline, but for the stop
    await _publish(redis, fleet, worker_route(), worker_route(path=OTHER, is_suspended=True))
    await until(lambda: redis.hexists(GROUP.held, OTHER))
    assert await state(redis, DeliveryId("d-1")) == "ready"
    await desk.start(by="ada")
    await until_empty(redis)
    await admit(redis, sample_delivery("d-2", route=OTHER))
    await admit(redis, sample_delivery("d-3"))
    await until(lambda: _has_results(redis, "d-1", "d-3"))
    await _publish(redis, fleet, worker_route(), worker_route(path=OTHER))
    await until(lambda: _has_results(redis, "d-1", "d-3", "d-2"))


async def _has_results(redis: Redis, *names: str) -> bool:
    return [entry["delivery"] for entry in await results(redis)] == list(names)


async def test_a_worker_without_a_table_is_not_ready_and_keeps_its_deliveries(redis: Redis, fleet: WorkerFleet) -> None:
    worker = fleet.start()
    assert worker.get("/readyz").status_code == 503
    assert worker.get("/livez").status_code == 200
    await admit(redis, sample_delivery())

    async def was_put_back() -> bool:
        return await state(redis, DeliveryId("d-1")) == "later"

    await until(was_put_back)
    assert "attempts" not in await fields(redis, DeliveryId("d-1"))


async def test_sigterm_lets_running_deliveries_finish(redis: Redis, fleet: WorkerFleet, claude: Served) -> None:
    claude.simulator.faults.add([Fault(kind=FaultKind.END_TURN, delay_s=1)])
    await _publish(redis, fleet, worker_route())
    worker = fleet.start()
    await admit(redis, sample_delivery())
    await until(lambda: claude.simulator.faults.pending() == [])
    worker.terminate()
    assert worker.wait() == 0
    assert (await record(redis, DeliveryId("d-1")))["outcome"] == "succeeded"


async def test_what_a_worker_owes_when_it_is_asked_to_stop_is_told_before_it_leaves(
    redis: Redis, fleet: WorkerFleet, claude: Served
) -> None:
    rule = budget(micro_usd=50_000)
    claude.simulator.faults.add([Fault(kind=FaultKind.END_TURN, delay_s=1)])
    await _publish(redis, fleet, worker_route(budgets=(rule,)))
    worker = fleet.start()
    await admit(redis, sample_delivery())
    await until(lambda: claude.simulator.faults.pending() == [])
    await redis.rename(GROUP.reserved, "aside")
    await redis.set(GROUP.reserved, "refuses whoever pays")
    await until_empty(redis)
    assert (await stands(redis, rule))[1] != Amount(0, 0)
    await redis.rename("aside", GROUP.reserved)
    worker.terminate()
    assert worker.wait() == 0
    [entry] = claude.simulator.journal.entries()
    spent, reserved = await stands(redis, rule)
    assert reserved == Amount(0, 0)
    assert spent.tokens == entry.given.input_tokens + entry.given.output_tokens


async def test_what_does_not_finish_within_the_grace_period_is_free_for_the_next_worker(
    redis: Redis, fleet: WorkerFleet, claude: Served
) -> None:
    claude.simulator.faults.add([Fault(kind=FaultKind.HANG)])
    await _publish(redis, fleet, worker_route())
    worker = fleet.start(grace_s=0.2)
    await admit(redis, sample_delivery())
    await until(lambda: claude.simulator.faults.pending() == [])
    worker.terminate()
    assert worker.wait() == 0
    assert await state(redis, DeliveryId("d-1")) == "ready"
    assert (await fields(redis, DeliveryId("d-1")))["attempts"] == "0"


@pytest.mark.parametrize("missing", ["REDIS_URL", "TABLE_KEY"])
def test_a_missing_setting_ends_the_start_with_its_name(missing: str) -> None:
    environ = {"EVENTROUTE_WORKER_REDIS_URL": "redis://x", "EVENTROUTE_WORKER_TABLE_KEY": new_key_text()}
    del environ[f"EVENTROUTE_WORKER_{missing}"]
    done = subprocess.run(
        [sys.executable, "-m", "eventroute_worker"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"EVENTROUTE_WORKER_{missing}" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_worker_killed_in_a_burst_loses_and_repeats_nothing(
    redis: Redis, fleet: WorkerFleet, claude: Served
) -> None:
    claude.simulator.faults.add([Fault(kind=FaultKind.END_TURN, times=10_000, delay_s=0.01)])
    await _publish(redis, fleet, worker_route(entity="payload.who", history=HISTORY))
    await _admit_burst(redis)
    first = fleet.start()

    async def is_midway() -> bool:
        return await _settled(redis) > BURST // 5

    await until(is_midway, timeout_s=30)
    first.kill()
    assert await depth(redis) > 0
    await run_all_out(redis)
    fleet.start()
    await _check_burst(redis, claude)


async def test_a_redis_that_restarts_in_a_burst_loses_and_repeats_nothing(tmp_path: Path, claude: Served) -> None:
    claude.simulator.faults.add([Fault(kind=FaultKind.END_TURN, times=10_000, delay_s=0.01)])
    (tmp_path / "redis").mkdir()
    (tmp_path / "worker").mkdir()
    with own_valkey(tmp_path / "redis") as valkey:
        fleet_options = {"redis_url": valkey.url, "claude_url": claude.url, "table_key": new_key_text()}
        with worker_fleet(tmp_path / "worker", **fleet_options) as fleet:
            redis = connect(valkey.url)
            await _publish(redis, fleet, worker_route(entity="payload.who", history=HISTORY))
            await _admit_burst(redis)
            worker = fleet.start()

            async def is_midway() -> bool:
                return await _settled(redis) > BURST // 5

            await until(is_midway, timeout_s=30)
            valkey.kill()
            assert worker.get("/livez").status_code == 200
            assert worker.get("/readyz").status_code == 503
            valkey.restart()
            await _check_burst(redis, claude)
            assert worker.process.poll() is None
            worker.process.send_signal(signal.SIGINT)
            assert worker.wait() == 0
            await redis.aclose()
