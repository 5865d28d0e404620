"""The latest status wins, is written once, and is tried again until the route is gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from eventroute.crd.objects import ObjectKey
from eventroute.errors import Refused, RetryLater
from eventroute_operator.cluster import RouteObject
from eventroute_operator.write import StatusWriter, same
from support.cluster_objects import TRIAGE, cluster_with, route_body
from support.waiting import until


def route(status: Mapping[str, Any] | None = None, **changes: Any) -> RouteObject:
    return cluster_with({**route_body(**changes), "status": status}).routes[TRIAGE]


class Server:
    """Takes statuses, or refuses to."""

    def __init__(self) -> None:
        self.written: list[Mapping[str, Any]] = []
        self.told: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
        self.errors: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.writer = StatusWriter(self.apply, written=self.hear, retry_s=0.01)

    def hear(self, _route: RouteObject, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        self.told.append((before, after))

    async def apply(self, _key: ObjectKey, _uid: str, status: Mapping[str, Any]) -> None:
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.written.append(status)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    running = asyncio.create_task(found.writer.run())
    yield found
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_status_is_written_and_told(server: Server) -> None:
    server.writer.want(route({"path": "/a"}), {"path": "/b"})
    await until(lambda: bool(server.told))
    assert server.written == [{"path": "/b"}]
    assert server.told == [({"path": "/a"}, {"path": "/b"})]
    assert server.writer.latest(route({"path": "/a"})) == {"path": "/b"}


async def test_what_is_there_already_is_not_written(server: Server) -> None:
    server.writer.want(route({"path": "/a"}), {"path": "/a", "conditions": []})
    await asyncio.sleep(0.02)
    assert server.written == []


async def test_what_was_just_written_is_not_written_again(server: Server) -> None:
    for _ in range(2):  # the watch has not told of the first one yet
        server.writer.want(route(), {"path": "/b"})
        await asyncio.sleep(0.02)
    assert server.written == [{"path": "/b"}]


async def test_a_newer_status_replaces_one_that_waits(server: Server) -> None:
    server.gate.clear()
    for path in ("/a", "/b", "/c"):
        server.writer.want(route(), {"path": path})
        await asyncio.sleep(0.01)
    server.gate.set()
    await until(lambda: len(server.written) == 2)
    assert server.written == [{"path": "/a"}, {"path": "/c"}]


async def test_a_failed_write_is_tried_again(server: Server) -> None:
    server.errors = [RetryLater("away"), RetryLater("away")]
    server.writer.want(route(), {"path": "/b"})
    await until(lambda: bool(server.written))
    assert server.written == [{"path": "/b"}]


async def test_a_refused_write_is_not_tried_again(server: Server) -> None:
    server.errors = [Refused("gone")]
    server.writer.want(route(), {"path": "/b"})
    await asyncio.sleep(0.05)
    assert server.written == []


async def test_a_forgotten_route_is_not_written(server: Server) -> None:
    server.gate.clear()
    server.writer.want(route(), {"path": "/a"})
    await asyncio.sleep(0.01)
    server.writer.want(route(), {"path": "/b"})
    server.writer.forget(TRIAGE, "uid-triage")
    server.gate.set()
    await asyncio.sleep(0.02)
    assert server.written == [{"path": "/a"}]


async def test_a_route_made_anew_does_not_inherit(server: Server) -> None:
    server.writer.want(route(), {"path": "/b"})
    await until(lambda: bool(server.written))
    assert server.writer.latest(route(uid="another")) == {}


def test_the_order_of_conditions_is_no_difference() -> None:
    one, other = {"type": "A", "status": "True"}, {"type": "B", "status": "True"}
    assert same({"conditions": [one, other]}, {"conditions": [other, one]})
    assert not same({"conditions": [one, other]}, {"conditions": [one]})
