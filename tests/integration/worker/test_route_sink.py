"""An answer that is handed over to another route is an event there: judged by what that route says, accepted once."""

from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, RoutePath
from eventroute.outcome import DeadReason
from eventroute.queue import Desk, Found, LeaseLost, Line, State, Wanted
from eventroute.route_table import RouteSink
from eventroute_cli.desk.story import tell
from eventroute_worker.sinks import Result, RouteSinkWriter
from support.chains import chaining, entries, route, table
from support.queue import GROUP, admit, work_on
from support.runs import sample_delivery
from support.waiting import until
from support.worker import keeping, until_empty

pytestmark = pytest.mark.real

TRACE = "a" * 32
ESCALATE = RoutePath("team-a/escalate")


async def lines(redis: Redis, name: str, **wanted: Any) -> list[Line]:
    """List the deliveries of a route, oldest first, without what is sent of them."""
    found = await Desk({GROUP: redis}).look(Wanted(route=f"team-a/{name}", **wanted))
    return [line for line in reversed(found.lines) if line.route == f"team-a/{name}"]


async def show(redis: Redis, name: str) -> Found:
    found = await Desk({GROUP: redis}).show(DeliveryId(name))
    assert found is not None
    return found


async def hand_over(redis: Redis, *names: str) -> None:
    for name in names:
        await admit(redis, sample_delivery(name), traceparent=f"00-{TRACE}-{'b' * 16}-01")


async def last_error(redis: Redis, name: str = "d-1:to-escalate") -> str:
    """Wait until something could not be handed over, and read why."""

    async def has_failed() -> bool:
        return bool(await redis.hexists(GROUP.delivery(DeliveryId(name)), "last_error"))

    await until(has_failed)
    return (await redis.hget(GROUP.delivery(DeliveryId(name)), "last_error") or b"").decode()


async def refusal(redis: Redis) -> str:
    """Read the one dead letter of what was to be handed over."""
    found = await Desk({GROUP: redis}).look(Wanted(states=frozenset({State.DEAD})))
    (line,) = found.lines
    assert (line.id, line.reason) == ("d-1:to-escalate", DeadReason.SINK)
    return line.detail


async def test_three_routes_are_one_trace_and_know_of_each_other(redis: Redis) -> None:
    async with chaining(redis, table(route("triage", "escalate"), route("escalate", "page"), route("page"))) as claude:
        await hand_over(redis, "d-1")
        await until_empty(redis)
    assert len(claude.asked) == 3
    (second,), (third,) = await lines(redis, "escalate"), await lines(redis, "page")
    assert [(line.provider, line.event, line.hops) for line in (second, third)] == [
        ("eventroute", "eventroute.answer", 1),
        ("eventroute", "eventroute.answer", 2),
    ]
    assert (second.parent, third.parent) == ("d-1", second.id)
    assert (second.provider_id, third.provider_id) == ("d-1:to-escalate", f"{second.id}:to-page")
    found = [await show(redis, name) for name in ("d-1", second.id, third.id)]
    assert [dict(each.children) for each in found] == [{"to-escalate": second.id}, {"to-page": third.id}, {}]
    assert {each.trace_id for each in found} == {TRACE}


async def test_what_is_handed_over_says_what_the_http_sink_says(redis: Redis) -> None:
    sink = {"name": "to-escalate", "route": {"name": "escalate", "event": "issue.severe"}, "message": "{{ event }}!"}
    async with chaining(redis, table(route("triage", sinks=[sink]), route("escalate"))):
        await hand_over(redis, "d-1")
        await until_empty(redis)
    (child,) = await lines(redis, "escalate")
    assert child.event == "issue.severe"
    delivery = (await show(redis, child.id)).delivery
    assert delivery is not None
    payload = msgspec.json.decode(delivery.payload)
    told = {"delivery": "d-1", "idempotency_key": "d-1:to-escalate", "route": "team-a/triage", "hops": 1}
    assert payload["type"] == "eventroute.answer"
    assert {name: payload["data"][name] for name in told} == told
    assert payload["data"]["text"] == "pull_request.opened!"


async def test_the_desk_tells_of_parent_and_child(redis: Redis) -> None:
    async with chaining(redis, table(route("triage", "escalate"), route("escalate"))):
        await hand_over(redis, "d-1")
        await until_empty(redis)
    (child,) = await lines(redis, "escalate")
    desk = Desk({GROUP: redis})
    now_ms, situation = await desk.now_ms(), await desk.situation()
    told = tell(await show(redis, "d-1"), situation, now_ms=now_ms)
    assert f"By sink to-escalate the answer became delivery {child.id}" in told
    assert "It is the answer to delivery d-1, handed over by that one's route." in tell(
        await show(redis, child.id), situation, now_ms=now_ms
    )


