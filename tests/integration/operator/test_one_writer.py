"""An operator that does not lead knows everything and writes nothing; one that was deposed ends."""

import asyncio
from functools import partial

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.route_table import RECEIVER, WORKER
from eventroute.runtime.background import running
from eventroute_operator.cluster import Kind
from integration.operator.conftest import Control, FakeLead
from support.budgets import account, budget
from support.cluster_objects import route_body, secret_body
from support.queue import GROUP
from support.waiting import until

pytestmark = pytest.mark.real

VERSION, TRIAGE = "@version", "team-a/triage"


def following(redis: Redis) -> Control:
    """Make an operator that does not lead yet."""
    lead = FakeLead(epoch=2)
    lead.leads.clear()
    made = Control(redis, lead=lead)
    made.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    return made


async def names(control: Control) -> set[str]:
    return await control.published()


async def epoch(redis: Redis) -> int:
    return int(await redis.hget(keys.table(RECEIVER.name), "@epoch") or 0)


async def test_a_follower_has_seen_everything_writes_nothing_and_takes_over_at_once(redis: Redis) -> None:
    control = following(redis)
    async with running(control.resync.run, control.reconciler.run, control.writer.run):
        await until(control.reconciler.synced.is_set)
        await asyncio.sleep(0.3)
        assert await redis.keys("*") == []
        assert (control.api.statuses, control.announced) == ([], [])
        control.lead.leads.set()
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        await until(lambda: "triage" in control.reasons())
    assert await epoch(redis) == 2


async def _equal(control: Control, expected: set[str]) -> bool:
    return await names(control) == expected


async def test_the_loop_of_a_follower_is_alive(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventroute_operator.reconcile._IDLE_S", 0.01)
    control = following(redis)
    async with running(control.resync.run, control.reconciler.run):
        await until(control.reconciler.synced.is_set)
        before = control.reconciler.last_turn
        await until(lambda: control.reconciler.last_turn > before)


async def test_what_a_former_leader_still_wants_is_not_written_and_it_ends(control: Control, redis: Redis) -> None:
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        for plane in (RECEIVER, WORKER):
            await redis.hset(keys.table(plane.name), "@epoch", 9)
        control.cluster.see(Kind.ROUTE, route_body("revoked"))
        await until(lambda: control.lead.is_deposed)
    assert await names(control) == {VERSION, TRIAGE}


async def test_tables_that_are_older_than_the_lease_are_taken_over(redis: Redis) -> None:
    before = Control(redis, lead=FakeLead(epoch=500))
    before.api.objects |= {Kind.ROUTE: [route_body("old")], Kind.SECRET: [secret_body()]}
    async with running(before.resync.run, before.reconciler.run):
        await until(lambda: _equal(before, {VERSION, "team-a/old"}))
    control = Control(redis, receiver_key=before.receiver_key, worker_key=before.worker_key)
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run, control.reconciler.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
    assert not control.lead.is_deposed
    assert await epoch(redis) == 501


async def test_a_budgets_warning_is_left_to_whoever_leads(
    control: Control, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    own = budget("team-a/triage", micro_usd=100)
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        monkeypatch.setattr(control.lead, "is_sure", lambda: False)
        await account(redis, own)
        await redis.hset(GROUP.budget(own.scope), "spent_usd", 80)
        assert (await account(redis, own)).is_warned
        await control.reconciler._hear()
        assert control.announced == []
        monkeypatch.undo()
        await control.reconciler._hear()
        await until(partial(bool, control.announced))
