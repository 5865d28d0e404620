"""What is published when: never half of a cluster, workers before receivers, and again when Redis forgot."""

import asyncio
import functools
from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.hops import MARKERS
from eventroute.ids import RoutePath, RouteUid, route_path
from eventroute.outcome import LeftOut
from eventroute.policy import Allowance, Policy
from eventroute.queue import Desk, Group
from eventroute.route_table import RECEIVER, WORKER, Plane
from eventroute.runtime.background import running
from eventroute.runtime.notices import Notice, write_notices
from eventroute.runtime.stats import Tally
from eventroute.runtime.tables import Heartbeat, RouteTable
from eventroute_operator import metrics, reconcile
from eventroute_operator.cluster import Held, Kind, Reference, RouteObject
from eventroute_operator.judge import Judged, judge
from integration.operator.conftest import Control
from support.budgets import account, budget, turn_period
from support.cluster_objects import config_map_body, route_body, secret_body
from support.queue import GROUP
from support.waiting import until

pytestmark = pytest.mark.real

VERSION, TRIAGE = "@version", "team-a/triage"


async def serve(redis: Redis, version: int, *broken: str) -> None:
    """Beat as one receiver does."""
    state = msgspec.json.encode(Heartbeat(version=version, broken=list(map(RoutePath, broken))))
    await redis.set(keys.process(RECEIVER.name, "one"), state)
    await redis.sadd(keys.processes(RECEIVER.name), "one")


async def test_nothing_is_published_before_everything_was_listed(control: Control) -> None:
    control.cluster.see(Kind.ROUTE, route_body())
    control.cluster.see(Kind.SECRET, secret_body())
    await asyncio.sleep(0.3)
    assert await control.published() == set()


async def test_nothing_is_published_while_a_list_fails(control: Control) -> None:
    control.api.is_away = True
    async with running(control.resync.run):
        await asyncio.sleep(0.3)
        assert await control.published() == set()
        control.api.is_away = False
        await until(lambda: _equal(control, {VERSION}))


async def _equal(control: Control, names: set[str]) -> bool:
    return await control.published() == names


async def test_a_cluster_without_routes_has_an_empty_table_not_none(control: Control) -> None:
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION}))


async def test_a_listed_route_is_published_to_both(control: Control) -> None:
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        assert await control.published(WORKER) == {VERSION, TRIAGE}


async def test_receivers_know_the_markers_that_workers_make(control: Control) -> None:
    control.api.objects |= {Kind.ROUTE: [route_body(), route_body("second")], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE, "team-a/second"}))
    keys_ = {entry.marker_key for plane in (RECEIVER, WORKER) for entry in await control.entries(plane)}
    assert keys_ == {control.receiver_key.derive(MARKERS)}


async def test_what_a_watch_lost_is_found_by_the_next_list(control: Control) -> None:
    control.api.objects |= {Kind.ROUTE: [route_body(), route_body("lost")], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE, "team-a/lost"}))
        control.api.objects[Kind.ROUTE].pop()
        await until(lambda: _equal(control, {VERSION, TRIAGE}))


async def test_a_secret_that_was_there_before_its_route_is_fetched(control: Control) -> None:
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION}))
        control.api.objects[Kind.SECRET].append(secret_body())
        control.cluster.see(Kind.SECRET, secret_body())  # nobody refers to it: it is not kept
        control.cluster.see(Kind.ROUTE, route_body())
        await until(lambda: _equal(control, {VERSION, TRIAGE}))


async def test_a_live_route_outlives_an_edit_whose_references_cannot_be_fetched(control: Control) -> None:
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        control.api.is_away = True
        edited = route_body(generation=2, prompts=[{"systemFrom": {"name": "texts", "key": "system"}}])
        control.cluster.see(Kind.ROUTE, edited)
        await asyncio.sleep(0.7)
        assert await control.published() == {VERSION, TRIAGE}
        control.api.objects |= {Kind.ROUTE: [edited], Kind.CONFIG_MAP: [config_map_body(system="Be brief.")]}
        control.api.is_away = False
        await until(lambda: any(status["observedGeneration"] == 2 for _, status in control.api.statuses))
        assert control.reasons()["triage"] == "NoReceivers"


