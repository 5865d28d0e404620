"""What the desk lists, shows and finds, read under its own Redis user."""

import contextlib

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from eventroute import keys
from eventroute.ids import DeliveryId, RouteUid, route_path
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import Admissions, Candidate, Desk, Group, Limit, Limits, State, Trouble, Wanted, group_of
from eventroute.route_table import WORKER, DebounceRule
from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import ClientCaller
from eventroute.throttle import Size
from eventroute_worker.answer import encode_answer
from support.acl_users import AclUsers
from support.letters import bury, end
from support.queue import GROUP, admit, admit_in_lane, lease, settle, upkeep_of, work_on
from support.runs import PATH, answer, sample_delivery

pytestmark = pytest.mark.real

EVERYTHING = Wanted()
BILLING = Trouble(reason="billing", detail="no credit", key_id="own", model="")


async def states(desk: Desk, wanted: Wanted = EVERYTHING) -> dict[str, State]:
    return {line.id: line.state for line in (await desk.look(wanted)).lines}


async def everywhere(redis: Redis) -> None:
    """Put one delivery into each state."""
    await end(redis, sample_delivery("d-dead"), detail="prompts[0].user: truncate expected an integer, found str")
    await end(redis, sample_delivery("d-settled"), outcome=RunOutcome.SUCCEEDED)
    work = work_on(redis)
    for name in ("d-later", "d-held", "d-throttled", "d-suspect"):
        await admit(redis, sample_delivery(name))
        leased = await lease(redis, lease_ms=0 if name == "d-suspect" else 15_000)
        await work.begin(leased, traceparent="")
        if name == "d-later":
            await work.put_back(leased, pause_ms=60_000, counts=True, error="overloaded")
        if name == "d-held":
            await work.park(leased, BILLING, has_asked=True)
        if name == "d-throttled":
            await work.wait(leased, "own:haiku-5-5", Size(100, 10), until_ms=0)
    await work.lease(GROUP, worker="w", lease_ms=1, wanted=0, busy=1)  # finds that a lease ran out
    await admit(redis, sample_delivery("d-ready", route=route_path("team-b", "triage")))
    await admit_in_lane(redis, "d-running", "d-behind")
    await redis.zrem(GROUP.suspects, "d-suspect")
    await lease(redis)
    await redis.zadd(GROUP.suspects, {"d-suspect": 1})


async def test_each_state_is_listed(desk: Desk, redis: Redis) -> None:
    await everywhere(redis)
    found = await states(desk)
    assert sorted(found) == [f"d-{state}" for state in sorted((*State,))]
    one_ran = {found.pop("d-running"), found.pop("d-ready")}
    assert one_ran == {State.RUNNING, State.READY}
    assert found == {f"d-{state}": state for state in State if state not in {State.RUNNING, State.READY}}
    assert (await desk.load()).held == 2, "the parked one, and the one behind another"


async def test_a_list_is_filtered(desk: Desk, redis: Redis) -> None:
    about = {"about": msgspec.json.encode({"event": "issues.opened", "entity": "7", "provider_id": "p-9"})}
    for route in ("team-a/triage", "team-a/other", "team-b/triage"):
        path = route_path(*route.split("/"))
        await end(redis, sample_delivery(f"d-{route}", route=path), fields=about)
    await end(redis, sample_delivery("d-ok", event="push"), outcome=RunOutcome.SUCCEEDED)
    for wanted, count in (
        (Wanted(route="team-a"), 3),
        (Wanted(route="team-a/triage"), 2),
        (Wanted(route="team"), 0),
        (Wanted(states=frozenset({"dead"})), 3),
        (Wanted(states=frozenset({"succeeded"})), 1),
        (Wanted(reason="render"), 3),
        (Wanted(reason="sink"), 0),
        (Wanted(event="issues.*"), 3),
        (Wanted(event="push"), 1),
        (Wanted(entity="7"), 3),
        (Wanted(since_ms=await desk.now_ms() + 1), 0),
        (Wanted(until_ms=await desk.now_ms() - 60_000), 0),
    ):
        assert len(await states(desk, wanted)) == count, wanted


