"""An answer becomes a row, once, in a real PostgreSQL; what is wrong there is said with its fix and waited for."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, sending_path
from eventroute.outbound import OutboundRules
from eventroute.outcome import RunOutcome
from eventroute.queue import Lease, Work
from eventroute.route_table import WORKER, PostgresSink
from eventroute.runtime.scripts import Argument, Script
from eventroute.runtime.tables import publish
from eventroute.sealed import SealKey, new_key_text
from eventroute.secret import Secret
from eventroute_cli.simulator.server import serving
from eventroute_worker.attempt import Attempt, End
from eventroute_worker.finding import Finder
from eventroute_worker.outbound import Outbound
from eventroute_worker.sending import Sender
from eventroute_worker.sinks import RemoteSinks, Result, SinkFailed, SinkRefused
from eventroute_worker.sinks.databases import Databases
from eventroute_worker.sinks.postgres import COLUMNS, describe_shape
from support.certificates import Authority
from support.postgres import PASSWORD, TABLE, Postgres, own_postgres, relayed
from support.queue import GROUP, admit, upkeep_of, work_on
from support.runs import (
    PATH,
    STREAM,
    FakeClaude,
    FakeRoutes,
    answer,
    build_runner,
    results,
    sample_delivery,
    worker_route,
)
from support.waiting import until
from support.worker import running, until_empty
from support.worker_process import worker_fleet

pytestmark = pytest.mark.real

IN = "host all all 127.0.0.1/32 scram-sha-256"
MARKER = "eventroute-hop-01-abcdefghijklmnop"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with own_postgres() as found:
        yield found


@pytest.fixture
def postgres(server: Postgres) -> Postgres:
    """A server with the table, and nothing in it."""
    server.let_in(IN)
    server.do("DROP TABLE IF EXISTS eventroute_answers CASCADE")
    server.do(TABLE)
    server.do("GRANT SELECT, INSERT, UPDATE ON eventroute_answers TO eventroute")
    return server


def sink_to(url: str, **changes: Any) -> PostgresSink:
    fields: dict[str, Any] = {"name": "rows", "url": Secret(url.encode()), "table": "eventroute_answers"}
    return PostgresSink(**{**fields, **changes})


def result_of(name: str = "d-1", text: str = "All is well.", **changes: Any) -> Result:
    lease = Lease(DeliveryId(f"{name}:rows"), sending_path(PATH, "rows"), 1, GROUP)
    delivery = sample_delivery(name, received_ms=1_700_000_000_123)
    said = answer(text, **{"answered_ms": 1_700_000_060_456, **changes})
    return Result(delivery, said, "0af7651916cd43dd8448eb211c80319c", lease, marker=MARKER)


async def no_queue(script: Script, key: str, args: Sequence[Argument]) -> Any:
    raise AssertionError("this sink has nothing to remember")


@contextlib.asynccontextmanager
async def sending(**options: Any) -> AsyncIterator[RemoteSinks]:
    """Make sinks of which a failure to connect does not stand, so that a test need not wait for the next attempt."""
    async with (
        Outbound(OutboundRules(mode="dev")) as way,
        Databases(way, **{"rest_s": 0, "deadline_s": 5, **options}) as databases,
    ):
        yield RemoteSinks(way, Work(no_queue), databases)


async def send(sink: PostgresSink, result: Result, **options: Any) -> None:
    async with sending(**options) as sinks:
        await sinks.send(sink, result)


def texts(postgres: Postgres) -> list[tuple[str, str]]:
    return [
        (key, text) for key, text in postgres.rows("SELECT idempotency_key, text FROM eventroute_answers ORDER BY 1")
    ]


async def test_an_answer_is_a_row_however_often_it_is_sent(postgres: Postgres) -> None:
    result = result_of(value={"severity": 3, "words": ["a"]})
    for _ in range(2):
        await send(sink_to(postgres.url()), result)
    (row,) = postgres.rows("SELECT * FROM eventroute_answers")
    assert dict(zip(COLUMNS, row, strict=True)) == {
        "idempotency_key": "d-1:rows",
        "delivery": "d-1",
        "route": PATH,
        "provider": "github",
        "event": "pull_request.opened",
        "provider_id": "p-1",
        "received_at": datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC),
        "answered_at": datetime(2023, 11, 14, 22, 14, 20, 456000, tzinfo=UTC),
        "outcome": "succeeded",
        "reason": "",
        "model": "claude-haiku-5-5",
        "text": "All is well.",
        "message": None,
        "value": {"severity": 3, "words": ["a"]},
        "usage": {"input": 10, "output": 5, "cache_write": 0, "cache_write_1h": 0, "cache_read": 0, "thinking": 0},
        "cost_usd": Decimal("0.000035"),
        "hops": 1,
        "marker": MARKER,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }


async def test_a_newer_answer_takes_the_place_of_an_older_one_and_never_the_other_way_round(postgres: Postgres) -> None:
    newer = result_of(text="Newer.", answered_ms=1_700_000_090_000)
    for result in (result_of(), newer, result_of()):
        await send(sink_to(postgres.url()), result)
    assert texts(postgres) == [("d-1:rows", "Newer.")]


async def test_what_is_not_there_is_null(postgres: Postgres) -> None:
    await send(sink_to(postgres.url()), result_of("d-1", "", outcome=RunOutcome.NO_TEXT, reason="empty", cost_usd=None))
    assert postgres.rows("SELECT text, reason, value, cost_usd FROM eventroute_answers") == [("", "empty", None, None)]


async def test_what_a_template_says_stands_beside_the_answer(postgres: Postgres) -> None:
    sink = sink_to(postgres.url(), message="{{ answer.text }} '; DROP TABLE eventroute_answers; --")
    result = result_of()._replace(variables=lambda: {"answer": {"text": "So: \\x"}})
    await send(sink, result)
    told = "So: \\x '; DROP TABLE eventroute_answers; --"
    assert postgres.rows("SELECT message, text FROM eventroute_answers") == [(told, "All is well.")]


async def test_what_postgresql_cannot_hold_is_replaced_and_kills_no_row(postgres: Postgres) -> None:
    await send(sink_to(postgres.url()), result_of(text="a\x00b\ud83dc😀", value={"k\x00": ["\x00", {"\x00": "😀"}]}))
    assert postgres.rows("SELECT text, value FROM eventroute_answers") == [
        ("a\ufffdb\ufffdc😀", {"k\ufffd": ["\ufffd", {"\ufffd": "😀"}]})
    ]


async def test_a_table_in_a_schema_of_its_own(postgres: Postgres) -> None:
    postgres.do(
        "CREATE SCHEMA IF NOT EXISTS team; DROP TABLE IF EXISTS team.order; GRANT USAGE ON SCHEMA team TO eventroute"
    )
    postgres.do('ALTER TABLE eventroute_answers RENAME TO "order"; ALTER TABLE "order" SET SCHEMA team')
    await send(sink_to(postgres.url(), table="team.order"), result_of())
    assert postgres.rows('SELECT idempotency_key FROM team."order"') == [("d-1:rows",)]


async def test_listeners_are_notified_of_each_row_with_its_key(postgres: Postgres) -> None:
    listening = await psycopg.AsyncConnection.connect(postgres.url(), autocommit=True)
    async with listening:
        await listening.execute("LISTEN answers")
        await send(sink_to(postgres.url(), notify="answers"), result_of())
        async for told in listening.notifies(timeout=5, stop_after=1):
            assert (told.channel, told.payload) == ("answers", "d-1:rows")
            break
        else:
            pytest.fail("nobody was notified")
    assert len(texts(postgres)) == 1


async def test_a_row_whose_receipt_is_lost_is_there_once_after_the_next_attempt(postgres: Postgres) -> None:
    async with relayed(postgres.port) as relay, sending(deadline_s=0.5) as sinks:
        url = postgres.url("?sslmode=disable").replace(f":{postgres.port}/", f":{relay.port}/")
        await sinks.send(sink_to(url), result_of("d-0"))
        relay.keeps_answers = True
        with pytest.raises(SinkFailed, match=r"says nothing within 0.5 s; the row may be there already"):
            await sinks.send(sink_to(url), result_of())
        assert relay.kept
        assert len(texts(postgres)) == 2
        relay.keeps_answers = False
        await sinks.send(sink_to(url), result_of())
    assert [key for key, _ in texts(postgres)] == ["d-0:rows", "d-1:rows"]


async def test_after_a_restart_of_the_server_the_next_answer_is_written_at_once(postgres: Postgres) -> None:
    async with sending() as sinks:
        await asyncio.gather(*(sinks.send(sink_to(postgres.url()), result_of(f"d-{number}")) for number in range(8)))
        postgres.restart()
        await asyncio.gather(*(sinks.send(sink_to(postgres.url()), result_of(f"e-{number}")) for number in range(8)))
    assert len(texts(postgres)) == 16


async def test_connections_are_few_used_again_and_closed_at_the_end(postgres: Postgres) -> None:
    async with sending() as sinks:
        await asyncio.gather(*(sinks.send(sink_to(postgres.url()), result_of(f"d-{number}")) for number in range(20)))
        first = set(postgres.backends())
        assert 1 <= len(first) <= 4
        await sinks.send(sink_to(postgres.url()), result_of())
        assert set(postgres.backends()) == first
    await until(lambda: not postgres.backends())


async def test_a_connection_that_nobody_needs_is_closed(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventroute_worker.sinks.databases._KEEP_S", 0.05)
    async with sending() as sinks:
        await sinks.send(sink_to(postgres.url()), result_of())
        await until(lambda: not postgres.backends())
        await sinks.send(sink_to(postgres.url()), result_of("d-2"))


async def test_a_server_that_hangs_is_left_within_the_deadline(postgres: Postgres) -> None:
    async with sending(deadline_s=0.3) as sinks:
        await sinks.send(sink_to(postgres.url()), result_of())
        with postgres.frozen():
            with pytest.raises(SinkFailed, match=r"the server says nothing within 0\.3 s"):
                await sinks.send(sink_to(postgres.url()), result_of("d-2"))
            with pytest.raises(SinkFailed, match=r"no connection within 0\.3 s"):
                await sinks.send(sink_to(postgres.url()), result_of("d-3"))
        await until(lambda: len(postgres.rows("SELECT 1")) == 1)
        await send(sink_to(postgres.url()), result_of("d-3"))
    assert "d-3:rows" in dict(texts(postgres))


async def test_a_statement_that_waits_for_a_lock_is_given_up_at_the_server_too(postgres: Postgres) -> None:
    await send(sink_to(postgres.url()), result_of())
    with psycopg.connect(postgres.url()) as other:
        other.execute("UPDATE eventroute_answers SET text = 'Mine.'")
        async with sending(deadline_s=0.3) as sinks:
            with pytest.raises(SinkFailed, match="the server says nothing within"):
                await sinks.send(sink_to(postgres.url()), result_of(text="Not mine."))
            await until(lambda: len(postgres.backends()) == 1)
    assert texts(postgres) == [("d-1:rows", "Mine.")]


async def test_who_asks_a_moment_after_a_failure_to_connect_is_told_of_it(postgres: Postgres) -> None:
    now = 0.0
    async with sending(rest_s=2, clock=lambda: now) as sinks:
        postgres.let_in()
        with pytest.raises(SinkFailed, match="does not let this user in") as first:
            await sinks.send(sink_to(postgres.url()), result_of())
        postgres.let_in(IN)
        with pytest.raises(SinkFailed) as second:
            await sinks.send(sink_to(postgres.url()), result_of())
        assert str(first.value) == str(second.value)
        now = 2.0
        await sinks.send(sink_to(postgres.url()), result_of())


@pytest.mark.parametrize(
    "state", ["08006", "40001", "40P01", "53100", "53200", "55P03", "57014", "58030", "25006", "XX000"]
)
async def test_an_error_that_passes_is_waited_for(postgres: Postgres, state: str) -> None:
    refuse_all(postgres, state)
    with pytest.raises(SinkFailed, match=f"^SQLSTATE {state}: the server|^SQLSTATE {state}: a lock") as failed:
        await send(sink_to(postgres.url()), result_of())
    assert "of the answer" not in str(failed.value)


@pytest.mark.parametrize("state", ["22001", "22023", "23514", "23505", "P0001", "54000"])
async def test_what_speaks_against_one_row_is_refused_without_the_servers_words(postgres: Postgres, state: str) -> None:
    refuse_all(postgres, state)
    with pytest.raises(SinkRefused, match=f"^SQLSTATE {state}: the database does not take the row") as refused:
        await send(sink_to(postgres.url()), result_of())
    assert "of the answer" not in str(refused.value)


def refuse_all(postgres: Postgres, state: str) -> None:
    postgres.do(
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'some of the answer' USING ERRCODE = '{state}'; END $$"
    )
    postgres.do("CREATE TRIGGER refuse BEFORE INSERT ON eventroute_answers FOR EACH ROW EXECUTE FUNCTION refuse()")


async def test_a_server_that_was_read_only_is_written_to_when_it_is_no_more(postgres: Postgres) -> None:
    async with sending() as sinks:
        await sinks.send(sink_to(postgres.url()), result_of())
        postgres.do("ALTER USER eventroute SET default_transaction_read_only = on")
        try:
            for pid in postgres.backends():
                postgres.do(f"SELECT pg_terminate_backend({pid})")
            with pytest.raises(SinkFailed, match=r"^SQLSTATE 25006: the server is read-only"):
                await sinks.send(sink_to(postgres.url()), result_of("d-2"))
        finally:
            postgres.do("ALTER USER eventroute RESET default_transaction_read_only")
        await sinks.send(sink_to(postgres.url()), result_of("d-2"))
    assert len(texts(postgres)) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DROP TABLE eventroute_answers", "SQLSTATE 42P01: there is no table eventroute_answers"),
        (
            "ALTER TABLE eventroute_answers DROP hops, DROP value",
            "SQLSTATE 42703: eventroute_answers has no value and no hops; ALTER TABLE eventroute_answers ADD COLUMN",
        ),
        (
            "ALTER TABLE eventroute_answers ALTER text TYPE integer USING 1",
            "SQLSTATE 22P02: text of eventroute_answers: another type; ALTER TABLE eventroute_answers ALTER COLUMN",
        ),
        (
            "ALTER TABLE eventroute_answers DROP CONSTRAINT eventroute_answers_pkey",
            "SQLSTATE 42P10: idempotency_key of",
        ),
        (
            "REVOKE UPDATE ON eventroute_answers FROM eventroute",
            "SQLSTATE 42501: the user of the URL may not write to eventroute_answers; GRANT SELECT, INSERT, UPDATE ON",
        ),
    ],
)
async def test_a_table_of_another_shape_is_told_with_its_fix_and_waited_for(
    postgres: Postgres, change: str, said: str
) -> None:
    postgres.do(change)
    with pytest.raises(SinkFailed, match=f"^{re.escape(said)}"):
        await send(sink_to(postgres.url()), result_of())


async def test_a_column_that_the_sink_does_not_fill_refuses_the_row(postgres: Postgres) -> None:
    postgres.do("ALTER TABLE eventroute_answers ADD COLUMN team text NOT NULL")
    with pytest.raises(SinkRefused, match=r"^SQLSTATE 23502 \(column team\): a column that the sink does not fill"):
        await send(sink_to(postgres.url()), result_of())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ({"password": "wrong-one"}, "the server does not take user and password"),
        ({"user": "nobody-here"}, "the server does not take user and password"),
        ({"password": ""}, "the server asks for a password, and the URL has none"),
        ({"name": "other"}, "there is no such database; create it, or mend the URL"),
        ({"query": "?sslmode=require"}, "the server has no TLS; switch it on there"),
    ],
)
async def test_a_login_that_fails_is_told_with_its_fix_and_waited_for(
    postgres: Postgres, url: dict[str, Any], said: str
) -> None:
    with pytest.raises(SinkFailed, match=f"^127.0.0.1:{postgres.port}: no connection: {re.escape(said)}") as failed:
        await send(sink_to(postgres.url(**url)), result_of())
    assert PASSWORD not in str(failed.value)
    assert "wrong-one" not in str(failed.value)


async def test_where_the_server_has_no_connection_left_it_says_so(postgres: Postgres) -> None:
    postgres.do("ALTER USER eventroute CONNECTION LIMIT 0")
    try:
        with pytest.raises(SinkFailed, match="the server has no connection left; raise its limit, or the user's"):
            await send(sink_to(postgres.url()), result_of())
    finally:
        postgres.do("ALTER USER eventroute CONNECTION LIMIT -1")


async def test_where_one_address_of_a_name_does_not_answer_the_next_one_is_asked(postgres: Postgres) -> None:
    async def look_up(_: str) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with Outbound(OutboundRules(mode="dev"), resolve=look_up) as way, Databases(way) as databases:
        sink = sink_to(postgres.url(host="db.localhost"))
        await RemoteSinks(way, Work(no_queue), databases).send(sink, result_of())
    assert len(texts(postgres)) == 1


async def test_what_libpq_would_take_from_its_surroundings_counts_for_nothing(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".pgpass").write_text(f"*:*:*:*:{PASSWORD.replace(':', chr(92) + ':')}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in {"PGPASSWORD": PASSWORD, "PGSERVICE": "other", "PGOPTIONS": "-c work_mem=x"}.items():
        monkeypatch.setenv(name, value)
    await send(sink_to(postgres.url()), result_of())
    with pytest.raises(SinkFailed, match="the URL has none"):
        await send(sink_to(postgres.url(password="")), result_of())


async def test_a_server_where_the_rules_lead_nobody_is_not_asked(postgres: Postgres) -> None:
    async with Outbound(OutboundRules(ports=(postgres.port,))) as way:
        with pytest.raises(SinkRefused, match="is the worker's own machine"):
            await RemoteSinks(way, Work(no_queue)).send(sink_to(postgres.url()), result_of())
    assert texts(postgres) == []


async def test_who_accepts_and_says_nothing_is_left_within_the_deadline() -> None:
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        left.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as mute:
        port = mute.sockets[0].getsockname()[1]
        with pytest.raises(SinkFailed, match=r"no connection within 0\.2 s"):
            await send(sink_to(f"postgresql://u:p@127.0.0.1:{port}/x"), result_of(), deadline_s=0.2)
        await asyncio.wait_for(left.wait(), 5)


async def test_where_nobody_listens_it_says_so(postgres: Postgres) -> None:
    with pytest.raises(SinkFailed, match=r"^127\.0\.0\.1:1: no connection: nobody listens there$"):
        await send(sink_to("postgresql://u:p@127.0.0.1:1/x"), result_of())


@contextlib.asynccontextmanager
async def secured(postgres: Postgres, folder: Path, query: str, *, host: str) -> AsyncIterator[PostgresSink]:
    """Put TLS before the server, with a certificate for db.localhost that is signed by `authority.crt`."""
    async with relayed(postgres.port, tls=Authority(folder).certify("db.localhost")) as relay:
        yield sink_to(postgres.url(query, host=host).replace(f":{postgres.port}/", f":{relay.port}/"))


async def write_to(sink: PostgresSink, *, trusted: Path | None = None) -> None:
    async def look_up(_: str) -> list[str]:
        return ["127.0.0.1"]

    async with (
        Outbound(OutboundRules(mode="dev"), resolve=look_up) as way,
        Databases(way, trusted=trusted, rest_s=0) as databases,
    ):
        await RemoteSinks(way, Work(no_queue), databases).send(sink, result_of())


@pytest.mark.parametrize(
    ("query", "host"),
    [
        ("", "other.localhost"),
        ("?sslmode=require", "other.localhost"),
        ("?sslmode=verify-ca", "other.localhost"),
        ("?sslmode=verify-full", "db.localhost"),
    ],
)
async def test_tls_is_used_where_the_server_has_it(postgres: Postgres, tmp_path: Path, query: str, host: str) -> None:
    async with secured(postgres, tmp_path, query, host=host) as sink:
        await write_to(sink, trusted=tmp_path / "authority.crt")
    assert len(texts(postgres)) == 1


@pytest.mark.parametrize(
    ("query", "trusted", "said"),
    [
        ("?sslmode=verify-full", "authority.crt", "the server's certificate is for another name"),
        ("?sslmode=verify-full", "other.crt", "the server's certificate is signed by nobody whom the worker trusts"),
        ("?sslmode=verify-ca", "other.crt", "the server's certificate is signed by nobody whom the worker trusts"),
        ("?sslmode=verify-full", None, "the server's certificate is signed by nobody whom the worker trusts"),
        ("?channel_binding=require&sslmode=require", None, "channel binding"),
    ],
)
async def test_what_the_url_asks_of_tls_is_asked(
    postgres: Postgres, tmp_path: Path, query: str, trusted: str | None, said: str
) -> None:
    Authority(tmp_path, "other")
    async with secured(postgres, tmp_path, query, host="other.localhost") as sink:
        with pytest.raises(SinkFailed, match=said):
            await write_to(sink, trusted=tmp_path / trusted if trusted else None)
    assert texts(postgres) == []


async def test_a_server_that_wants_tls_is_said_to_want_it(postgres: Postgres) -> None:
    postgres.let_in("hostssl all all 127.0.0.1/32 scram-sha-256")
    with pytest.raises(SinkFailed, match="does not let this user in from here without TLS; write `sslmode=require`"):
        await send(sink_to(postgres.url("?sslmode=disable")), result_of())


async def test_a_database_that_is_down_delays_itself_and_gets_each_answer_once(
    postgres: Postgres, redis: Redis
) -> None:
    names = [f"d-{number:02}" for number in range(60)]
    routes = FakeRoutes(worker_route(sinks=(sink_to(postgres.url()), STREAM)))
    runner = build_runner(redis, claude=FakeClaude(), routes=routes)
    async with Outbound(OutboundRules(mode="dev")) as way, Databases(way, rest_s=0.1) as databases:
        sinks = RemoteSinks(way, work_on(redis), databases)
        sender = Sender(work=work_on(redis), finder=Finder(routes, upkeep_of(redis)), sinks=sinks)

        async def handle(attempt: Attempt) -> End:
            return await (sender if attempt.lease.sink else runner)(attempt)

        postgres.stop()
        try:
            async with running(redis, handle):
                for name in names:
                    await admit(redis, sample_delivery(name))
                await until(lambda: has_all(redis, len(names)))
                postgres.start()
                await until_empty(redis, timeout_s=60)
        finally:
            if not postgres.is_up:
                postgres.start()
    assert [key for key, _ in texts(postgres)] == [f"{name}:rows" for name in names]


async def has_all(redis: Redis, number: int) -> bool:
    return len(await results(redis)) == number


async def test_a_worker_writes_rows_and_leaves_no_connection_when_it_stops(
    postgres: Postgres, redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    key, route = new_key_text(), worker_route(sinks=(sink_to(postgres.url()),))
    with (
        serving() as claude,
        worker_fleet(tmp_path, redis_url=valkey_url, claude_url=claude.url, table_key=key) as fleet,
    ):
        await publish(redis, WORKER, {route.path: route}, SealKey.from_text(key))
        worker = fleet.start(outbound='{"mode":"dev"}')
        for number in range(10):
            await admit(redis, sample_delivery(f"d-{number}"))
        await until_empty(redis, timeout_s=30)
        assert 1 <= len(postgres.backends()) <= 4
        worker.terminate()
        assert worker.wait() == 0
        assert "ResourceWarning" not in worker.log.read_text()
    assert [key for key, _ in texts(postgres)] == [f"d-{number}:rows" for number in range(10)]
    await until(lambda: not postgres.backends())


def test_the_table_that_people_are_given_is_the_one_that_is_written_to(postgres: Postgres) -> None:
    found = postgres.rows(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
        "WHERE attrelid = 'eventroute_answers'::regclass AND attnum > 0"
    )
    assert dict(found) == COLUMNS
    assert describe_shape("eventroute_answers", dict(found)) == ""
