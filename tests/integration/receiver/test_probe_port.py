"""The second port: alive, ready, what was counted, and how much work there is."""

import time

import httpx
import pytest
from redis.asyncio import Redis

from eventroute.ids import sending_path
from eventroute.queue import Desk, Trouble
from support.probes import probing
from support.queue import GROUP, admit_job, lease, settle, upkeep_of, work_on
from support.receiver_process import OnTheWire
from support.receiving import Receiving, opened
from support.sample_routes import receiver_route


async def test_a_cold_receiver_is_alive_and_not_ready(receiver: Receiving) -> None:
    async with probing(receiver) as probes:
        assert (await probes.get("/livez")).status_code == 200
        ready = await probes.get("/readyz")
    assert ready.status_code == 503
    assert ready.json() == {"ready": False, "table": False, "redis": True, "draining": False}


async def test_a_warm_receiver_is_ready(receiver: Receiving) -> None:
    await receiver.serve()
    async with probing(receiver) as probes:
        ready = await probes.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {"ready": True, "table": True, "redis": True, "draining": False}


async def test_a_draining_receiver_is_alive_and_not_ready(receiver: Receiving) -> None:
    await receiver.serve()
    receiver.receiver.is_draining = True
    async with probing(receiver) as probes:
        assert (await probes.get("/livez")).status_code == 200
        assert (await probes.get("/readyz")).json()["draining"] is True
        assert (await probes.get("/readyz")).status_code == 503