async def test_the_newest_come_first_and_a_limit_bounds_what_is_read(desk: Desk, redis: Redis) -> None:
    await bury(redis, 3000)
    found = await desk.look(Wanted(), limit=5)
    assert len(found.lines) == 5
    assert found.looked_at <= 250
    assert [line.moment_ms for line in found.lines] == sorted((line.moment_ms for line in found.lines), reverse=True)
    assert len((await desk.look(Wanted(), limit=None)).lines) == 3000


async def test_one_is_shown_with_all_that_is_known(desk: Desk, redis: Redis) -> None:
    await admit(redis, sample_delivery("d-1"), traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    leased = await lease(redis)
    work = work_on(redis)
    await work.begin(leased, traceparent="")
    await work.save(leased, encode_answer(answer("Fine.")))
    await work.mark_sink(leased, "log")
    found = await desk.show(DeliveryId("d-1"))
    assert found
    assert found.delivery
    assert found.delivery.event == found.line.event == "pull_request.opened"
    assert found.answer
    assert (found.answer.text, found.answer.cost_usd) == ("Fine.", "0.000035")
    assert (found.line.state, found.stage, found.sinks_done) == (State.RUNNING, "begun", ["log"])
    assert found.trace_id == "a" * 32
    assert await desk.show(DeliveryId("d-2")) is None


async def test_who_waits_for_whom_in_a_lane_is_shown_and_listed(desk: Desk, redis: Redis) -> None:
    await upkeep_of(redis).limit(GROUP, {PATH: Limit(holds_lanes=True)})
    await admit_in_lane(redis, "d-1", "d-2", "d-3")
    third = await desk.show(DeliveryId("d-3"))
    assert third
    assert (third.line.state, third.ahead, third.ahead_is_dead) == (State.BEHIND, "d-1", False)
    await settle(redis, await lease(redis), "dead", DeadReason.RENDER)
    third, letter = await desk.show(DeliveryId("d-3")), await desk.show(DeliveryId("d-1"))
    assert third
    assert letter
    assert (third.ahead, third.ahead_is_dead) == ("d-1", True)
    assert (letter.line.holds, letter.ahead) == (2, None)
    listed = (await desk.look(Wanted(states=frozenset({"dead"})))).lines
    assert [(line.id, line.holds) for line in listed] == [("d-1", 2)]
    assert await desk.replay([DeliveryId("d-1")]) == {"d-1": "ok"}
    letter = await desk.show(DeliveryId("d-1"))
    assert letter
    assert (letter.line.state, letter.line.holds) == (State.READY, 0)
    await settle(redis, await lease(redis), "dead", DeadReason.RENDER)
    assert await desk.discard([DeliveryId("d-1")]) == {"d-1": "ok"}
    assert (await states(desk)) == {"d-2": State.READY, "d-3": State.BEHIND}
    await settle(redis, await lease(redis), "dead", DeadReason.RENDER)
    await redis.delete(GROUP.delivery(DeliveryId("d-3")))
    assert await desk.discard([DeliveryId("d-2")]) == {"d-2": "ok"}
    assert not await redis.exists(GROUP.lane(PATH, "x"))


async def test_one_that_collects_says_how_many_events_it_has(desk: Desk, redis: Redis) -> None:
    admissions = Admissions(ClientCaller(redis), limits=Limits(10, 0))
    rule = DebounceRule(quiet_s=30, max_s=300)
    events = [Candidate(sample_delivery(f"d-{number}"), [], whom="x") for number in range(3)]
    await admissions.admit(PATH, events, rate=None, debounce=rule)
    found = await desk.show(DeliveryId("d-0"))
    assert found
    assert (found.line.state, found.collects) == (State.LATER, 3)
    await redis.zadd(GROUP.later, {"d-0": 1})
    await settle(redis, await lease(redis), "dead", DeadReason.RENDER)
    found = await desk.show(DeliveryId("d-0"))
    assert found
    assert found.delivery
    assert (found.collects, len(found.delivery.earlier)) == (0, 2)


async def test_what_cannot_be_read_is_shown_all_the_same(desk: Desk, redis: Redis) -> None:
    await admit(redis, sample_delivery("d-1"))
    await redis.hset(GROUP.delivery(DeliveryId("d-1")), mapping={"body": b"\xff", "answer": b"{"})
    found = await desk.show(DeliveryId("d-1"))
    assert found
    assert found.is_unreadable
    assert found.delivery is None
    assert [line.id for line in (await desk.look(Wanted())).lines] == ["d-1"]


async def test_a_providers_id_finds_the_delivery_also_when_its_body_is_gone(desk: Desk, redis: Redis) -> None:
    odd = 'p","payload":{"x":1},"headers":{'
    await admit(redis, sample_delivery("d-1", provider_id="p-1", headers={"a": "b"}))
    await admit(redis, sample_delivery("d-2", provider_id=odd, route=route_path("team-b", "x")))
    await bury(redis, 2, prefix="d-other-")
    assert {line.id for line in await desk.find("p-1")} == {"d-1", "d-other-0", "d-other-1"}
    assert [line.id for line in await desk.find(odd)] == ["d-2"]
    assert await desk.find(odd, route=PATH) == []


async def test_large_bodies_are_not_carried(desk: Desk, redis: Redis) -> None:
    for number in range(12):
        await admit(redis, sample_delivery(f"d-{number}", payload=b'"' + b"x" * 1_000_000 + b'"'))
    before = (await redis.info("stats"))["total_net_output_bytes"]
    assert len((await desk.look(Wanted())).lines) == 12
    assert (await redis.info("stats"))["total_net_output_bytes"] - before < 100_000


async def test_holds_and_troubles_are_told(desk: Desk, redis: Redis) -> None:
    await admit(redis, sample_delivery("d-1"))
    await work_on(redis).park(await lease(redis), BILLING, has_asked=True)
    await upkeep_of(redis).hold(GROUP, PATH, "withheld")
    situation = await desk.situation()
    assert (hold := situation.hold(PATH))
    assert hold.reason == "withheld"
    assert (standing := situation.trouble("own:*"))
    assert (standing.waiting, standing.by_route) == (1, {PATH: 1})


async def test_the_desk_sees_no_table_and_admits_nothing(server: AclUsers) -> None:
    async with connect(server.admin) as admin, connect(server.url("desk")) as redis:
        await admin.hset(keys.stats(RouteUid("u")), "a", "1")
        assert await redis.hgetall(keys.stats(RouteUid("u")))
        for command in (
            ("HGETALL", keys.table(WORKER.name)),
            ("SET", GROUP.claim("c"), "x"),  # type: ignore[arg-type]
            ("XRANGE", GROUP.stream("team-a", "results"), "-", "+"),
            ("ZADD", GROUP.running, "1", "d"),
            ("ZADD", GROUP.dead(PATH), "1", "d"),
            ("DEL", GROUP.delivery(DeliveryId("d"))),
            ("KEYS", "*"),
            ("SCAN", "0"),
            ("FLUSHALL",),
        ):
            with pytest.raises(NoPermissionError):
                await redis.execute_command(*command)
        await admin.execute_command("ACL LOG", "RESET")


async def test_an_installation_of_several_groups_is_one_to_its_people(server: AclUsers, redis: Redis) -> None:
    groups = [Group(number) for number in range(3)]
    async with contextlib.AsyncExitStack() as clients:
        url = server.url("desk")
        desk = Desk({each: await clients.enter_async_context(connect(url, tag=each.tag)) for each in groups})
        admissions = Admissions(ClientCaller(redis), limits=Limits(1_000, 0), groups=3)
        for number in range(9):
            path = route_path(f"team-{number}", "triage")
            letter = Candidate(sample_delivery(f"d-{number}", route=path), [], (DeadReason.FILTER, "no"))
            await admissions.admit(path, [letter], rate=None)
        assert len({group_of(route_path(f"team-{number}", "triage"), 3) for number in range(9)}) == 3
        listing = await desk.look(EVERYTHING, limit=None)
        assert len(listing.lines) == 9
        assert [line.id for line in (await desk.look(Wanted(route="team-4/triage"))).lines] == ["d-4"]
        assert set((await desk.replay([line.id for line in listing.lines])).values()) == {"ok"}
        assert (await desk.load()).ready == 9
        shown = await desk.show(DeliveryId("d-7"))
        assert shown
        assert shown.group == group_of(route_path("team-7", "triage"), 3)
