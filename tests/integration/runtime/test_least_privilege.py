"""Each program under its own Redis user: all that it does is allowed, and what is not its business is refused."""

import contextlib
import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from eventroute import keys
from eventroute.acl import rules
from eventroute.ids import ClaimId, DeliveryId, RoutePath, RouteUid
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import Amount, Desk, Limit, Limits, Load, Renewed, Trouble
from eventroute.queue.scripts import DISCARD, REPLAY
from eventroute.route_table import RECEIVER, WORKER, DebounceRule, RateLimit, WorkerRoute
from eventroute.runtime import background
from eventroute.runtime.link import LinkedRedis
from eventroute.runtime.notices import Notice, read_notices, write_notices
from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import ClientCaller
from eventroute.runtime.stats import Tally, read_stats
from eventroute.runtime.tables import RouteTable, heartbeats, publish, table_version
from eventroute.sealed import SealKey, new_key_text
from eventroute.throttle import Size
from eventroute_operator.obstacles import Obstacles, read_obstacles
from eventroute_receiver.admit import Admission
from eventroute_worker.answer import Passing
from support.acl_users import AclUsers, acl_users
from support.budgets import OF_ALL, ledger_of
from support.chains import chaining, route, table
from support.probes import probing
from support.queue import (
    GROUP,
    admit,
    admit_in_lane,
    admit_job,
    bury,
    fields,
    lease,
    letters,
    run_out,
    settle,
    state,
    upkeep_of,
    work_on,
)
from support.receiving import opened, receiving, signed
from support.redis_link import linked
from support.runs import HISTORY, PATH, FakeClaude, FakeRoutes, build_runner, results, sample_delivery
from support.runs import worker_route as runnable_route
from support.sample_routes import receiver_route, worker_route
from support.waiting import until
from support.worker import running, until_empty

pytestmark = pytest.mark.real

KEY = SealKey.from_text(new_key_text())
ROUTE = RouteUid("uid-triage")
ONE = DeliveryId("d-1")
NEED = Amount(100, 10)
TRACEPARENT = f"00-{'1' * 32}-{'2' * 16}-01"
NOTICES = {"claude-haiku-4-5": Notice(is_retired=True)}
TROUBLE = Trouble(reason="billing", detail="no credit", key_id="own", model="")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AclUsers]:
    with acl_users(tmp_path_factory.mktemp("acl")) as users:
        yield users


@pytest.fixture
async def admin(server: AclUsers) -> AsyncIterator[Redis]:
    async with connect(server.admin) as redis:
        await redis.flushall()
        await redis.script_flush()
        await redis.execute_command("ACL LOG", "RESET")
        yield redis


@contextlib.asynccontextmanager
async def allowed(server: AclUsers, admin: Redis, user: str) -> AsyncIterator[Redis]:
    """Sign in as a user; afterwards no command of the block may have been refused, be it handled or not."""
    async with connect(server.url(user)) as redis:
        yield redis
    refusals = await admin.execute_command("ACL LOG")
    assert refusals == []


async def test_a_receiver_admits_repeats_buries_redelivers_and_counts(server: AclUsers, admin: Redis) -> None:
    limited = receiver_route(rate_limit=RateLimit(per_second=100.0, burst=100))
    async with allowed(server, admin, "receiver") as redis, receiving(server.url("receiver"), admin) as receiver:
        await receiver.serve(limited)
        first = (await receiver.post(opened())).json()
        assert first["status"] == "queued"
        assert (await receiver.post(opened())).json()["status"] == "duplicate"
        assert (await receiver.post(signed("github", b"{", event="push", delivery="gh-2"))).status_code == 422
        await bury(admin, first["delivery"])
        assert (await receiver.post(opened())).json() == {**first, "status": "redelivered"}
        await upkeep_of(admin).hold(GROUP, limited.path, "deleted")
        assert (await receiver.post(opened(3))).json()["status"] == "queued"
        await upkeep_of(admin).release(GROUP, [limited.path])
        async with probing(receiver) as probes:
            assert (await probes.get("/load")).json() == {"load": 2, "throttled": 0, "deferred": 0, "held": 0}
            await Desk({GROUP: admin}).stop(by="ada", reason="")
            assert (await probes.get("/load")).json() == {"load": 0, "throttled": 0, "deferred": 0, "held": 2}
        assert [beat.version for beat in await heartbeats(admin, RECEIVER)] == [receiver.receiver.table.version]
        tally = Tally()
        tally.add_match(ROUTE, "hook/secret", time_ms=1)
        tally.add_accepted(ROUTE, ONE, generation=1, time_ms=1, trace_id="")
        await tally.flush(redis)