async def test_metrics_are_exposed_as_prometheus_reads_them(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    await receiver.post(opened())
    async with probing(receiver) as probes:
        answer = await probes.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = answer.text.splitlines()
    for name in ("eventroute_receipts_total", "eventroute_deliveries_total", "eventroute_ack_seconds_bucket"):
        assert any(line.startswith(f"{name}{{") for line in lines), name
    assert 'eventroute_secret_matches_total{index="0",route="team-a/triage"}' in answer.text


async def test_no_metric_carries_what_a_sender_chose(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    await receiver.post(opened(delivery="a-very-particular-id"), name="a-path-that-nobody-has")
    await receiver.post(opened(delivery="a-very-particular-id"))
    async with probing(receiver) as probes:
        exposition = (await probes.get("/metrics")).text
    assert "particular" not in exposition
    assert "nobody-has" not in exposition


async def load(receiver: Receiving) -> dict[str, int]:
    async with probing(receiver) as probes:
        answer = await probes.get("/load")
    assert answer.status_code == 200
    return dict(answer.json())


async def test_an_empty_queue_is_no_load(receiver: Receiving) -> None:
    assert await load(receiver) == {"load": 0, "throttled": 0, "deferred": 0, "held": 0}


async def test_load_counts_what_is_due_or_running_and_not_what_waits_for_its_time(
    receiver: Receiving, redis: Redis
) -> None:
    for number in range(9):
        await admit_job(redis, f"d-{number}")
    for _ in range(5):
        await work_on(redis).put_back(await lease(redis), pause_ms=60_000, counts=False)
    await lease(redis)
    assert await load(receiver) == {"load": 4, "throttled": 0, "deferred": 5, "held": 0}


async def test_what_a_held_route_has_is_told_apart_and_asks_for_no_worker(receiver: Receiving, redis: Redis) -> None:
    await receiver.serve(receiver_route(), receiver_route(name="held"))
    await upkeep_of(redis).hold(GROUP, receiver_route(name="held").path, "deleted")
    await receiver.post(opened())
    for number in range(3):
        await receiver.post(opened(number), name="held")
    for held in (receiver_route(name="held", generation=2, suspend="hold"), receiver_route(name="other")):
        await receiver.serve(receiver_route(), held)
        assert await load(receiver) == {"load": 1, "throttled": 0, "deferred": 0, "held": 3}


async def test_what_is_parked_asks_for_one_worker_to_see_when_its_trouble_is_mended(
    receiver: Receiving, redis: Redis
) -> None:
    trouble = Trouble(reason="billing", detail="402", key_id="own", model="")
    for number in range(3):
        await admit_job(redis, f"d-{number}")
        await work_on(redis).park(await lease(redis), trouble, has_asked=True)
    assert await load(receiver) == {"load": 1, "throttled": 0, "deferred": 0, "held": 3}
    await upkeep_of(redis).unpark(GROUP, trouble.cause, count=5)
    assert await load(receiver) == {"load": 3, "throttled": 0, "deferred": 0, "held": 0}


async def test_a_held_route_that_a_worker_would_let_go_asks_for_one(receiver: Receiving, redis: Redis) -> None:
    await receiver.serve(receiver_route(suspend="hold"))
    await upkeep_of(redis).hold(GROUP, receiver_route().path, "suspended")
    for number in range(3):
        await receiver.post(opened(number))
    assert await load(receiver) == {"load": 0, "throttled": 0, "deferred": 0, "held": 3}
    await receiver.serve(receiver_route(generation=2))
    assert await load(receiver) == {"load": 3, "throttled": 0, "deferred": 0, "held": 0}
    await Desk({GROUP: redis}).stop(by="ada", reason="")
    assert await load(receiver) == {"load": 0, "throttled": 0, "deferred": 0, "held": 3}


async def test_a_stopped_installation_asks_for_no_worker_beyond_what_runs(receiver: Receiving, redis: Redis) -> None:
    await receiver.serve(receiver_route())
    for number in range(4):
        await receiver.post(opened(number))
    await lease(redis)
    await Desk({GROUP: redis}).stop(by="ada", reason="")
    assert (await receiver.post(opened(9))).json()["status"] == "queued"
    assert await load(receiver) == {"load": 1, "throttled": 0, "deferred": 0, "held": 4}


async def test_a_delivery_that_was_just_accepted_is_load(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    await receiver.post(opened())
    assert await load(receiver) == {"load": 1, "throttled": 0, "deferred": 0, "held": 0}


async def test_reading_the_load_writes_nothing(receiver: Receiving, redis: Redis) -> None:
    await receiver.serve()
    before = set(await redis.keys("*"))
    await load(receiver)
    assert set(await redis.keys("*")) == before


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/load"])
async def test_nothing_of_it_is_on_the_port_that_faces_the_internet(receiver: Receiving, path: str) -> None:
    await receiver.serve(receiver_route())
    assert (await receiver.client.get(path)).status_code == 404


async def test_no_hook_is_on_the_probe_port(wire: OnTheWire) -> None:
    await wire.serve(receiver_route())
    async with httpx.AsyncClient(base_url=wire.receiver.probe_url) as client:
        request = opened()
        answer = await client.post("/hooks/team-a/triage", headers=request.headers, content=request.body)
    assert answer.status_code == 404
    assert await wire.queued() == []


async def test_a_probe_is_answered_within_the_second_that_a_kubelet_waits(wire: OnTheWire) -> None:
    await wire.serve(receiver_route())
    async with httpx.AsyncClient(base_url=wire.receiver.probe_url) as client:
        for path in ("/livez", "/readyz", "/load"):
            started = time.monotonic()
            assert (await client.get(path)).status_code == 200
            assert time.monotonic() - started < 1


async def test_answers_to_a_sink_that_a_worker_would_let_go_ask_for_one(receiver: Receiving, redis: Redis) -> None:
    route = receiver_route()
    await receiver.serve(receiver_route(suspend="hold"))
    await admit_job(redis, "d-1")
    parent = await lease(redis)
    await work_on(redis).hand_over(parent, b"{}", ["own"])
    await settle(redis, parent)
    await upkeep_of(redis).hold(GROUP, sending_path(route.path, "own"), "suspended")
    assert await load(receiver) == {"load": 0, "throttled": 0, "deferred": 0, "held": 1}
    await receiver.serve(receiver_route(generation=2))
    assert await load(receiver) == {"load": 1, "throttled": 0, "deferred": 0, "held": 0}