async def test_workers_learn_of_a_route_first_and_forget_it_last(control: Control, redis: Redis) -> None:
    heard: list[str] = []
    async with redis.pubsub() as changes, running(control.resync.run):
        await until(lambda: _equal(control, {VERSION}))
        await changes.subscribe(*(keys.table_changed(plane.name) for plane in (RECEIVER, WORKER)))
        control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
        control.cluster.see(Kind.ROUTE, control.api.objects[Kind.ROUTE][0])
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        control.cluster.forget(Kind.ROUTE, control.api.objects[Kind.ROUTE].pop())
        async with asyncio.timeout(5):
            while len(heard) < 4:
                message: dict[str, Any] | None = await changes.get_message(ignore_subscribe_messages=True, timeout=1)
                if message is not None:
                    heard.append(message["channel"].decode().split(":")[2])
    assert heard == ["worker", "receiver", "receiver", "worker"]


async def test_one_bad_route_harms_no_other(control: Control) -> None:
    bad = [
        route_body("unknown-field", novel=1),
        route_body("no-secret", secretRefs=[{"name": "absent", "key": "a"}]),
        route_body("bad-template", prompts=[{"user": "{{ nobody }}"}]),
        {"metadata": route_body("no-spec")["metadata"]},
    ]
    control.api.objects |= {Kind.ROUTE: [*bad, route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: len(control.reasons()) == 5)
    assert await _served(control, RECEIVER, *control.reasons()) == {"triage", "bad-template"}
    assert await _served(control, WORKER, *control.reasons()) == {"triage", "no-secret"}
    assert control.reasons() == {
        "unknown-field": "InvalidSpec",
        "no-secret": "SecretNotFound",
        "bad-template": "UnknownVariable",
        "no-spec": "InvalidSpec",
        "triage": "NoReceivers",
    }


async def _served(control: Control, plane: Plane[Any], *names: str) -> set[str]:
    """Pick the routes that a process would serve, and see that the others are known to exist."""
    key = control.receiver_key if plane is RECEIVER else control.worker_key
    table: RouteTable[Any] = RouteTable(control.redis, plane, key, process_id="", prepare=lambda route: route)
    await table.refresh()
    paths = {name: route_path("team-a", name) for name in names}
    served = {name for name, path in paths.items() if table.get(path)}
    assert all(table.is_broken(path) for name, path in paths.items() if name not in served)
    return served


async def test_a_route_that_asks_for_more_than_is_allowed_waits_and_says_so(redis: Redis) -> None:
    strict = Control(redis, policy=Policy(max_tokens=1000, namespaces={"team-b": Allowance(max_tokens=4096)}))
    allowed = route_body("allowed", model={"maxTokens": 1000})
    strict.api.objects |= {Kind.ROUTE: [route_body(), allowed], Kind.SECRET: [secret_body()]}
    async with running(strict.reconciler.run, strict.writer.run, strict.resync.run):
        await until(lambda: strict.reasons().get("triage") == "PolicyViolation")
        await until(lambda: _equal(strict, {VERSION, TRIAGE, "team-a/allowed"}))
    assert await _served(strict, RECEIVER, "triage", "allowed") == {"triage", "allowed"}
    assert await _served(strict, WORKER, "triage", "allowed") == {"allowed"}, "what is taken waits"


async def _generations(control: Control) -> dict[str, int]:
    """Tell which generation of the route each plane serves."""
    return {plane.name: entry.generation for plane in (RECEIVER, WORKER) for entry in await control.entries(plane)}


FORMER = [
    ({"prompts": [{"user": "{{ nobody }}"}]}, "UnknownVariable", {"receiver": 2, "worker": 1}),
    ({"filter": "payload."}, "InvalidExpression", {"receiver": 1, "worker": 2}),
    ({"entity": "payload."}, "InvalidExpression", {"receiver": 1, "worker": 1}),
    ({"novel": 1}, "InvalidSpec", {"receiver": 1, "worker": 1}),
]


@pytest.mark.parametrize(("wrong", "reason", "served"), FORMER)
async def test_a_wrong_edit_leaves_what_was_served_of_the_side_that_it_concerns(
    control: Control, wrong: dict[str, Any], reason: str, served: dict[str, int]
) -> None:
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        control.cluster.see(Kind.ROUTE, route_body(version=100, generation=2, **wrong))
        await until(lambda: control.reasons().get("triage") == reason)
        assert await _generations(control) == served
        told = control.api.statuses[-1][1]["programmed"]
        assert all(told[plane] == 1 for plane, generation in served.items() if generation == 1)
        control.cluster.see(Kind.ROUTE, route_body(version=101, generation=3))
        await until(lambda: control.reasons().get("triage") != reason)
        assert await _generations(control) == {"receiver": 3, "worker": 3}


async def test_what_was_served_stays_although_the_operator_was_started_again(redis: Redis) -> None:
    first = Control(redis)
    first.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    async with running(first.resync.run, first.reconciler.run, first.writer.run):
        await until(lambda: _equal(first, {VERSION, TRIAGE}))
    second = Control(redis, receiver_key=first.receiver_key, worker_key=first.worker_key)
    second.api.objects |= {
        Kind.ROUTE: [route_body(generation=2, entity="payload.", suspend={"mode": "hold"})],
        Kind.SECRET: [secret_body()],
    }
    async with running(second.resync.run, second.reconciler.run, second.writer.run):
        await until(lambda: second.reasons().get("triage") == "InvalidExpression")
        assert await _generations(second) == {"receiver": 1, "worker": 1}
        ((receiver,), (worker,)) = [await second.entries(plane) for plane in (RECEIVER, WORKER)]
        assert (receiver.suspend, worker.is_suspended) == ("hold", True), "suspension counts at once"


async def test_a_route_that_was_made_anew_is_not_served_as_the_one_before(control: Control) -> None:
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        control.cluster.forget(Kind.ROUTE, route_body())
        control.cluster.see(Kind.ROUTE, route_body(uid="uid-another", version=100, entity="payload."))

        async def is_withheld() -> bool:
            return not await control.entries(RECEIVER) and not await control.entries(WORKER)

        await until(is_withheld)


async def test_what_a_secret_proved_is_served_for_a_while_after_it_is_gone(redis: Redis) -> None:
    control = Control(redis, grace_s=0.5)
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run, control.reconciler.run, control.writer.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        control.cluster.forget(Kind.SECRET, control.api.objects[Kind.SECRET].pop())
        await until(lambda: control.reasons().get("triage") == "SecretNotFound")
        assert await _served(control, RECEIVER, "triage") == {"triage"}
        await until(lambda: _withheld(control))
        assert await _served(control, WORKER, "triage") == {"triage"}, "what is queued is worked on"
        control.cluster.see(Kind.SECRET, secret_body(version=100))
        await until(lambda: _equal(control, {VERSION, TRIAGE}))


async def _withheld(control: Control) -> bool:
    return not await control.entries(RECEIVER)


async def test_a_deleted_routes_name_is_held_in_both_tables_until_it_is_made_anew(control: Control) -> None:
    routes = control.api.objects[Kind.ROUTE]
    routes.append(route_body())
    control.api.objects[Kind.SECRET].append(secret_body())
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        deleted = routes.pop()
        control.cluster.forget(Kind.ROUTE, deleted)
        await until(lambda: _equal(control, {VERSION}))
        for plane in (RECEIVER, WORKER):
            assert await _served(control, plane, "triage") == set()  # and not denied
        routes.append({**deleted, "metadata": {**deleted["metadata"], "resourceVersion": "9"}})
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        assert await _served(control, RECEIVER, "triage") == {"triage"}


async def test_a_route_is_programmed_once_every_process_has_it(control: Control, redis: Redis) -> None:
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    await serve(redis, 1)
    async with running(control.resync.run):
        await until(lambda: control.reasons().get("triage") == "Propagating")  # said only after a while
        await serve(redis, int(await redis.hget(keys.table(RECEIVER.name), VERSION)))
        await until(lambda: control.reasons().get("triage") == "Ready")
        await serve(redis, int(await redis.hget(keys.table(RECEIVER.name), VERSION)), TRIAGE)
        await until(lambda: control.reasons().get("triage") == "Unreadable")


async def test_what_nobody_understands_in_redis_keeps_no_status_back(control: Control, redis: Redis) -> None:
    await redis.set(keys.process(RECEIVER.name, "odd"), b"\xff")
    await redis.sadd(keys.processes(RECEIVER.name), "odd")
    stats = keys.stats(RouteUid("uid-triage"))
    await redis.hset(
        stats, mapping={b"\xff": b"1", "novel:kind": "1", "receipts:queued": "many", "secrets:a/b": 10**30}
    )
    last = {"time_ms": 10**18, "outcome": "x" * 100, "delivery": "", "trace_id": ""}
    await redis.hset(stats, "last", msgspec.json.encode(last))
    await redis.hset(stats, "receipts:duplicate", 3)
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: control.reasons().get("triage") == "NoReceivers")
    assert control.api.statuses[-1][1]["counts"]["duplicate"] == 3