async def test_a_receiver_lets_events_of_one_entity_wait_for_each_other(server: AclUsers, admin: Redis) -> None:
    route = receiver_route(entity="payload.action", per_entity=True)
    await upkeep_of(admin).limit(GROUP, {PATH: Limit(holds_lanes=True)})
    async with allowed(server, admin, "receiver"), receiving(server.url("receiver"), admin) as receiver:
        await receiver.serve(route)
        first, *_ = [(await receiver.post(opened(number))).json()["delivery"] for number in (1, 2)]
        await bury(admin, first)
        assert (await receiver.post(opened(1))).json() == {"status": "redelivered", "delivery": first}
        await bury(admin, first)
        await receiver.serve(receiver_route(entity="payload.number", per_entity=True))
        assert (await receiver.post(opened(1))).json() == {"status": "redelivered", "delivery": first}
        await admin.delete(GROUP.delivery(first))  # somebody removed what has its lane
        await receiver.serve(receiver_route(entity="string(1)", per_entity=True))
        for number in (3, 4):
            await receiver.post(opened(number))
        await admin.delete(GROUP.delivery((await receiver.queued())[-1]))
        await receiver.post(opened(5))
    assert await admin.zcard(GROUP.behind(PATH)) == 1


async def test_a_receiver_collects_events_and_a_worker_takes_them_all(server: AclUsers, admin: Redis) -> None:
    rule = DebounceRule(quiet_s=30, max_s=300)
    async with allowed(server, admin, "receiver"), receiving(server.url("receiver"), admin) as receiver:
        await receiver.serve(receiver_route(entity="payload.action", debounce=rule))
        first, *others = [(await receiver.post(opened(number))).json() for number in range(101)]
        assert [each["status"] for each in others] == ["debounced"] * 99 + ["queued"]
    async with allowed(server, admin, "worker") as redis:
        taken = await lease(redis)
        assert taken.delivery == first["delivery"]
        await admin.delete(GROUP.delivery(others[-1]["delivery"]))
        await admin.zadd(GROUP.later, {others[-1]["delivery"]: 1})
        assert (await work_on(redis).lease(GROUP, worker="w", lease_ms=1, wanted=1, busy=0)).leases == []
        await settle(redis, taken, "dead", DeadReason.SINK)
    async with allowed(server, admin, "receiver"), receiving(server.url("receiver"), admin) as receiver:
        await receiver.serve(receiver_route(entity="payload.action", debounce=rule))
        assert (await receiver.post(opened(7))).json() == {**first, "status": "redelivered"}


async def test_a_receiver_marks_what_a_newer_event_supersedes_and_a_worker_ends_it(
    server: AclUsers, admin: Redis
) -> None:
    async with allowed(server, admin, "receiver"), receiving(server.url("receiver"), admin) as receiver:
        await receiver.serve(receiver_route(entity="payload.action", supersede=True))
        names = [DeliveryId((await receiver.post(opened(number))).json()["delivery"]) for number in range(4)]
    async with allowed(server, admin, "worker") as redis:
        work = work_on(redis)
        taken = {found.delivery: found for found in [await lease(redis) for _ in names]}
        first, second, third, newest = (taken[name] for name in names)
        assert await work.renew(GROUP, [first], lease_ms=15_000) == Renewed([], {names[0]: names[1]})
        await work.wait(first, "own:haiku", Size(1, 1), until_ms=2**52)
        assert await work.save(second, b"{}") == names[2]
        for each in (second, third, await lease(redis)):
            await settle(redis, each, "superseded")
        await settle(redis, newest, "dead", DeadReason.SINK)
    async with allowed(server, admin, "desk") as redis:
        assert await Desk({GROUP: redis}).replay([names[3]]) == {names[3]: "ok"}
    newest = await admin.get(GROUP.newest(PATH, (await fields(admin, names[3]))["newest_of"]))
    assert newest is not None
    assert newest.split()[0] == names[3].encode()


