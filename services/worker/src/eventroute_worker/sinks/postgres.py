"""The `postgres` sink: the answer as a row, written over when it is sent again, and never by an older answer.

Row and notification are one statement. What PostgreSQL's texts cannot hold, NUL and halves of surrogate pairs, becomes
U+FFFD. What is wrong with the table or the login stands for all answers until somebody mends it, so that they wait for
that, until the route's deadline; what is wrong with one row is refused.
Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
import psycopg
from psycopg import sql

from eventroute.errors import Refused
from eventroute.route_table import PostgresSink
from eventroute_worker.sinks.databases import Databases, NoReply
from eventroute_worker.sinks.model import AsItIs, Result, SinkFailed, SinkRefused

COLUMNS: Final[Mapping[str, str]] = {
    "idempotency_key": "text",
    "delivery": "text",
    "route": "text",
    "provider": "text",
    "event": "text",
    "provider_id": "text",
    "received_at": "timestamp with time zone",
    "answered_at": "timestamp with time zone",
    "outcome": "text",
    "reason": "text",
    "model": "text",
    "text": "text",
    "message": "text",
    "value": "jsonb",
    "usage": "jsonb",
    "cost_usd": "numeric",
    "hops": "integer",
    "marker": "text",
    "trace_id": "text",
}
"""Of the table, with their types as PostgreSQL calls them; `postgres.sql` makes it."""

_ALSO: Final = {
    "text": {"character varying", "citext"},
    "jsonb": {"json"},
    "integer": {"smallint", "bigint", "numeric"},
}
"""Types that do as well."""
_UNHOLDABLE: Final = re.compile("[\x00\ud800-\udfff]")
_MAX_NAME: Final = 63

_SHAPED: Final = frozenset({"42P01", "42703", "42804", "42P10", "42883", "3F000", "22P02", "22007", "22003"})
"""Errors that a table of another shape may be behind."""
_PASSING: Final = {
    "25006": "the server is read-only, as one that others take over from",
    "53100": "the server's disk is full",
    "53200": "the server is out of memory",
    "53300": "the server has no connection left",
    "55P03": "a lock was not to be had",
    "57014": "the server cut the statement off",
}
_PASSING_CLASSES: Final = frozenset({"08", "25", "40", "53", "55", "57", "58", "XX"})
_STANDING: Final = {
    "42501": "the user of the URL may not write to {table}; GRANT SELECT, INSERT, UPDATE ON it, USAGE on its schema",
    "42P10": "idempotency_key of {table} is not unique; ALTER TABLE {table} ADD PRIMARY KEY (idempotency_key)",
}
_STANDING_CLASSES: Final = frozenset({"28", "3D", "3F", "42"})
_REFUSED: Final = {
    "22P05": "the database's encoding lacks characters of the answer; make the database one of UTF8",
    "23502": "a column that the sink does not fill takes no NULL; give it a default",
}


class PostgresSinkWriter:
    """Writes answers to tables."""

    def __init__(self, databases: Databases) -> None:
        """Take the connections."""
        self._databases = databases

    async def send(self, sink: PostgresSink, result: Result) -> None:
        """Write the row once; raises `SinkFailed` or `SinkRefused`."""
        message = await result.write(sink.message, AsItIs()) if sink.message else None
        values = {**build_row(sink.name, result, message=message), "notify": sink.notify}
        try:
            await self._databases.run(sink.url, _upsert(sink.table, notifies=sink.notify is not None), values)
        except psycopg.Error as error:
            raise await self._failure(sink, error) from error
        except NoReply as error:
            raise SinkFailed(str(error)) from error
        except Refused as error:
            raise SinkRefused(str(error)) from error

    async def _failure(self, sink: PostgresSink, error: psycopg.Error) -> SinkFailed | SinkRefused:
        if error.sqlstate in _SHAPED and (wrong := await self._wrong_shape(sink)):
            return SinkFailed(f"SQLSTATE {error.sqlstate}: {wrong}")
        return _judge(sink.table, error)

    async def _wrong_shape(self, sink: PostgresSink) -> str:
        """Look what the table lacks; empty = nothing, or it cannot be told."""
        try:
            found = await self._databases.run(sink.url, _LOOK, {"table": _named(sink.table).as_string()})
        except (psycopg.Error, NoReply, Refused):
            return ""
        return describe_shape(sink.table, dict(found))


def build_row(sink: str, result: Result, *, message: str | None) -> dict[str, Any]:
    """Write what stands in each column."""
    delivery, answer = result.delivery, result.answer
    row = {
        "idempotency_key": result.idempotency_key(sink),
        "delivery": delivery.id,
        "route": delivery.route,
        "provider": delivery.provider,
        "event": delivery.event,
        "provider_id": delivery.provider_id,
        "received_at": datetime.fromtimestamp(delivery.received_ms / 1000, tz=UTC),
        "answered_at": datetime.fromtimestamp(answer.answered_ms / 1000, tz=UTC),
        "outcome": str(answer.outcome),
        "reason": answer.reason,
        "model": answer.model,
        "text": answer.text,
        "message": message,
        "value": None if answer.value is None else _json(answer.value),
        "usage": _json(msgspec.to_builtins(answer.usage)),
        "cost_usd": answer.cost_usd,
        "hops": result.hops,
        "marker": result.marker,
        "trace_id": result.trace_id,
    }
    return {name: _holdable(value) for name, value in row.items()}


def describe_shape(table: str, found: Mapping[str, str]) -> str:
    """Say what a table lacks, and how to add it; empty = it is as it should be.

    found  its columns and their types; empty = there is no such table
    """
    if not found:
        return (
            f"there is no table {table} for the user of the URL; make it as eventroute_worker/sinks/postgres.sql says"
        )
    if missing := {name: kind for name, kind in COLUMNS.items() if name not in found}:
        added = ", ".join(f"ADD COLUMN {name} {kind}" for name, kind in missing.items())
        return f"{table} has no {' and no '.join(missing)}; ALTER TABLE {table} {added}"
    wrong = {name: kind for name, kind in COLUMNS.items() if found[name] not in {kind, *_ALSO.get(kind, ())}}
    if wrong:
        changed = ", ".join(f"ALTER COLUMN {name} TYPE {kind} USING {name}::{kind}" for name, kind in wrong.items())
        return f"{' and '.join(wrong)} of {table}: another type; ALTER TABLE {table} {changed}"
    return ""


def _json(value: Any) -> str:
    return msgspec.json.encode(_holdable(value)).decode()


def _holdable(value: Any) -> Any:
    """Put U+FFFD where a text holds what PostgreSQL's cannot."""
    if isinstance(value, str):
        return _UNHOLDABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_holdable(name): _holdable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_holdable(each) for each in value]
    return value