async def test_a_table_that_came_back_older_is_served_as_it_is(control: Control, redis: Redis) -> None:
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        for plane in (RECEIVER, WORKER):  # as if the clock or the data of Redis had gone back
            await redis.hset(keys.table(plane.name), VERSION, 7)
        await serve(redis, 7)
        await until(lambda: control.reasons().get("triage") == "Ready")


async def test_a_turn_that_fails_loses_no_change(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Reference) -> None:
        monkeypatch.undo()
        raise ValueError("no JSON")

    routes = control.api.objects[Kind.ROUTE]
    routes.append(route_body())
    control.api.objects[Kind.SECRET].append(secret_body())
    async with running(control.resync.run):
        await until(lambda: control.reasons().get("triage") == "NoReceivers")
        monkeypatch.setattr(control.api, "find", fail)
        routes[:] = [
            route_body(generation=2, suspend={"mode": "drop"}),
            route_body("other", secretRefs=[{"name": "a", "key": "b"}]),
        ]
        for route in routes:
            control.cluster.see(Kind.ROUTE, route)
        await until(lambda: any(status["observedGeneration"] == 2 for _, status in control.api.statuses))


async def test_a_route_that_trips_the_compiler_harms_no_other(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trip(route: RouteObject, find: Callable[[Reference], Held | None], **more: Any) -> Judged:
        if route.key.name == "a-trap":
            raise KeyError("a fault of ours")
        return judge(route, find, **more)

    monkeypatch.setattr(reconcile, "judge", trip)
    control.api.objects |= {Kind.ROUTE: [route_body("a-trap"), route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE}))