async def test_a_worker_keeps_lanes_in_order(server: AclUsers, admin: Redis) -> None:
    async with allowed(server, admin, "worker") as redis:
        upkeep = upkeep_of(redis)
        await upkeep.limit(GROUP, {PATH: Limit(1, holds_lanes=True)})
        await admit_in_lane(admin, *(f"d-{number}" for number in range(6)))
        await settle(redis, await lease(redis))
        await admin.delete(GROUP.delivery(DeliveryId("d-2")))
        await settle(redis, await lease(redis), "dead", DeadReason.SINK)
        call = ClientCaller(redis)
        assert await call(REPLAY, GROUP.prefix, ["resume", "d-1"]) == [b"ok"]
        await settle(redis, await lease(redis), "dead", DeadReason.SINK)
        assert await call(DISCARD, GROUP.prefix, ["d-1"]) == [b"ok"]
        await settle(redis, await lease(redis), "dead", DeadReason.SINK)
        await upkeep.limit(GROUP, {PATH: Limit()})
        assert await upkeep.limits(GROUP) == {}
        await upkeep.keep(GROUP, worker="w", for_ms=5000, cursor=0, routes=10, count=10)
        await upkeep.limit(GROUP, {PATH: Limit(holds_lanes=True)})
        await settle(redis, await lease(redis), "dead", DeadReason.SINK)
        await upkeep.hold(GROUP, PATH, "deleted")
        assert await upkeep.forsake(GROUP, PATH, after_ms=0, count=10) == 1
    assert not await admin.exists(GROUP.lane(PATH, "x"), GROUP.behind(PATH), GROUP.holding(PATH))


@pytest.mark.parametrize(
    "changes",
    [
        {"rateLimit": {"perSecond": 100, "burst": 100}},
        {"entity": "payload.data.event", "concurrency": {"perEntity": 1}},
        {"entity": "payload.data.event", "debounce": {"quiet": "1s", "max": "10s"}},
        {"entity": "payload.data.event", "supersede": True},
        {"filter": "payload.data.text > 3"},
    ],
    ids=["rate", "lanes", "collected", "superseded", "undecided"],
)
async def test_a_worker_hands_answers_over_to_another_route(
    server: AclUsers, admin: Redis, changes: dict[str, Any]
) -> None:
    routes = table(route("triage", "escalate"), route("escalate", **changes))
    async with allowed(server, admin, "worker") as redis, chaining(redis, routes):
        for number in range(3):
            await admit(admin, sample_delivery(f"d-{number}"))
        await until_empty(admin, timeout_s=15)
        assert await Desk({GROUP: admin}).replay([DeliveryId("d-0")], mode="sinks") == {"d-0": "ok"}
        await until_empty(admin, timeout_s=15)
    async with allowed(server, admin, "desk") as redis:
        found = await Desk({GROUP: redis}).show(DeliveryId("d-1"))
        assert found is not None
        assert list(found.children) == ["to-escalate"]


@contextlib.asynccontextmanager
async def linked_as(server: AclUsers, user: str) -> AsyncIterator[LinkedRedis]:
    """Sign in as a user on the connections that a program's tasks share."""
    async with linked(server.url(user)) as link:
        assert await link.until_up(10)
        yield LinkedRedis(link)


async def test_a_receiver_counts_every_group(server: AclUsers, admin: Redis) -> None:
    async with allowed(server, admin, "receiver"), linked(server.url("receiver")) as link:
        assert await link.until_up(10)
        admission = Admission(link, limits=Limits(10, 0), groups=3)
        assert await admission.load() == Load(0, 0, 0, 0, 0, 0)


async def test_a_worker_runs_deliveries_to_their_end(server: AclUsers, admin: Redis) -> None:
    route = runnable_route(entity="payload.number", history=HISTORY)
    claude = FakeClaude(Passing(detail="overloaded", after_s=0.01))
    tally = Tally()
    async with allowed(server, admin, "worker") as redis, linked_as(server, "worker") as shared:
        runner = build_runner(shared, claude=claude, routes=FakeRoutes(route))
        async with running(redis, runner):
            for number in range(2):
                await admit(admin, sample_delivery(f"d-{number}"))
                await until_empty(admin)
            await admit(admin, sample_delivery("d-unknown", route=RoutePath("team-a/deleted")))

            async def is_held() -> bool:
                return bool(await admin.hexists(GROUP.held, "team-a/deleted"))

            await until(is_held)
        tally.add_run(ROUTE, RunOutcome.SUCCEEDED, ONE, trace_id="")
        await tally.flush(redis)
        await write_notices(redis, NOTICES)
        assert await read_notices(redis) == NOTICES
    assert len(await results(admin)) == 2
    assert len(await admin.keys(GROUP.history("*"))) == 1
    assert await admin.exists(keys.stats(ROUTE))