def _named(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))


@lru_cache(maxsize=256)
def _upsert(table: str, *, notifies: bool) -> sql.Composed:
    """Write the statement; a row is left as it is by an answer that is older than it."""
    columns = [sql.Identifier(name) for name in COLUMNS]
    others = [column for name, column in zip(COLUMNS, columns, strict=True) if name != "idempotency_key"]
    written = sql.SQL(
        "INSERT INTO {table} AS kept ({columns}) VALUES ({values}) ON CONFLICT (idempotency_key) "
        "DO UPDATE SET {changes} WHERE kept.answered_at <= EXCLUDED.answered_at"
    ).format(
        table=_named(table),
        columns=sql.SQL(", ").join(columns),
        values=sql.SQL(", ").join(map(sql.Placeholder, COLUMNS)),
        changes=sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(column) for column in others),
    )
    if not notifies:
        return written
    return sql.SQL(
        "WITH written AS ({} RETURNING idempotency_key) SELECT pg_notify(%(notify)s, idempotency_key) FROM written"
    ).format(written)


_LOOK: Final = sql.SQL(
    "SELECT attname, format_type(atttypid, NULL) FROM pg_catalog.pg_attribute "
    "WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped"
).format()


def _judge(table: str, error: psycopg.Error) -> SinkFailed | SinkRefused:
    """Sort what the server did not take; its own words may hold the answer, and are not told."""
    state = error.sqlstate
    if state is None:
        return SinkFailed("the connection broke before the server said what became of the row")
    group = state[:2]
    if state in _STANDING or group in _STANDING_CLASSES:
        fix = _STANDING.get(state, "table {table} is none that the sink can write to; see postgres.sql of the worker")
        return SinkFailed(f"SQLSTATE {state}: {fix.format(table=table)}")
    if group in _PASSING_CLASSES:
        return SinkFailed(f"SQLSTATE {state}: {_PASSING.get(state, 'the server cannot write now')}")
    fix = _REFUSED.get(state, "the database does not take the row; its log says why")
    names = [
        f"{what} {name}"
        for what, name in (("column", error.diag.column_name), ("constraint", error.diag.constraint_name))
        if name
    ]
    about = f" ({', '.join(map(_shown, names))})" if names else ""
    return SinkRefused(f"SQLSTATE {state}{about}: {fix}")


def _shown(name: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in name)[: 2 * _MAX_NAME]
