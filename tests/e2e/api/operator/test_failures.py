"""Whatever is killed, the route that was live stays live, and what was wanted meanwhile comes true afterwards."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from eventroute import keys
from eventroute.route_table import RECEIVER, WORKER
from support.control_plane import SECRET, ControlPlane, Namespace, redis_of
from support.operator_process import grant_documented
from support.waiting import until


@contextlib.contextmanager
def never_unknown(team: Namespace) -> Iterator[None]:
    """Ask for the route all the time, and fail if a receiver ever denies it."""
    codes: list[int] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            codes.append(team.deliver())
            time.sleep(0.01)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        done.set()
        asking.join()
    assert codes
    assert 404 not in codes


@pytest.fixture
async def live(team: Namespace) -> Namespace:
    """A namespace with a live route `triage`."""
    team.apply_secret("hook", {"secret": SECRET})
    team.apply_route()
    await team.until_ready()
    return team


async def until_more_is_told(plane: ControlPlane, *, than: float) -> None:
    """Wait until the watches tell of something, which they do of all that is there when they begin anew."""
    async with asyncio.timeout(60):
        while await plane.operator.metric("eventroute_operator_watch_events_total") <= than:
            await asyncio.sleep(0.1)


def is_gone(team: Namespace, route: str) -> bool:
    """Tell whether nobody takes a route's events: it was never published, or its name is held."""
    return team.deliver(route) in {404, 503}


async def test_an_operator_killed_in_the_midst_of_a_hundred_routes_converges(
    plane: ControlPlane, live: Namespace
) -> None:
    with never_unknown(live):
        for round_ in range(3):
            for number in range(30):
                live.apply_route(f"r{round_}-{number}")
            await asyncio.sleep(0.1 * round_)
            plane.operator.kill()
            live.delete("eventroutes", f"r{round_}-0")
            plane.operator.start()
        await plane.operator.until_ready()
        for round_ in range(3):
            for number in range(1, 30):
                await live.until_ready(f"r{round_}-{number}", timeout_s=30)
    for round_ in range(3):
        await until(partial(is_gone, live, f"r{round_}-0"))
        assert live.deliver(f"r{round_}-29") == 200


async def test_a_restarted_operator_writes_nothing_that_did_not_change(plane: ControlPlane, live: Namespace) -> None:
    version = live.route()["metadata"]["resourceVersion"]
    plane.operator.kill()
    plane.operator.start()
    await plane.operator.until_ready()
    await asyncio.sleep(3)
    assert live.route()["metadata"]["resourceVersion"] == version


async def test_what_was_deleted_while_no_operator_ran_is_gone_after(plane: ControlPlane, live: Namespace) -> None:
    live.apply_route("leaving")
    await live.until_ready("leaving")
    with never_unknown(live):
        plane.operator.kill()
        live.delete("eventroutes", "leaving")
        assert live.deliver("leaving") == 200  # the data plane needs no operator
        plane.operator.start()
        await until(lambda: live.deliver("leaving") == 503, timeout_s=20)


async def test_the_api_server_may_restart(plane: ControlPlane, live: Namespace) -> None:
    with never_unknown(live):
        plane.api.stop()
        await asyncio.sleep(3)
        await asyncio.to_thread(plane.api.start)
    live.apply_route("after")
    await live.until_ready("after", timeout_s=30)
    live.apply_secret("hook", {"secret": SECRET + "-changed"})
    await until(lambda: live.deliver("after", secret=SECRET + "-changed") == 200, timeout_s=30)


async def test_permissions_may_be_missing_for_a_while(plane: ControlPlane, live: Namespace) -> None:
    api, before = plane.api, plane.operator.log().count("resync_failed")
    with never_unknown(live):
        api.kubectl("delete", "clusterrolebinding", "operator")
        api.stop()  # what is being watched goes on without permission; what is asked anew does not
        await asyncio.sleep(1)
        await asyncio.to_thread(api.start)
        try:
            await until(lambda: plane.operator.log().count("resync_failed") > before, timeout_s=30)
            await asyncio.sleep(3)  # the watches are refused, too
        finally:
            grant_documented(api, plane.kubeconfig.parent)
        live.apply_route("after")
        await live.until_ready("after", timeout_s=30)
        told = await plane.operator.metric("eventroute_operator_watch_events_total")
        live.apply_route("later")
        await live.until_ready("later", timeout_s=30)
        await until_more_is_told(plane, than=told)  # a list may have been first