async def test_a_worker_gives_back_parks_and_buries(server: AclUsers, admin: Redis) -> None:
    for number in range(5):
        await admit_job(admin, f"d-{number}", traceparent=TRACEPARENT)
    async with allowed(server, admin, "worker") as redis:
        work, upkeep = work_on(redis), upkeep_of(redis)
        taken = [await lease(redis) for _ in range(5)]
        for each in taken:
            await work.begin(each, traceparent=TRACEPARENT)
            await work.asking(each)
        await work.put_back(taken[0], pause_ms=60_000, counts=False, error="overloaded")
        await work.put_back(taken[1], pause_ms=0, counts=True)
        for each in taken[2:4]:
            await work.park(each, TROUBLE, has_asked=True)
        assert await work.renew(GROUP, taken, lease_ms=15_000) == Renewed([each.delivery for each in taken[:4]], {})
        await settle(redis, taken[4], "dead", DeadReason.ATTEMPTS)
        [standing] = await upkeep.standing(GROUP)
        assert (standing.trouble, standing.waiting) == (TROUBLE, 2)
        assert await upkeep.probe(GROUP, TROUBLE.cause, every_ms=0)
        assert await upkeep.unpark(GROUP, TROUBLE.cause, count=100) == 0
        assert await upkeep.load(GROUP) == Load(ready=3, running=0, later=1, throttled=0, held=0, workable=3)
        assert not (await upkeep.read_stop()).is_standing
    assert await letters(admin) == [taken[4].delivery]


async def test_a_worker_reserves_pays_and_keeps_accounts(server: AclUsers, admin: Redis) -> None:
    for number in range(3):
        await admit_job(admin, f"d-{number}")
    async with allowed(server, admin, "worker") as redis:
        ledger, leases = ledger_of(redis), [await lease(redis) for _ in range(3)]
        for each, need in zip(leases, (NEED, NEED, Amount(9_999, 9)), strict=True):
            full = await ledger.reserve(each, OF_ALL, need, for_ms=0)
            if full:
                trouble = Trouble(reason="budget", detail="spent", budget=full.rule.scope)
                await work_on(redis).park(each, trouble, has_asked=True, need=need)
        await ledger.pay(leases[0], OF_ALL, Amount(900, 1))
        await run_out(admin, leases[1].delivery)
        await lease(redis)
        assert await ledger.lapse(GROUP) == 1
        assert [each.is_warned for each in await ledger.account(GROUP, OF_ALL, are_all=True)] == [True] * 3
        assert [each.is_warned for each in await ledger.account(GROUP, OF_ALL[1:], are_all=True)] == [False] * 2
        assert await ledger.afford(GROUP, OF_ALL[0], (None, None), count=9) == 1


async def test_a_worker_takes_over_what_was_cut_short_and_runs_suspects_alone(server: AclUsers, admin: Redis) -> None:
    await admit_job(admin, "d-1")
    async with allowed(server, admin, "worker") as redis:
        work = work_on(redis)
        first = await lease(redis, worker="killed", lease_ms=1)
        await work.begin(first, traceparent="")
        await admin.zadd(GROUP.running, {first.delivery: 1})
        again = await lease(redis, worker="other")
        assert (again.delivery, again.alone) == (first.delivery, True)
        assert await work.renew(GROUP, [again], lease_ms=15_000) == Renewed([], {})
        await settle(redis, again)
    assert await state(admin, first.delivery) == "settled"