async def test_redis_that_lost_its_data_is_filled_again(control: Control, redis: Redis) -> None:
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        await redis.flushall()
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        assert await control.published(WORKER) == {VERSION, TRIAGE}


async def test_status_writes_that_fail_are_made_good(control: Control) -> None:
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: _equal(control, {VERSION, TRIAGE}))
        control.api.is_away = True
        control.cluster.see(Kind.ROUTE, route_body(generation=2))
        await asyncio.sleep(0.2)
        control.api.objects[Kind.ROUTE] = [route_body(generation=2)]
        control.api.is_away = False
        await until(lambda: any(status["observedGeneration"] == 2 for _, status in control.api.statuses))


async def test_a_stopped_installation_is_told_by_every_route(control: Control, redis: Redis) -> None:
    desk = Desk({Group(0): redis})
    await desk.stop(by="ada@desk", reason="wrong answers")
    control.api.objects[Kind.ROUTE] = [route_body(), route_body("other")]
    control.api.objects[Kind.SECRET] = [secret_body()]
    async with running(control.resync.run):
        await until(lambda: _working(control) == dict.fromkeys(("triage", "other"), "Stopped"))
    assert metrics.STOPPED._value.get() == 1
    [message] = {
        each["message"]
        for _, status in control.api.statuses
        for each in status["conditions"]
        if each["reason"] == "Stopped"
    }
    assert message == "ada@desk stopped the installation: wrong answers; `eventroute start` ends that"


async def test_a_budget_that_is_nearly_spent_is_an_event_once_a_period(control: Control, redis: Redis) -> None:
    control.api.objects[Kind.ROUTE] = [route_body(), route_body("other")]
    control.api.objects[Kind.SECRET] = [secret_body()]
    own = budget("team-a/triage", micro_usd=100)
    async with running(control.resync.run):
        await until(lambda: len(_working(control)) == 2)
        for period in (1, 2):
            await account(redis, own)
            await redis.hset(GROUP.budget(own.scope), "spent_usd", 80)
            assert (await account(redis, own)).is_warned
            for _ in range(3):
                await control.reconciler._hear()
            assert [(told.route.key.name, told.type, told.reason) for told in control.announced] == [
                ("triage", "Warning", "BudgetNearlySpent")
            ] * period
            await turn_period(redis, own)


async def test_a_model_that_goes_away_is_told_by_the_routes_that_name_it(control: Control, redis: Redis) -> None:
    later = {"claude-haiku-4-5": Notice(retires=date(2099, 12, 14))}
    await write_notices(redis, later)
    old = route_body("old", model={"name": "claude-haiku-4-5"})
    control.api.objects |= {Kind.ROUTE: [old, route_body("other")], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: _working(control) == {"old": "ModelRetires", "other": "Working"})
        await write_notices(redis, {"claude-haiku-4-5": Notice(is_retired=True)})
        await until(lambda: _working(control) == {"old": "ModelUnavailable", "other": "Working"})


async def _age(redis: Redis, hours: float) -> None:
    """Let what came first of the route's events have come so long ago."""
    name = keys.stats(RouteUid("uid-triage"))
    effect = msgspec.json.decode(await redis.hget(name, "effect"))
    effect["since_ms"] -= int(hours * 3_600_000)
    await redis.hset(name, "effect", msgspec.json.encode(effect))


