"""Of several watched namespaces one cannot be looked into: others are served, and nothing of that one is taken away."""

import asyncio
import dataclasses
from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute.runtime.background import running
from eventroute_operator.cluster import Kind
from integration.operator.conftest import Control
from support.cluster_objects import route_body, secret_body
from support.waiting import until

pytestmark = pytest.mark.real

BOTH = {"@version", "team-a/triage", "team-b/triage"}


def of(namespace: str, body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], "namespace": namespace}}


def start(redis: Redis, before: Control | None = None) -> Control:
    """Begin an operator for two namespaces with a route in each; with the keys of the one before."""
    control = Control(redis, namespaces="team-a,team-b")
    if before:
        control = dataclasses.replace(control, receiver_key=before.receiver_key, worker_key=before.worker_key)
    control.api.objects |= {
        Kind.ROUTE: [of(name, route_body(uid=f"uid-{name}")) for name in ("team-a", "team-b")],
        Kind.SECRET: [of(name, secret_body()) for name in ("team-a", "team-b")],
    }
    return control


async def published(control: Control, names: set[str]) -> bool:
    return await control.published() == names


async def test_a_restarted_operator_serves_the_others_and_leaves_that_one_as_it_was(redis: Redis) -> None:
    first = start(redis)
    async with running(first.reconciler.run, first.resync.run):
        await until(lambda: published(first, BOTH))
    second = start(redis, first)
    second.api.forbidden = {"team-b"}
    second.api.objects[Kind.ROUTE].append(of("team-a", route_body("new")))
    async with running(second.reconciler.run, second.resync.run):
        await until(lambda: published(second, BOTH | {"team-a/new"}))
        assert second.reconciler.synced.is_set()


async def test_a_permission_that_is_lost_takes_nothing_away_and_one_that_arrives_is_used(redis: Redis) -> None:
    control = start(redis)
    control.api.forbidden = {"team-b"}
    async with running(control.reconciler.run, control.resync.run):
        await until(lambda: published(control, {"@version", "team-a/triage"}))
        control.api.forbidden = set()
        await until(lambda: published(control, BOTH))
        control.api.forbidden = {"team-b"}
        control.api.objects[Kind.ROUTE] = [of("team-b", route_body(uid="uid-team-b"))]
        await until(lambda: published(control, {"@version", "team-b/triage"}))


async def test_an_operator_that_may_look_nowhere_publishes_nothing(redis: Redis) -> None:
    control = start(redis)
    control.api.forbidden = {"team-a", "team-b"}
    async with running(control.reconciler.run, control.resync.run):
        await asyncio.sleep(0.3)
        assert not control.reconciler.synced.is_set()
        assert await control.published() == set()
