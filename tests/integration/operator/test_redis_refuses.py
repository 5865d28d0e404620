"""A Redis that is full, or refuses to be written to, concerns the routes that changed; the others are served."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.route_table import RECEIVER, WORKER
from eventroute.runtime.background import running
from eventroute.runtime.tables import Heartbeat
from eventroute_operator import fleet, reconcile
from eventroute_operator.cluster import Kind
from integration.operator.conftest import Control
from support.budgets import account, budget
from support.cluster_objects import route_body, secret_body
from support.full_redis import no_memory, no_replicas
from support.queue import GROUP
from support.waiting import until

pytestmark = pytest.mark.real

LATER = 1 << 53  # a version that no table reaches: whatever is published is served at once


@pytest.fixture
async def live(control: Control, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Control]:
    """An operator with a route that is ready, and little patience."""
    monkeypatch.setattr(reconcile, "REDIS_AWAY_S", 0.2)
    monkeypatch.setattr(fleet, "SILENCE_S", 0.2)
    monkeypatch.setattr(reconcile, "_REFUSED_S", 0.1)
    monkeypatch.setattr(reconcile, "_IDLE_S", 0.1)
    for plane in (RECEIVER, WORKER):
        await redis.set(keys.process(plane.name, "one"), msgspec.json.encode(Heartbeat(version=LATER, broken=[])))
        await redis.sadd(keys.processes(plane.name), "one")
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: control.reasons().get("triage") == "Ready")
        yield control


def put(control: Control, *routes: dict[str, Any]) -> None:
    """Let the cluster have these routes from now on."""
    control.api.objects[Kind.ROUTE] = list(routes)
    for route in routes:
        control.cluster.see(Kind.ROUTE, route)


def said(control: Control, name: str) -> set[str]:
    """Name all that was ever said of a route."""
    return {
        each["reason"]
        for route, status in control.api.statuses
        for each in status["conditions"]
        if route == name and each["type"] == "Ready"
    }


async def test_in_a_full_redis_the_cure_is_published_and_every_route_stays_ready(live: Control, redis: Redis) -> None:
    own = budget("team-a/triage", micro_usd=100)
    await account(redis, own)
    await redis.hset(GROUP.budget(own.scope), "spent_usd", 80)
    assert (await account(redis, own)).is_warned
    async with no_memory(redis):
        put(live, route_body(generation=2, version=50, suspend={"mode": "drop"}))

        async def is_suspended() -> bool:
            return [entry.suspend for entry in await live.entries(RECEIVER)] == ["drop"]

        await until(is_suspended)
        await asyncio.sleep(0.6)
        assert said(live, "triage") == {"Ready"}
        await redis.delete(keys.process(RECEIVER.name, "one"))
        await until(lambda: live.reasons()["triage"] == "NoReceivers")  # the warning has no room, and all else is heard
    await until(lambda: bool(live.announced), timeout_s=5)


async def test_only_what_redis_does_not_take_says_so_until_it_does(live: Control, redis: Redis) -> None:
    async with no_replicas(redis):
        put(live, route_body(), route_body("new"))
        await until(lambda: live.reasons().get("new") == "NotPublished")
        assert said(live, "triage") == {"Ready"}
        [(_, status), *_] = [each for each in live.api.statuses if each[0] == "new" and "NotPublished" in str(each)]
        [programmed] = [each for each in status["conditions"] if each["type"] == "Programmed"]
        assert "NOREPLICAS" in programmed["message"]
    await until(lambda: live.reasons().get("new") == "Ready")


async def test_a_changed_route_says_of_which_generation_it_is_still_served(live: Control, redis: Redis) -> None:
    async with no_replicas(redis):
        put(live, route_body(generation=2, version=50, filter="true"))
        await until(lambda: live.reasons().get("triage") == "NotPublished")
        assert live.api.statuses[-1][1]["programmed"]["receiver"] == 1
        assert [entry.generation for entry in await live.entries(RECEIVER)] == [1]
    await until(lambda: live.reasons()["triage"] == "Ready")
