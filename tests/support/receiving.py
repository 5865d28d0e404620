"""A receiver in the test's own event loop, over a real Valkey, and really signed requests for it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
from pydantic import SecretStr
from redis.asyncio import Redis

from eventroute.delivery import Delivery, decode_delivery
from eventroute.ids import DeliveryId, RoutePath, route_path
from eventroute.route_table import RECEIVER, ReceiverRoute
from eventroute.runtime.tables import publish
from eventroute.schemes import SCHEMES, Request, sign
from eventroute.sealed import SealKey, new_key_text
from eventroute_receiver.app import Receiver, build_receiver
from eventroute_receiver.settings import ReceiverSettings
from support.queue import GROUP, letters, ready
from support.sample_routes import SECRET
from support.waiting import until

Headers = list[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")


@dataclass
class Receiving:
    """The receiver, its table's key, and a client of its hooks."""

    receiver: Receiver
    redis: Redis
    key: SealKey
    client: httpx.AsyncClient

    async def serve(self, *routes: ReceiverRoute) -> None:
        """Publish exactly these routes and wait until the receiver serves them."""
        version = await publish(self.redis, RECEIVER, {route.path: route for route in routes}, self.key)
        await until(lambda: self.receiver.table.version == version)

    async def post(self, request: Request, name: str = "triage", query: str = "") -> httpx.Response:
        """Send a request to a route of namespace `team-a`."""
        return await self.client.request(
            request.method, f"/hooks/team-a/{name}{query}", headers=request.headers, content=request.body
        )

    async def queued(self) -> list[DeliveryId]:
        """List what is ready, of all routes, in the order of acceptance."""
        return await ready(self.redis)

    async def letters(self, name: str = "triage") -> list[DeliveryId]:
        """List the dead letters of a route of namespace `team-a`, the oldest first."""
        return await letters(self.redis, route_path("team-a", name))

    async def delivery(self, delivery_id: str) -> Delivery:
        """Read one delivery as a worker does."""
        name = DeliveryId(delivery_id)
        body, path, at = await self.redis.hmget(GROUP.delivery(name), "body", "path", "at")
        return decode_delivery(body, id=name, route=RoutePath(path.decode()), received_ms=int(at))


@contextlib.asynccontextmanager
async def receiving(url: str, redis: Redis, **settings: Any) -> AsyncIterator[Receiving]:
    """Run a receiver while the block runs, connected and with an empty table."""
    table_key = new_key_text()
    receiver = build_receiver(ReceiverSettings(redis_url=SecretStr(url), table_key=SecretStr(table_key), **settings))
    transport = httpx.ASGITransport(app=receiver.hooks)
    async with _living(receiver), httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
        await until(lambda: receiver.link.is_up)
        yield Receiving(receiver, redis, SealKey.from_text(table_key), client)


@contextlib.asynccontextmanager
async def _living(receiver: Receiver) -> AsyncIterator[None]:
    """Begin and end the lifespan in one task, as a server does; fixtures begin and end in two."""
    has_begun, is_over = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with receiver.hooks.lifespan():
            has_begun.set()
            await is_over.wait()

    life = asyncio.create_task(live())
    await asyncio.wait({life, asyncio.create_task(has_begun.wait())}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        is_over.set()
        await life


def signed(
    provider: str,
    payload: Any,
    *,
    event: str = "",
    delivery: str = "",
    secret: str = SECRET,
    url: str | None = None,
    now: float | None = None,
) -> Request:
    """Sign a request as the provider would; a payload that is not bytes is sent as JSON."""
    body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    bare = Request(method="POST", url=url, headers=[JSON], body=body)
    return sign(
        SCHEMES[provider],
        bare,
        secret=secret.encode(),
        now=time.time() if now is None else now,
        event=event,
        delivery=delivery,
    )


def pull_request(number: int = 1) -> dict[str, Any]:
    """A small GitHub payload; each number makes another body."""
    return {"action": "opened", "number": number, "pull_request": {"title": f"Change {number}"}}


def opened(number: int = 1, **changes: Any) -> Request:
    """A signed `pull_request.opened`, distinct per number."""
    return signed("github", pull_request(number), **{"event": "pull_request", "delivery": f"gh-{number}", **changes})