async def test_redis_may_be_gone_for_a_while(plane: ControlPlane, live: Namespace) -> None:
    plane.valkey.kill()
    live.apply_route("meanwhile")
    ready = await live.until_not_ready("RedisUnavailable", timeout_s=30)
    assert ready["observedGeneration"] == 1
    assert (await live.until_not_ready("RedisUnavailable", "meanwhile"))["status"] == "False"
    plane.valkey.restart()
    await live.until_ready(timeout_s=30)
    await live.until_ready("meanwhile", timeout_s=30)
    assert live.deliver("meanwhile") == 200


async def test_a_short_absence_of_redis_is_not_told(plane: ControlPlane, live: Namespace) -> None:
    version = live.route()["metadata"]["resourceVersion"]
    plane.valkey.kill()
    await asyncio.sleep(1)
    plane.valkey.restart()
    await asyncio.sleep(8)
    assert live.route()["metadata"]["resourceVersion"] == version


async def test_a_redis_that_lost_everything_is_filled_again(plane: ControlPlane, live: Namespace) -> None:
    async with redis_of(plane) as redis:
        with never_unknown(live):
            await redis.flushall()

            async def is_back() -> bool:
                tables = [await redis.hexists(keys.table(p.name), f"{live.name}/triage") for p in (RECEIVER, WORKER)]
                return all(tables)

            await until(is_back, timeout_s=15)
    await live.until_ready()


async def test_what_others_write_into_the_status_is_put_right(live: Namespace) -> None:
    patch = '{"status": {"conditions": [], "path": "/elsewhere", "observedGeneration": 99}}'
    live.plane.api.kubectl(
        "patch", "er", "triage", "-n", live.name, "--subresource=status", "--type=merge", "-p", patch
    )
    assert live.route()["status"]["path"] == "/elsewhere"
    await live.until_ready(timeout_s=60)
    assert live.route()["status"]["path"] == f"/hooks/{live.name}/triage"


async def test_a_route_whose_namespace_ends_leaves_the_others_alone(plane: ControlPlane, live: Namespace) -> None:
    ending = plane.namespace()
    ending.apply_secret("hook", {"secret": SECRET})
    route = ending.apply_route()
    await ending.until_ready()
    patch = '{"metadata": {"finalizers": ["example.com/wait"]}}'
    plane.api.kubectl("patch", "er", "triage", "-n", ending.name, "--type=merge", "-p", patch)
    plane.api.kubectl("delete", "namespace", ending.name, "--wait=false")
    ending.delete("eventroutes", "triage")
    assert ending.route()["metadata"]["uid"] == route["metadata"]["uid"]  # somebody's finalizer keeps it
    await until(lambda: ending.deliver() == 503)
    live.apply_route("after")
    await live.until_ready("after")


async def test_the_process_is_alive_and_ready_and_counts(plane: ControlPlane, live: Namespace) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{plane.operator.port}") as probes:
        alive, ready = await probes.get("/livez"), await probes.get("/readyz")
    assert (alive.status_code, ready.status_code) == (200, 200)
    assert max(alive.json()["watch_age_seconds"].values()) < 400
    assert await plane.operator.metric("eventroute_operator_routes") >= 1
    assert live.route()


async def test_an_operator_that_is_asked_to_stop_does_so_at_once(plane: ControlPlane, live: Namespace) -> None:
    began = time.monotonic()
    assert plane.operator.terminate() == 0
    assert time.monotonic() - began < 5
    plane.operator.start()
    await plane.operator.until_ready()
    assert live.deliver() == 200
