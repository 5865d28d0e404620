"""A team's own service, to which answers are POSTed: a real HTTP server that notes what it is sent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from eventroute.runtime.probe_port import serving


@dataclass(frozen=True)
class Message:
    """What was sent."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        """The answer that it tells of."""
        found: dict[str, Any] = msgspec.json.decode(self.body)["data"]
        return found


@dataclass
class Service:
    """Answers every message, 200 unless it is told otherwise."""

    url: str = ""
    messages: list[Message] = field(default_factory=list)
    says: Callable[[Message], tuple[int, dict[str, str]]] = lambda _: (200, {})
    hangs: bool = False

    def answered(self, status: int) -> list[str]:
        """Name the deliveries of messages that are answered so by now."""
        return [message.data["delivery"] for message in self.messages if self.says(message)[0] == status]

    async def handle(self, request: web.Request) -> web.Response:
        """Note a message, and answer it."""
        message = Message(request.headers, await request.read())
        self.messages.append(message)
        while self.hangs:
            await asyncio.sleep(0.01)
        status, headers = self.says(message)
        return web.Response(status=status, headers=headers)


@contextlib.asynccontextmanager
async def serving_messages() -> AsyncIterator[Service]:
    """Run a service on a port of its own."""
    service = Service()
    app = web.Application()
    app.router.add_post("/answers", service.handle)
    async with serving(app, host="127.0.0.1", port=0) as port:
        service.url = f"http://127.0.0.1:{port}/answers"
        try:
            yield service
        finally:
            service.hangs = False
