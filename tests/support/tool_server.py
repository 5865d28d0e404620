"""A service whose requests are tools: a real HTTP server that notes each request, and answers as it is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from aiohttp import web

from eventroute.runtime.probe_port import serving


class Called(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    """Path and query, as they stood on the wire."""
    body: bytes
    headers: dict[str, str]
    """Names in lower case."""


def _well(_: Called) -> web.Response:
    return web.json_response({"state": "paid"})


@dataclass
class ToolServer:
    """Answers every request, well unless it is told otherwise."""

    port: int = 0
    journal: list[Called] = field(default_factory=list)
    says: Callable[[Called], web.Response] = _well
    hangs: bool = False
    most_at_once: int = 0
    delay_s: float = 0
    _now: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, request: web.Request) -> web.Response:
        """Note a request, and answer it."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        called = Called(request.method, request.raw_path, await request.read(), headers)
        self.journal.append(called)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await asyncio.sleep(self.delay_s)
            while self.hangs:
                await asyncio.sleep(0.01)
            return self.says(called)
        finally:
            self._now -= 1


@contextlib.asynccontextmanager
async def serving_tools() -> AsyncIterator[ToolServer]:
    """Run a service on a port of its own."""
    service = ToolServer()
    app = web.Application(client_max_size=32 * 1024 * 1024)
    app.router.add_route("*", "/{rest:.*}", service.handle)
    async with serving(app, host="127.0.0.1", port=0) as port:
        service.port = port
        try:
            yield service
        finally:
            service.hangs = False
