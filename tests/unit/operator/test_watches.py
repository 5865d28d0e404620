"""Watches are seen from their requests: alive while they try, heard of when they are answered."""

import asyncio
import contextlib

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from eventroute_operator.cluster import Kind
from eventroute_operator.watches import DEAD_S, Watches


async def answer(request: web.Request) -> web.Response:
    return web.Response(status=int(request.query.get("status", "200")))


async def ask(watches: Watches, *paths: str) -> None:
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server, aiohttp.ClientSession(trace_configs=[watches.trace()]) as session:
        for path in paths:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(server.make_url(path)):
                    pass


async def test_a_watch_that_begins_anew_with_a_list_is_told_once() -> None:
    told: list[None] = []
    watches = Watches(lambda: told.append(None))
    await ask(watches, "/api/v1/secrets?limit=250", "/api/v1/secrets?watch=true", "/api/v1/secrets?watch=true")
    assert len(told) == 1


async def test_a_watch_that_goes_on_where_it_ended_is_no_news() -> None:
    told: list[None] = []
    await ask(Watches(lambda: told.append(None)), "/api/v1/secrets?watch=true", "/version", "/apis")
    assert told == []


async def test_an_answer_is_heard_and_a_refusal_is_not() -> None:
    watches = Watches(lambda: None)
    await asyncio.sleep(0.05)
    await ask(watches, "/api/v1/namespaces/team-a/configmaps?watch=true", "/api/v1/secrets?watch=true&status=500")
    assert watches.age(Kind.CONFIG_MAP) < watches.age(Kind.SECRET)


async def test_a_watch_that_is_refused_is_alive_and_one_that_does_not_try_is_not() -> None:
    now = 1000.0
    watches = Watches(lambda: None, clock=lambda: now)
    watches.begin()
    assert watches.are_alive()
    now += DEAD_S + 1
    assert not watches.are_alive()
    for plural in ("eventroutes", "secrets"):
        await ask(watches, f"/api/v1/{plural}?watch=true&status=500")
    assert not watches.are_alive()
    watches.told(Kind.CONFIG_MAP)
    assert watches.are_alive()


def test_watches_that_have_not_begun_are_not_dead() -> None:
    now = 1000.0
    watches = Watches(lambda: None, clock=lambda: now)
    now += DEAD_S + 1  # the API server is away when the operator starts
    assert watches.are_alive()
    watches.begin()
    now += DEAD_S + 1
    assert not watches.are_alive()


@pytest.mark.parametrize(("status", "is_hidden"), [(403, True), (404, True), (500, True), (401, False), (429, False)])
async def test_a_refusal_looks_like_a_lost_connection_after_which_kopf_goes_on(status: int, *, is_hidden: bool) -> None:
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    watches = Watches(lambda: None)
    async with TestServer(app) as server, aiohttp.ClientSession(trace_configs=[watches.trace()]) as session:
        expected = pytest.raises(aiohttp.ClientConnectionError) if is_hidden else contextlib.nullcontext()
        with expected:
            async with session.get(server.make_url(f"/api/v1/secrets?watch=true&status={status}")) as found:
                assert found.status == status
        async with session.get(server.make_url(f"/version?status={status}")) as other:
            assert other.status == status