async def test_a_worker_keeps_the_queue_in_order(server: AclUsers, admin: Redis) -> None:
    long_ago = 1
    for name in ("d-done", "d-dead", "d-large", "d-left"):
        await admit_job(admin, name)
    await settle(admin, await lease(admin))
    for _ in range(2):
        await settle(admin, await lease(admin), "dead", DeadReason.SINK)
    async with allowed(server, admin, "worker") as redis:
        upkeep = upkeep_of(redis)
        await admin.zadd(GROUP.dead(PATH), {"d-dead": long_ago})
        for kind in ("bodies", "answers", "records"):
            if kind == "bodies":
                assert await upkeep.relieve(GROUP, PATH, kind, older_ms=0, count=10) == 1
            await admin.zadd(GROUP.finished(kind, PATH), {"d-done": long_ago}, xx=True)
            assert await upkeep.keep(GROUP, worker="w", for_ms=5000, cursor=0, routes=10, count=10) is not None
        assert await admin.hget(GROUP.route(PATH), "dead_bytes") is not None
        await admin.hset(GROUP.route(PATH), "dead_bytes", 10**9)
        await upkeep.keep(GROUP, worker="w", for_ms=5000, cursor=0, routes=10, count=10)
        assert await upkeep.keep(GROUP, worker="another", for_ms=1, cursor=0, routes=1, count=1) is None
        assert await upkeep.hold(GROUP, PATH, "deleted", "gone")
        assert await upkeep.forsake(GROUP, PATH, after_ms=0, count=10) == 1
        assert await upkeep.forsake(GROUP, PATH, after_ms=0, count=10) == 0
        assert await upkeep.held(GROUP) == {}
        await upkeep.hold(GROUP, PATH, "deleted")
        await admit_job(admin, "d-more")
        assert await upkeep.release(GROUP, [PATH]) == 1
        assert await upkeep.routes(GROUP) == [PATH]
        assert (await upkeep.memory(GROUP))[0] > 0
    assert [await state(admin, DeliveryId(name)) for name in ("d-done", "d-dead", "d-large")] == ["gone"] * 3
    assert await letters(admin) == ["d-left"]


@pytest.mark.parametrize("mode", ["resume", "whole", "sinks"])
async def test_what_has_ended_runs_again_or_is_discarded_with_a_workers_rights(
    server: AclUsers, admin: Redis, mode: str
) -> None:
    for name in ("d-done", "d-dead", "d-discarded"):
        await admit_job(admin, name)
    done = await lease(admin)
    await work_on(admin).save(done, b"an answer")
    await work_on(admin).mark_sink(done, "results")
    await settle(admin, done)
    for _ in range(2):
        await settle(admin, await lease(admin), "dead", DeadReason.SINK)
    async with allowed(server, admin, "worker") as redis:
        call = ClientCaller(redis)
        assert await call(DISCARD, GROUP.prefix, ["d-discarded"]) == [b"ok"]
        assert await call(REPLAY, GROUP.prefix, [mode, "d-done"]) == [b"ok"]
        assert await call(REPLAY, GROUP.prefix, [mode, "d-dead"]) == [b"no_answer" if mode == "sinks" else b"ok"]


async def test_a_reader_takes_answers_as_they_come(server: AclUsers, admin: Redis) -> None:
    stream = GROUP.stream("team-a", "results")
    await admin.xadd(stream, {"text": "x"})
    async with allowed(server, admin, "reader") as redis:
        assert await redis.xlen(stream) == 1
        assert len(await redis.xread({stream: 0})) == len(await redis.xrevrange(stream)) == 1


def _has(table: RouteTable[WorkerRoute], path: RoutePath) -> bool:
    return table.get(path) is not None


async def test_a_worker_follows_its_table(server: AclUsers, admin: Redis) -> None:
    async with allowed(server, admin, "worker") as redis:
        table: RouteTable[WorkerRoute] = RouteTable(redis, WORKER, KEY, process_id="w", prepare=lambda route: route)
        async with background.running(table.run):
            for name in ("first", "second"):
                route = worker_route(name=name)
                await publish(admin, WORKER, {route.path: route}, KEY)
                await until(functools.partial(_has, table, route.path))
            assert [beat.version for beat in await heartbeats(admin, WORKER)] == [table.version]


