"""The receiver's two Litestar applications, and the background work that keeps them served."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from litestar import Litestar, Request, Response, asgi
from litestar.exceptions import HTTPException
from redis.asyncio import Redis

from eventroute.outcome import Receipt
from eventroute.route_table import RECEIVER
from eventroute.runtime import background, tracing
from eventroute.runtime.redis import connect
from eventroute.runtime.tables import RouteTable
from eventroute.sealed import SealKey
from eventroute_receiver import metrics
from eventroute_receiver.admit import Admission
from eventroute_receiver.link import RedisLink
from eventroute_receiver.probes import build_probes
from eventroute_receiver.routes import Hook, prepare
from eventroute_receiver.settings import ReceiverSettings
from eventroute_receiver.webhook import Webhooks


@dataclass
class Receiver:
    """Everything that one receiver process is made of."""

    hooks: Litestar
    probes: Litestar
    link: RedisLink
    table: RouteTable[Hook]
    redis: Redis
    is_draining: bool = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the connection and the route table up while the block runs."""
        try:
            async with background.running(self.link.run, self.table.run):
                yield
        finally:
            await self.redis.aclose()


def build_receiver(settings: ReceiverSettings) -> Receiver:
    """Put a receiver together; nothing connects before `running`."""
    url = settings.redis_url.get_secret_value()
    link, redis = RedisLink(url), connect(url)
    key = SealKey.from_text(settings.table_key.get_secret_value())
    process_id = f"{socket.gethostname()}-{os.getpid()}"
    table = RouteTable(redis, RECEIVER, key, process_id=process_id, prepare=prepare)
    admission = Admission(link, max_queue_depth=settings.max_queue_depth)
    webhooks = Webhooks(table, admission, tracer=tracing.tracer(), read_deadline_s=settings.read_deadline_s)
    receiver = Receiver(
        # A mounted ASGI handler: the framework's request object alone costs more than the rest of a receipt.
        hooks=Litestar(
            [asgi("/", is_mount=True, copy_scope=False)(webhooks.__call__)],
            exception_handlers={HTTPException: _malformed},
            openapi_config=None,
            logging_config=None,
        ),
        probes=build_probes(
            admission, is_warm=lambda: table.version is not None, is_draining=lambda: receiver.is_draining
        ),
        link=link,
        table=table,
        redis=redis,
    )
    return receiver


def _malformed(_request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Count what the framework refuses before a hook is looked for: an impossible Host header."""
    metrics.receipts("", Receipt.UNSUPPORTED, "malformed").inc()
    return Response(b"", status_code=error.status_code)
