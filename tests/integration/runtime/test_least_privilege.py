"""Each program under its own Redis user: all that it does is allowed, and what is not its business is refused."""

import asyncio
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
from eventroute.outcome import RunOutcome
from eventroute.route_table import RECEIVER, WORKER, RateLimit, WorkerRoute
from eventroute.runtime import background
from eventroute.runtime.redis import connect
from eventroute.runtime.stats import Tally, read_stats
from eventroute.runtime.tables import RouteTable, heartbeats, publish, table_version
from eventroute.sealed import SealKey, new_key_text
from eventroute_worker.answer import Passing
from eventroute_worker.attempt import Later
from eventroute_worker.sweeper import Sweeper
from support.acl_users import AclUsers, acl_users
from support.probes import probing
from support.queue import admit, admit_job
from support.receiving import opened, receiving, signed
from support.runs import HISTORY, FakeClaude, FakeRoutes, build_runner, results, sample_delivery
from support.runs import worker_route as runnable_route
from support.sample_routes import receiver_route, worker_route
from support.waiting import until
from support.worker import Recorder, running, until_empty

pytestmark = pytest.mark.real

KEY = SealKey.from_text(new_key_text())
ROUTE = RouteUid("uid-triage")
ONE = DeliveryId("d-1")


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


async def test_a_receiver_admits_repeats_buries_and_counts(server: AclUsers, admin: Redis) -> None:
    limited = receiver_route(rate_limit=RateLimit(per_second=100.0, burst=100))
    async with allowed(server, admin, "receiver") as redis, receiving(server.url("receiver"), admin) as receiver:
        await receiver.serve(limited)
        assert (await receiver.post(opened())).json()["status"] == "queued"
        assert (await receiver.post(opened())).json()["status"] == "duplicate"
        assert (await receiver.post(signed("github", b"{", event="push", delivery="gh-2"))).status_code == 422
        async with probing(receiver) as probes:
            assert (await probes.get("/load")).json() == {"load": 1, "deferred": 0}
        assert [beat.version for beat in await heartbeats(admin, RECEIVER)] == [receiver.receiver.table.version]
        tally = Tally()
        tally.add_match(ROUTE, "hook/secret", time_ms=1)
        tally.add_accepted(ROUTE, ONE, time_ms=1, trace_id="")
        await tally.flush(redis)


async def test_a_worker_runs_a_delivery_to_its_end(server: AclUsers, admin: Redis) -> None:
    route = runnable_route(entity="payload.number", history=HISTORY)
    claude = FakeClaude(Passing(detail="overloaded", after_s=0.01))
    tally = Tally()
    async with allowed(server, admin, "worker") as redis:
        runner = build_runner(redis, claude=claude, routes=FakeRoutes(route))
        async with running(redis, runner):
            for number in range(2):
                await admit(admin, sample_delivery(f"d-{number}"))
                await until_empty(admin)
        tally.add_run(ROUTE, RunOutcome.SUCCEEDED, ONE, trace_id="")
        await tally.flush(redis)
    assert len(await results(admin)) == 2
    assert len([key async for key in admin.scan_iter("eventroute:history:*")]) == 1
    assert await admin.exists(keys.stats(ROUTE))


async def test_a_worker_keeps_leases_gives_jobs_back_and_sweeps(server: AclUsers, admin: Redis) -> None:
    async def slow(_: Any) -> Later:
        await asyncio.sleep(0.4)
        return Later(delay_s=60)

    async with allowed(server, admin, "worker") as redis:
        async with running(redis, slow, lease_s=0.3):
            await admit_job(admin, "d-slow")

            async def is_put_back() -> bool:
                due = await admin.zrangebyscore(keys.QUEUE, 0, "+inf", withscores=True)
                return not await admin.exists(keys.lease(DeliveryId("d-slow"))) and bool(due) and due[0][1] > 2e12 / 2

            await until(is_put_back)
        await admin.zadd(keys.QUEUE, {"d-orphan": 9e12, "no id \xff".encode("latin-1"): 1})
        await Sweeper(redis).sweep()
        async with running(redis, Recorder()):
            await until(lambda: admin.exists(keys.DEAD))


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