async def test_an_operator_publishes_and_reads_heartbeats_and_statistics(server: AclUsers, admin: Redis) -> None:
    await admin.set(keys.process(RECEIVER.name, "r"), b'{"version":1,"broken":[]}')
    await admin.sadd(keys.processes(RECEIVER.name), "r", "dead")
    tally = Tally()
    tally.add_match(ROUTE, "hook/secret", time_ms=7)
    await tally.flush(admin)
    await write_notices(admin, NOTICES)
    async with allowed(server, admin, "operator") as redis:
        for routes in ([receiver_route()], [receiver_route(name="other")], []):
            await publish(redis, RECEIVER, {route.path: route for route in routes}, KEY)
        await publish(redis, RECEIVER, {}, KEY, name_held_s=0)
        large = [receiver_route(name=f"r{number}", filter="x" * 600_000) for number in range(2)]
        await publish(redis, RECEIVER, {route.path: route for route in large}, KEY)
        version = await publish(redis, WORKER, {worker_route().path: worker_route()}, KEY)
        assert await table_version(redis, WORKER) == version
        assert [beat.version for beat in await heartbeats(redis, RECEIVER)] == [1]
        assert await heartbeats(redis, WORKER) == []
        assert (await read_stats(redis, [ROUTE]))[0].secrets == {"hook/secret": 7}
        assert await read_obstacles(upkeep_of(redis), [GROUP]) == Obstacles()
        await ledger_of(admin).account(GROUP, OF_ALL[:1])
        await admin.hset(GROUP.budget(OF_ALL[0].scope), "spent_usd", 1_000)
        [nearly] = await ledger_of(admin).account(GROUP, OF_ALL[:1])
        for told in ({OF_ALL[0].scope: nearly.ends_ms}, {}):
            assert await upkeep_of(redis).take_warnings(GROUP) == told
        assert await read_notices(redis) == NOTICES


CONTENTS: dict[str, tuple[str, ...]] = {
    "a delivery": ("HGET", GROUP.delivery(ONE), "body"),
    "an answer": ("HMGET", GROUP.delivery(ONE), "answer"),
    "a record": ("HGETALL", GROUP.delivery(ONE)),
    "what waits": ("ZRANGE", GROUP.ready(PATH), "0", "-1"),
    "dead letters": ("ZRANGE", GROUP.dead(PATH), "0", "-1"),
    "which routes there are": ("SMEMBERS", GROUP.routes),
    "what is wrong with keys": ("HGETALL", GROUP.causes),
    "a history": ("ZREVRANGEBYSCORE", GROUP.history("route/team-a/triage:e"), "+inf", "-inf"),
    "answers in a stream": ("XRANGE", GROUP.stream("team-a", "results"), "-", "+"),
    "the receivers' table": ("HSCAN", keys.table(RECEIVER.name), "0"),
    "the workers' table": ("HSCAN", keys.table(WORKER.name), "0"),
}
READABLE = {
    "receiver": {"the receivers' table"},
    "worker": CONTENTS.keys() - {"answers in a stream", "the receivers' table"},
    "operator": {"what is wrong with keys", "the receivers' table", "the workers' table"},
    "reader": {"answers in a stream"},
    "desk": CONTENTS.keys() - {"a history", "answers in a stream", "the receivers' table", "the workers' table"},
}


def test_every_user_is_looked_at() -> None:
    assert READABLE.keys() == rules().keys()


@pytest.mark.parametrize("user", READABLE)
@pytest.mark.parametrize("what", CONTENTS)
async def test_a_user_reads_what_it_needs_and_nothing_else(
    server: AclUsers, admin: Redis, user: str, what: str
) -> None:
    refused = what not in READABLE[user]
    async with connect(server.url(user)) as redis:
        with pytest.raises(NoPermissionError) if refused else contextlib.nullcontext():
            await redis.execute_command(*CONTENTS[what])
        if refused:  # nor by a script, be it one that declares the key, none, or what all scripts of the queue declare
            for declared in ([], [CONTENTS[what][1]], [GROUP.prefix]):
                with pytest.raises(ResponseError, match="o permissions"):
                    await _by_script(redis, declared, *CONTENTS[what])
    assert bool(await admin.execute_command("ACL LOG")) == refused


async def _by_script(redis: Redis, declared: list[str], *command: str) -> None:
    words = ", ".join(repr(word) for word in command)
    await redis.eval(f"return redis.call({words})", len(declared), *declared)


DELIVERY = GROUP.delivery(ONE)
CLAIM = GROUP.claim(ClaimId("c"))