async def test_a_worker_that_is_killed_after_it_has_handed_over_runs_nothing_twice(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = table(route("triage", "escalate"), route("escalate"))
    sent = RouteSinkWriter.send

    async def die(self: RouteSinkWriter, sink: RouteSink, result: Result) -> str:
        await sent(self, sink, result)
        await redis.zadd(GROUP.running, {result.lease.delivery: 1}, xx=True)
        taken = await work_on(redis).lease(GROUP, worker="other", lease_ms=1, wanted=0, sendings=1, busy=0)
        assert [lease.delivery for lease in taken.leases] == ["d-1:to-escalate"]
        monkeypatch.setattr(RouteSinkWriter, "send", sent)
        raise LeaseLost("killed")

    monkeypatch.setattr(RouteSinkWriter, "send", die)
    async with chaining(redis, routes) as claude:
        await hand_over(redis, "d-1")
        await until_empty(redis)
    assert len(claude.asked) == 2
    assert [line.parent for line in await lines(redis, "escalate")] == ["d-1"]


async def test_a_replay_of_the_answer_is_a_duplicate(redis: Redis) -> None:
    async with chaining(redis, table(route("triage", "escalate"), route("escalate"))) as claude:
        await hand_over(redis, "d-1")
        await until_empty(redis)
        assert await Desk({GROUP: redis}).replay([DeliveryId("d-1")], mode="sinks") == {"d-1": "ok"}
        await until_empty(redis)
    assert len(claude.asked) == 2
    assert len(await lines(redis, "escalate")) == 1


async def test_a_chain_ends_where_its_hops_do_as_for_a_webhook(redis: Redis) -> None:
    async with chaining(redis, table(route("triage", "escalate"), route("escalate", maxHops=2))):
        await admit(redis, sample_delivery("d-0", hops=0))
        await until_empty(redis)
        await admit(redis, sample_delivery("d-1", hops=1))
        await until_empty(redis)
    assert await refusal(redis) == (
        "sink to-escalate: route team-a/escalate: 2 answers stand behind this event, and its maxHops is 2; raise that "
        "if the chain is meant to be so long"
    )
    assert [line.parent for line in await lines(redis, "escalate")] == ["d-0"]


async def test_a_filter_of_the_target_chooses(redis: Redis) -> None:
    only = route("escalate", filter='payload.data.text == "Answer 2."')
    async with chaining(redis, table(route("triage", "escalate"), only)):
        await hand_over(redis, "d-1")
        await until_empty(redis)
        await hand_over(redis, "d-2")
        await until_empty(redis)
    assert [line.parent for line in await lines(redis, "escalate")] == ["d-2"]


async def test_what_a_filter_cannot_judge_is_a_dead_letter_of_the_target(redis: Redis) -> None:
    only = route("escalate", filter="payload.data.text > 3")
    async with chaining(redis, table(route("triage", "escalate"), only)):
        await hand_over(redis, "d-1")
        await until_empty(redis)
    (line,) = await lines(redis, "escalate")
    assert (line.state, line.reason, line.parent) == (State.DEAD, DeadReason.FILTER, "d-1")


async def test_a_suspended_target_keeps_what_it_is_handed_until_it_goes_on(redis: Redis) -> None:
    routes = table(route("triage", "escalate"), route("escalate", suspend={"mode": "hold"}))
    async with chaining(redis, routes) as claude, keeping(redis, routes=routes):
        await hand_over(redis, "d-1")

        async def is_held() -> bool:
            return bool(await redis.hexists(GROUP.held, ESCALATE))

        await until(is_held)
        assert len(claude.asked) == 1
        routes.after_refresh = entries(route("triage", "escalate"), route("escalate")).values()
        await routes.refresh()
        await until_empty(redis)
        assert len(claude.asked) == 2


async def test_a_target_that_drops_its_events_starts_nothing(redis: Redis) -> None:
    routes = table(route("triage", "escalate"), route("escalate", suspend={"mode": "drop"}))
    async with chaining(redis, routes) as claude:
        await hand_over(redis, "d-1")
        await until_empty(redis)
    assert len(claude.asked) == 1
    assert await lines(redis, "escalate") == []
    assert (await show(redis, "d-1")).sinks_done == ["to-escalate"]


async def test_an_answer_waits_for_a_target_that_was_deleted_and_comes_back(redis: Redis) -> None:
    routes = table(route("triage", "escalate"), route("escalate"))
    whole = entries(route("triage", "escalate"), route("escalate"))
    routes.after_refresh = [entry for path, entry in whole.items() if path != ESCALATE]
    await routes.refresh()
    async with chaining(redis, routes):
        await hand_over(redis, "d-1")
        assert await last_error(redis) == "route team-a/escalate does not exist"
        routes.after_refresh = whole.values()
        await until_empty(redis)
    assert [line.parent for line in await lines(redis, "escalate")] == ["d-1"]


async def test_a_target_of_another_provider_takes_nothing(redis: Redis) -> None:
    routes = table(route("triage", "escalate"), route("escalate"))
    (changed,) = (entry for path, entry in entries(route("escalate")).items() if path == ESCALATE)
    first = entries(route("triage", "escalate"), route("escalate"))[RoutePath("team-a/triage")]
    routes.after_refresh = [first, msgspec.structs.replace(changed, provider="github", receives=None)]
    await routes.refresh()
    async with chaining(redis, routes):
        await hand_over(redis, "d-1")
        await until_empty(redis)
    assert await refusal(redis) == (
        "sink to-escalate: route team-a/escalate takes no answers: name one of provider eventroute"
    )


async def test_a_rate_limit_of_the_target_is_waited_for(redis: Redis) -> None:
    routes = table(route("triage", "escalate"), route("escalate", rateLimit={"perSecond": 1, "burst": 1}))
    async with chaining(redis, routes):
        await hand_over(redis, "d-1")
        await until_empty(redis)
        await hand_over(redis, "d-2")
        assert await last_error(redis, "d-2:to-escalate") == "route team-a/escalate: its rateLimit is used up"
        await until_empty(redis, timeout_s=20)
    assert [line.parent for line in await lines(redis, "escalate")] == ["d-1", "d-2"]


async def test_a_full_queue_is_waited_for(redis: Redis) -> None:
    async with chaining(redis, table(route("triage", "escalate"), route("escalate")), depth=1):
        await hand_over(redis, "d-1")
        assert await last_error(redis) == "route team-a/escalate: the queue is full"


async def test_answers_about_one_entity_are_worked_on_one_after_the_other(redis: Redis) -> None:
    target = route("escalate", entity="payload.data.event", concurrency={"perEntity": 1}, suspend={"mode": "hold"})
    async with chaining(redis, table(route("triage", "escalate"), target)):
        await hand_over(redis, "d-1", "d-2")

        async def are_there() -> bool:
            return len(await lines(redis, "escalate")) == 2

        await until(are_there)
    first, second = [await show(redis, line.id) for line in await lines(redis, "escalate")]
    assert (second.line.state, second.ahead) == (State.BEHIND, first.line.id)


async def test_a_newer_answer_stands_for_an_older_one(redis: Redis) -> None:
    target = route("escalate", entity="payload.data.event", supersede=True, suspend={"mode": "hold"})
    async with chaining(redis, table(route("triage", "escalate"), target)):
        await hand_over(redis, "d-1", "d-2")

        async def is_outdone() -> bool:
            names = {line.id for line in await lines(redis, "escalate")}
            newer = {await redis.hget(GROUP.delivery(name), "superseded_by") for name in names} - {None}
            return len(names) == 2 and len(newer) == 1 and newer < {name.encode() for name in names}

        await until(is_outdone)


async def test_answers_are_collected(redis: Redis) -> None:
    target = route("escalate", entity="payload.data.event", debounce={"quiet": "1s", "max": "10s"})
    async with chaining(redis, table(route("triage", "escalate"), target)) as claude:
        await hand_over(redis, "d-1", "d-2")
        await until_empty(redis, timeout_s=15)
    (line,) = await lines(redis, "escalate")
    assert line.events == 2
    assert len(claude.asked) == 3
    assert {(await show(redis, name)).children["to-escalate"] for name in ("d-1", "d-2")} == {line.id}


async def test_what_is_to_be_kept_secret_is_not_kept(redis: Redis) -> None:
    target = route("escalate", redact={"payload": ["data.text"]})
    async with chaining(redis, table(route("triage", "escalate"), target)):
        await hand_over(redis, "d-1")
        await until_empty(redis)
    (line,) = await lines(redis, "escalate")
    delivery = (await show(redis, line.id)).delivery
    assert delivery is not None
    assert b"Answer 1." not in bytes(delivery.payload)