@pytest.mark.parametrize("members", [0, 3])
async def test_keda_counts_the_queue_also_when_it_is_empty(server: AclUsers, admin: Redis, members: int) -> None:
    count = """
        local kind = redis.call('type', KEYS[1]).ok
        return kind == 'zset' and redis.call('zcard', KEYS[1]) or redis.call('llen', KEYS[1])
    """
    if members:
        await admin.zadd(keys.QUEUE, {f"d-{number}": number for number in range(members)})
    async with allowed(server, admin, "keda") as redis:
        assert await redis.eval(count, 1, keys.QUEUE) == members


CONTENTS: dict[str, tuple[str, ...]] = {
    "a delivery": ("GET", keys.delivery(ONE)),
    "a run": ("HGETALL", keys.run(ONE)),
    "a history": ("LRANGE", keys.history("uid", "e"), "0", "-1"),
    "answers in a stream": ("XRANGE", keys.stream("team-a", "results"), "-", "+"),
    "a job": ("GET", keys.job(ONE)),
    "the receivers' table": ("HSCAN", keys.table(RECEIVER.name), "0"),
    "the workers' table": ("HSCAN", keys.table(WORKER.name), "0"),
}
READABLE = {
    "receiver": {"the receivers' table"},
    "worker": {"a delivery", "a run", "a history", "a job", "the workers' table"},
    "operator": {"the receivers' table", "the workers' table"},
    "keda": set[str](),
    "reader": {"answers in a stream"},
}


@pytest.mark.parametrize("user", READABLE)
@pytest.mark.parametrize("what", CONTENTS)
async def test_a_user_reads_what_it_needs_and_nothing_else(
    server: AclUsers, admin: Redis, user: str, what: str
) -> None:
    refused = user not in READABLE or what not in READABLE[user]
    async with connect(server.url(user)) as redis:
        with pytest.raises(NoPermissionError) if refused else contextlib.nullcontext():
            await redis.execute_command(*CONTENTS[what])
        if refused and user != "reader":  # nor by a script (which that one may not run at all)
            for declared in (0, 1):
                with pytest.raises(ResponseError, match="o permissions"):
                    await _by_script(redis, declared, *CONTENTS[what])
    assert bool(await admin.execute_command("ACL LOG")) == refused


async def _by_script(redis: Redis, declared: int, command: str, key: str, *more: str) -> None:
    words = ", ".join(repr(word) for word in (command, key, *more))
    await redis.eval(f"return redis.call({words})", declared, *[key] * declared)


OTHER_WAYS: dict[str, tuple[str, ...]] = {
    "read while writing": ("SET", keys.delivery(ONE), "x", "GET"),
    "copy": ("COPY", keys.delivery(ONE), keys.claim(ClaimId("c"))),
    "rename": ("RENAME", keys.delivery(ONE), keys.claim(ClaimId("c"))),
    "dump": ("DUMP", keys.delivery(ONE)),
    "move a table": ("RENAME", keys.table(RECEIVER.name), keys.stats(ROUTE)),
    "list all keys": ("KEYS", "*"),
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


@pytest.mark.parametrize("what", OTHER_WAYS)
async def test_a_receiver_that_was_taken_over_finds_no_way_around(server: AclUsers, admin: Redis, what: str) -> None:
    await admin.set(keys.delivery(ONE), "somebody's payload")
    async with connect(server.url("receiver")) as redis:
        with pytest.raises(NoPermissionError):
            await redis.execute_command(*OTHER_WAYS[what])
    assert await admin.get(keys.delivery(ONE)) == b"somebody's payload"


async def test_a_programs_password_is_needed(server: AclUsers) -> None:
    for user in rules():
        async with connect(server.url(user).replace("p%3A", "q%3A")) as redis:
            with pytest.raises(AuthenticationError):
                await redis.ping()