OTHER_WAYS: dict[str, tuple[str, ...]] = {
    "read while writing": ("SET", DELIVERY, "x", "GET"),
    "read and remove": ("HGETDEL", DELIVERY, "FIELDS", "1", "body"),
    "read and let live": ("HGETEX", DELIVERY, "FIELDS", "1", "body"),
    "read its values": ("HVALS", DELIVERY),
    "look for it": ("HSCAN", DELIVERY, "0"),
    "pick from it": ("HRANDFIELD", DELIVERY, "1", "WITHVALUES"),
    "sort by it": ("SORT", GROUP.ready(PATH), "BY", "nosort", "GET", f"{GROUP.prefix}d:*->body"),
    "copy": ("COPY", DELIVERY, CLAIM),
    "rename": ("RENAME", DELIVERY, CLAIM),
    "dump": ("DUMP", DELIVERY),
    "take work": ("ZPOPMIN", GROUP.ready(PATH)),
    "say that it is done": ("ZADD", GROUP.finished("records", PATH), "1", ONE),
    "take a worker's lease": ("ZREM", GROUP.running, ONE),
    "let a route go": ("HDEL", GROUP.held, PATH),
    "change a stream": ("XADD", GROUP.stream("team-a", "results"), "*", "a", "b"),
    "change a history": ("ZADD", GROUP.history("x"), "1", "x"),
    "move a table": ("RENAME", keys.table(RECEIVER.name), keys.stats(ROUTE)),
    "list all keys": ("KEYS", "*"),
    "list them slowly": ("SCAN", "0"),
    "empty the database": ("FLUSHALL",),
    "reconfigure": ("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
    "change users": ("ACL", "SETUSER", "receiver", "+@all"),
    "watch the traffic": ("MONITOR",),
    "become a replica": ("REPLICAOF", "127.0.0.1", "1"),
    "publish a table of its own": ("HSET", keys.table(RECEIVER.name), "a", "b"),
    "publish it by a script": (
        "EVAL",
        "return redis.call('HSET', KEYS[1], 'a', 'b')",
        "1",
        keys.table(RECEIVER.name),
    ),
    "announce a table": ("PUBLISH", keys.table_changed(RECEIVER.name), "x"),
    "hear everything": ("PSUBSCRIBE", "*"),
}
UNKNOWN = {"read and remove", "read and let live"}  # to servers that have no such commands yet


@pytest.mark.parametrize("what", OTHER_WAYS)
async def test_a_receiver_that_was_taken_over_finds_no_way_around(server: AclUsers, admin: Redis, what: str) -> None:
    await admin.hset(DELIVERY, "body", "somebody's payload")
    await admin.zadd(GROUP.ready(PATH), {ONE: 1})
    async with connect(server.url("receiver")) as redis:
        with pytest.raises(ResponseError) as error:
            await redis.execute_command(*OTHER_WAYS[what])
        assert isinstance(error.value, NoPermissionError) or (what in UNKNOWN and "unknown command" in str(error.value))
        for declared in ([], [GROUP.prefix]):
            with pytest.raises(ResponseError, match=r"o permissions|[Uu]nknown|not allowed from script"):
                await _by_script(redis, declared, *OTHER_WAYS[what])
    assert await admin.hget(DELIVERY, "body") == b"somebody's payload"
    assert await admin.zrange(GROUP.ready(PATH), 0, -1) == [ONE.encode()]


async def test_of_a_delivery_a_receiver_learns_no_more_than_its_length(server: AclUsers, admin: Redis) -> None:
    await admin.hset(DELIVERY, "body", "somebody's payload")
    async with allowed(server, admin, "receiver") as redis:
        assert await redis.hstrlen(DELIVERY, "body") == 18


@pytest.mark.parametrize("what", ["sort by it", "list all keys", "empty the database", "reconfigure", "change users"])
async def test_nor_does_a_worker(server: AclUsers, admin: Redis, what: str) -> None:
    async with connect(server.url("worker")) as redis:
        with pytest.raises(NoPermissionError):
            await redis.execute_command(*OTHER_WAYS[what])


async def test_a_programs_password_is_needed(server: AclUsers) -> None:
    for user in rules():
        async with connect(server.url(user).replace("p%3A", "q%3A")) as redis:
            with pytest.raises(AuthenticationError):
                await redis.ping()
