"""A Redis that is set up wrong, is too old, or lacks rights is told of: in the log, as a metric, with the heartbeat."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from eventroute.acl import needs, rules
from eventroute.route_table import RECEIVER
from eventroute.runtime.metrics import REGISTRY
from eventroute.runtime.redis import connect
from eventroute.runtime.redis_check import RedisCheck
from eventroute.runtime.scripts import RedisAway
from eventroute.runtime.tables import heartbeats
from eventroute.sealed import new_key_text
from eventroute_cli.local.processes import free_port
from support.acl_users import AclUsers, acl_users
from support.queue import GROUP
from support.receiving import receiving
from support.redis_link import Reply, Scripted
from support.sample_routes import receiver_route
from support.waiting import until
from support.worker_process import worker_fleet

pytestmark = pytest.mark.real

PROGRAMS = ("receiver", "worker")
EVICTS = "maxmemory-policy is volatile-lru, by which a full Redis drops what is queued: it has to be noeviction"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AclUsers]:
    with acl_users(tmp_path_factory.mktemp("acl")) as users:
        yield users


@pytest.fixture
async def admin(server: AclUsers) -> AsyncIterator[Redis]:
    async with connect(server.admin) as redis:
        await redis.flushall()
        await redis.execute_command("ACL LOG", "RESET")
        yield redis


@pytest.fixture
async def evicting(redis: Redis) -> AsyncIterator[Redis]:
    """A Redis that drops what has a lifetime when it is full."""
    await redis.config_set("maxmemory", "1gb")
    await redis.config_set("maxmemory-policy", "volatile-lru")
    yield redis
    await redis.config_set("maxmemory-policy", "noeviction")
    await redis.config_set("maxmemory", 0)


def check_of(redis: Redis, program: str = "worker", *, groups: int = 1) -> RedisCheck:
    return RedisCheck(redis, prefix=GROUP.prefix, rights=needs(program, groups=groups))


async def found(redis: Redis, program: str = "worker", *, groups: int = 1) -> list[str]:
    check = check_of(redis, program, groups=groups)
    await check.look()
    return check.troubles()


def metric(trouble: str) -> float | None:
    return REGISTRY.get_sample_value("eventroute_redis_trouble", {"trouble": trouble})


@pytest.mark.parametrize("program", PROGRAMS)
async def test_of_a_redis_as_it_should_be_nothing_is_told(redis: Redis, program: str) -> None:
    with capture_logs() as logs:
        assert await found(redis, program) == []
    assert logs == []
    assert [metric(trouble) for trouble in ("eviction", "version", "rights")] == [0, 0, 0]
    assert await redis.dbsize() == 0


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl"])
async def test_every_policy_that_evicts_is_a_trouble(evicting: Redis, policy: str) -> None:
    await evicting.config_set("maxmemory-policy", policy)
    [told] = await found(evicting)
    assert f"maxmemory-policy is {policy}," in told


async def test_without_a_limit_nothing_is_evicted_by_any_policy(evicting: Redis) -> None:
    await evicting.config_set("maxmemory", 0)
    assert await found(evicting) == []


async def test_a_trouble_is_logged_when_it_begins_and_when_it_is_over(evicting: Redis) -> None:
    check = check_of(evicting)
    with capture_logs() as logs:
        await check.look()
        await check.look()
        assert logs == [{"event": "redis_trouble", "trouble": "eviction", "detail": EVICTS, "log_level": "error"}]
        assert (check.troubles(), metric("eviction")) == ([EVICTS], 1)
        await evicting.config_set("maxmemory-policy", "noeviction")
        await check.look()
        await check.look()
    assert logs[1:] == [{"event": "redis_trouble_over", "trouble": "eviction", "log_level": "info"}]
    assert (check.troubles(), metric("eviction")) == ([], 0)


async def test_what_is_known_stays_known_while_redis_is_away(evicting: Redis) -> None:
    check = check_of(evicting)
    await check.look()
    async with connect(f"redis://127.0.0.1:{free_port()}/0") as nobody:
        check._redis = nobody
        with pytest.raises(RedisAway):
            await check.look()
    assert (check.troubles(), metric("eviction")) == ([EVICTS], 1)


# --- rights ---


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("groups", [1, 8])
async def test_the_rules_allow_all_that_a_program_needs_and_asking_leaves_no_trace(
    server: AclUsers, admin: Redis, program: str, groups: int
) -> None:
    assert len(list(needs(program, groups=groups))) > 40
    async with connect(server.url(program)) as redis:
        assert await found(redis, program, groups=groups) == []
    assert await admin.execute_command("ACL LOG") == []
    assert await admin.dbsize() == 0


def selectors(program: str) -> list[str]:
    return re.findall(r"\([^)]*\)", rules()[program])


EACH_GRANT = [(program, number) for program in PROGRAMS for number in range(len(selectors(program)))]


async def with_rules(server: AclUsers, admin: Redis, program: str, rule: str) -> list[str]:
    """Say what a program finds under other rules than its own."""
    await admin.execute_command("ACL", "SETUSER", "odd", "reset", "on", ">x", *re.findall(r"\([^)]*\)|\S+", rule))
    async with connect(server.admin.replace("redis://", "redis://odd:x@")) as redis:
        return await found(redis, program)


@pytest.mark.parametrize(("program", "number"), EACH_GRANT)
async def test_each_grant_that_is_missing_is_seen(server: AclUsers, admin: Redis, program: str, number: int) -> None:
    grant = selectors(program)[number]
    [told] = await with_rules(server, admin, program, rules()[program].replace(grant, ""))
    lacking = re.match(r"access rules lack (\+\w+)", told)
    assert lacking
    assert lacking[1] in grant
    assert len(told) < 300


async def test_what_is_missing_is_named_by_command_and_keys(server: AclUsers, admin: Redis) -> None:
    rule = rules()["receiver"].replace("+hstrlen", "+hlen")  # as before a new version
    assert await with_rules(server, admin, "receiver", rule) == ["access rules lack +hstrlen %R~er:{g*}:d:*"]


async def test_of_much_that_is_missing_some_is_named(server: AclUsers, admin: Redis) -> None:
    [told] = await with_rules(server, admin, "worker", f"~{GROUP.prefix} +eval +evalsha +info +select +ping")
    assert re.fullmatch(r"access rules lack \+time, \+subscribe \S+, \+hget \S+ and \d+ more", told)


@pytest.mark.parametrize("command", ["+info", "+time", "+subscribe"])
async def test_rights_without_keys_are_looked_at_too(server: AclUsers, admin: Redis, command: str) -> None:
    rule = rules()["receiver"].replace(command, "", 1)
    [told] = await with_rules(server, admin, "receiver", rule)
    assert told.startswith(f"access rules lack {command}")


async def test_rules_that_were_written_for_one_group_are_too_few_for_several(server: AclUsers, admin: Redis) -> None:
    rule = rules()["worker"].replace("g*", "g0")
    assert await with_rules(server, admin, "worker", rule) == []
    async with connect(server.admin.replace("redis://", "redis://odd:x@")) as redis:
        [told] = await found(redis, groups=2)
    assert told.startswith("access rules lack +")


async def test_whoever_may_run_no_scripts_hears_that(server: AclUsers, admin: Redis) -> None:
    rule = "~* +@all -eval -evalsha"
    assert await with_rules(server, admin, "worker", rule) == ["access rules lack +eval"]


# --- versions ---


def saying(**fields: str) -> Reply:
    """Answer as a server that says this of itself, and knows no scripts with a header."""
    text = "".join(f"{name}:{value}\r\n" for name, value in fields.items()).encode()

    def reply(command: list[bytes]) -> bytes:
        if command[0] == b"INFO":
            return b"$%d\r\n%b\r\n" % (len(text), text)
        return b"-ERR Error compiling script\r\n" if command[0].startswith(b"EVAL") else b"+OK\r\n"

    return reply


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ({"redis_version": "6.2.14"}, ["Redis 6.2.14 is too old: 7 is the oldest that is supported"]),
        ({"redis_version": "7.0.0"}, []),
        ({"redis_version": "10.0.0"}, []),
        (
            {"redis_version": "7.2.4", "valkey_version": "7.2.5"},
            ["Valkey 7.2.5 is too old: 8 is the oldest that is supported"],
        ),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.1"}, []),
        ({"redis_version": "unstable"}, []),
        ({}, []),
    ],
    ids=str,
)
async def test_old_servers_are_told_of(says: dict[str, str], told: list[str]) -> None:
    server = Scripted(saying(**says))
    async with server.serving(), connect(server.url) as redis:
        assert await found(redis) == told


# --- as part of the programs ---


async def test_a_receiver_tells_with_its_heartbeat_and_goes_on(evicting: Redis, valkey_url: str) -> None:
    async with receiving(valkey_url, evicting) as receiver:
        await until(lambda: metric("eviction") == 1)
        await receiver.serve(receiver_route())  # whereupon it beats

        async def is_told() -> bool:
            return [beat.redis for beat in await heartbeats(evicting, RECEIVER)] == [[EVICTS]]

        await until(is_told)


async def test_a_worker_looks_too(evicting: Redis, valkey_url: str, tmp_path: Path) -> None:
    with worker_fleet(
        tmp_path, redis_url=valkey_url, claude_url="http://127.0.0.1:1", table_key=new_key_text()
    ) as fleet:
        worker = fleet.start()

        async def is_told() -> bool:
            metrics = await asyncio.to_thread(worker.get, "/metrics")
            return 'eventroute_redis_trouble{trouble="eviction"} 1.0' in metrics.text

        await until(is_told)