async def test_a_route_that_only_filters_says_so_after_an_hour_until_it_asks(control: Control, redis: Redis) -> None:
    route, tally = RouteUid("uid-triage"), Tally()
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    tally.add_left(route, LeftOut.FILTERED, ["push"] * 3, generation=1)
    await tally.flush(redis)
    async with running(control.resync.run):
        await until(lambda: _working(control) == {"triage": "Working"})
        await _age(redis, 0.99)
        await control.reconciler._count()
        assert _working(control) == {"triage": "Working"}
        await _age(redis, 0.02)
        await until(lambda: _working(control) == {"triage": "NothingMatched"})
        [message] = {each["message"] for each in _conditions(control) if each["reason"] == "NothingMatched"}
        assert message.endswith("none for Claude: 3 filtered (push 3); see spec.filter")
        tally.add_asked(route, generation=1)
        await tally.flush(redis)
        await until(lambda: _working(control) == {"triage": "Working"})


async def test_a_spec_that_has_changed_has_an_hour_of_its_own(control: Control, redis: Redis) -> None:
    route, tally = RouteUid("uid-triage"), Tally()
    control.api.objects |= {Kind.ROUTE: [route_body()], Kind.SECRET: [secret_body()]}
    tally.add_left(route, LeftOut.NO_PROMPT, ["push"], generation=1)
    await tally.flush(redis)
    await _age(redis, 2)
    async with running(control.resync.run):
        await until(lambda: _working(control) == {"triage": "NothingMatched"})
        control.api.objects[Kind.ROUTE] = [route_body(generation=2, filter="true")]
        control.cluster.see(Kind.ROUTE, control.api.objects[Kind.ROUTE][0])
        await until(lambda: _working(control) == {"triage": "Working"})
        tally.add_left(route, LeftOut.NO_PROMPT, ["push"], generation=2)
        await tally.flush(redis)
        await _age(redis, 2)
        await until(lambda: _working(control) == {"triage": "NothingMatched"})


def _conditions(control: Control) -> list[dict[str, Any]]:
    return [each for _, status in control.api.statuses for each in status["conditions"]]


def _working(control: Control) -> dict[str, str]:
    return {
        name: next(each["reason"] for each in status["conditions"] if each["type"] == "Working")
        for name, status in control.api.statuses
    }


async def test_a_route_that_hands_over_to_one_that_comes_later_heals(control: Control) -> None:
    target = route_body("escalate", provider="eventroute", secretRefs=[])
    control.api.objects |= {
        Kind.ROUTE: [route_body(sinks=[{"route": {"name": "escalate"}}])],
        Kind.SECRET: [secret_body()],
    }

    async def are_worked_on() -> bool:
        return {entry.path for entry in await control.entries(WORKER)} == {TRIAGE, "team-a/escalate"}

    async with running(control.resync.run):
        await until(lambda: control.reasons().get("triage") == "TargetNotFound")
        assert await control.published() == {VERSION, TRIAGE}, "its events are taken, and wait"
        assert list(await control.entries(WORKER)) == []
        control.api.objects[Kind.ROUTE].append(target)
        control.cluster.see(Kind.ROUTE, target)
        await until(are_worked_on)
        await until(lambda: control.reasons()["triage"] != "TargetNotFound")
        gone = control.api.objects[Kind.ROUTE].pop()
        control.cluster.forget(Kind.ROUTE, gone)
        await until(lambda: control.reasons()["triage"] == "TargetNotFound")


async def test_routes_that_come_to_lead_back_to_themselves_are_told_so_until_one_is_mended(control: Control) -> None:
    def inside(name: str, *targets: str) -> dict[str, Any]:
        sinks = [{"route": {"name": target}} for target in targets] or [{"log": {}}]
        return route_body(name, provider="eventroute", secretRefs=[], sinks=sinks)

    def are_told(reason: str) -> bool:
        said = control.reasons()
        return len(said) == 2 and all((told == "RouteCycle") == (reason == "RouteCycle") for told in said.values())

    control.api.objects |= {Kind.ROUTE: [inside("a", "b"), inside("b")], Kind.SECRET: [secret_body()]}
    async with running(control.resync.run):
        await until(lambda: are_told(""))
        for targets, reason in ((("a",), "RouteCycle"), ((), "")):
            control.api.objects[Kind.ROUTE][1] = inside("b", *targets)
            control.cluster.see(Kind.ROUTE, control.api.objects[Kind.ROUTE][1])
            await until(functools.partial(are_told, reason))
