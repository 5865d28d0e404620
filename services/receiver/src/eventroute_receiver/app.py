"""What a receiver process is made of: the hooks' port, the probes' port, and the background work behind both.

The probes are a Litestar application. The hooks are a plain ASGI one: of a receipt's 143 us, mounting it in Litestar
took 18, more than verifying and reading the webhook, and with one handler there is nothing to route.
"""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from litestar import Litestar
from redis.asyncio import Redis

from eventroute.route_table import RECEIVER
from eventroute.runtime import background, tracing
from eventroute.runtime.redis import connect
from eventroute.runtime.stats import Tally, writing
from eventroute.runtime.tables import RouteTable
from eventroute.sealed import SealKey
from eventroute_receiver.admit import Admission
from eventroute_receiver.link import RedisLink
from eventroute_receiver.probes import build_probes
from eventroute_receiver.routes import Hook, prepare
from eventroute_receiver.settings import ReceiverSettings
from eventroute_receiver.webhook import Webhooks


@dataclass
class Receiver:
    """Everything that one receiver process is made of."""

    hooks: Webhooks
    probes: Litestar
    link: RedisLink
    table: RouteTable[Hook]
    tally: Tally
    redis: Redis
    is_draining: bool = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the connection and the route table up, and the routes' statistics written, while the block runs."""
        try:
            async with background.running(self.link.run, self.table.run), writing(self.tally, self.redis):
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
    tally = Tally()
    admission = Admission(link, max_queue_depth=settings.max_queue_depth)
    webhooks = Webhooks(table, admission, tally, tracer=tracing.tracer(), read_deadline_s=settings.read_deadline_s)
    receiver = Receiver(
        hooks=webhooks,
        probes=build_probes(
            admission, is_warm=lambda: table.version is not None, is_draining=lambda: receiver.is_draining
        ),
        link=link,
        table=table,
        tally=tally,
        redis=redis,
    )
    return receiver
