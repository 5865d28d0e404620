"""What a receiver process is made of: the hooks' port, the probes' port, and the background work behind both.

Both ports are Litestar applications. The background work is the lifespan of the hooks' one, so that whoever runs that
application, a server or a test client, has all of it running.
"""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from litestar import Litestar

from eventroute.acl import needs
from eventroute.queue import Group, Limits
from eventroute.route_table import RECEIVER
from eventroute.runtime import background, tracing
from eventroute.runtime.link import Link, open_link
from eventroute.runtime.redis import connect
from eventroute.runtime.redis_check import RedisCheck
from eventroute.runtime.stats import Tally, writing
from eventroute.runtime.tables import RouteTable
from eventroute.sealed import SealKey
from eventroute_receiver.admit import Admission
from eventroute_receiver.body import Room
from eventroute_receiver.fetch import Fetcher
from eventroute_receiver.hooks import Hooks
from eventroute_receiver.keyring import Keyring
from eventroute_receiver.probes import build_probes
from eventroute_receiver.routes import Hook, prepare
from eventroute_receiver.settings import ReceiverSettings
from eventroute_receiver.webhook import Webhooks


@dataclass
class Receiver:
    """Everything that one receiver process is made of."""

    hooks: Hooks
    probes: Litestar
    link: Link
    table: RouteTable[Hook]
    tally: Tally
    is_draining: bool = False


def build_receiver(settings: ReceiverSettings) -> Receiver:
    """Put a receiver together; nothing connects before the lifespan of `hooks` begins."""
    url = settings.redis_url.get_secret_value()
    link, redis = open_link(url, groups=settings.groups, replicas=settings.replicas), connect(url)
    key = SealKey.from_text(settings.table_key.get_secret_value())
    process_id = f"{socket.gethostname()}-{os.getpid()}"
    check = RedisCheck(redis, prefix=Group(0).prefix, rights=needs("receiver", groups=settings.groups))
    table = RouteTable(redis, RECEIVER, key, process_id=process_id, prepare=prepare, troubles=check.troubles)
    tally = Tally()
    limits = Limits(settings.max_queue_depth, settings.max_queue_bytes)
    admission = Admission(link, limits=limits, groups=settings.groups)
    fetcher = Fetcher()
    keyring = Keyring(fetcher, needed=lambda: {hook.route.scheme for hook in table.all()})
    webhooks = Webhooks(
        table,
        admission,
        tally,
        keyring=keyring,
        tracer=tracing.tracer(),
        read_deadline_s=settings.read_deadline_s,
        room=Room(settings.max_bytes_in_flight),
    )

    @asynccontextmanager
    async def running(_app: Litestar) -> AsyncIterator[None]:
        """Keep the connection and the route table up, keys fresh, statistics written, and an eye on Redis."""
        try:
            async with background.running(link.run, table.run, check.run, keyring.run), writing(tally, redis):
                yield
        finally:
            await fetcher.aclose()
            await redis.aclose()

    receiver = Receiver(
        hooks=Hooks(webhooks, lifespan=running),
        probes=build_probes(admission, table, is_draining=lambda: receiver.is_draining),
        link=link,
        table=table,
        tally=tally,
    )
    return receiver
