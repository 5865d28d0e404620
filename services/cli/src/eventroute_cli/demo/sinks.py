"""The third act: answers go to a service of the team's own, which is away when the first one comes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

from aiohttp import web

from eventroute.crd.v1alpha1 import EventRoute, HttpSink, LogSink, SecretKeyRef, Sink
from eventroute.errors import GaveUp
from eventroute.outcome import Receipt
from eventroute.schemes import SCHEMES, KeyPair, Request, Verified, parse_key, verify
from eventroute_cli.demo.pressure import Act
from eventroute_cli.demo.scenario import Row, Sender

SECRET: Final = SecretKeyRef(name="demo-service", key="signing-secret")
"""Messages to the service are signed with what stands there."""

_SCHEME: Final = SCHEMES["standard-webhooks"]
_AWAY_S: Final = 1.0
_SENT_S: Final = 20.0  # a second or two after the service is back, most often
_LOOK_S: Final = 0.02


class _Service:
    """Takes messages, unless it is away."""

    def __init__(self) -> None:
        self.is_away = True
        self.refused = 0
        self.taken: list[Request] = []

    async def take(self, request: web.Request) -> web.Response:
        if self.is_away:
            self.refused += 1
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
        headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
        self.taken.append(Request(method="POST", url=None, headers=headers, body=await request.read()))
        return web.Response(status=HTTPStatus.NO_CONTENT)


async def reach(sender: Sender, signing: KeyPair) -> list[Act]:
    """Play the third act.

    signing  what messages are signed with
    raises   `GaveUp` when something does not end as it should
    """
    service = _Service()
    async with _serving(service) as url:
        await sender.serve(lambda route: _with_service(route, url))
        act = await _away(sender, service, signing)
        await sender.serve()
    return [act]


@asynccontextmanager
async def _serving(service: _Service) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/answers", service.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/answers"
    finally:
        await runner.cleanup()


def _with_service(route: EventRoute, url: str) -> EventRoute:
    if route.spec.provider != "github":
        return route
    sinks = (Sink(log=LogSink()), Sink(http=HttpSink(url=url, secretRefs=(SECRET,))))
    return route.model_copy(update={"spec": route.spec.model_copy(update={"sinks": sinks})})


async def _away(sender: Sender, service: _Service, signing: KeyPair) -> Act:
    route = sender.by_provider["github"]
    row = Row("pull request", route, Receipt.QUEUED)
    started = time.monotonic()
    await sender.deliver(row, sender.signed(route, "pull_request.opened"))
    answered_s = time.monotonic() - started
    await _until(lambda: service.refused > 0, "asked the service")
    await asyncio.sleep(_AWAY_S)
    service.is_away = False
    back = time.monotonic()
    await _until(lambda: bool(service.taken), "told the service")
    sent_s = time.monotonic() - back
    key = parse_key(_SCHEME, signing.configured)
    if not isinstance(verify(_SCHEME, service.taken[0], [key], time.time()), Verified):
        raise GaveUp("the message to the service is not signed as it should be")
    said = (
        f"in the log after {answered_s:.1f} s; at the service, which was away, {sent_s:.1f} s after it came back, "
        f"signed ({service.refused} attempts before)"
    )
    return Act("An answer to the log and to a service", said, [row])


async def _until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _SENT_S
    while not is_so():
        if time.monotonic() > deadline:
            raise GaveUp(f"the worker has not {what} within {_SENT_S:g} s")
        await asyncio.sleep(_LOOK_S)
