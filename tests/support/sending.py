"""Workers that answer deliveries by no real Claude, and send the answers to real sinks."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis

from eventroute.outbound import OutboundRules
from eventroute_worker.attempt import Attempt, End
from eventroute_worker.finding import Finder
from eventroute_worker.outbound import Outbound
from eventroute_worker.sending import Sender
from eventroute_worker.sinks import RemoteSinks
from support.queue import upkeep_of, work_on
from support.runs import FakeClaude, FakeRoutes, build_runner
from support.worker import running


@contextlib.asynccontextmanager
async def working(
    redis: Redis, routes: FakeRoutes, *, slack: str = "", workers: int = 1, **options: Any
) -> AsyncIterator[None]:
    """Run deliveries and send answers while the block runs.

    slack  where its API is
    """
    runner = build_runner(redis, claude=FakeClaude(), routes=routes)
    async with Outbound(OutboundRules(mode="dev"), at_once=20) as way, contextlib.AsyncExitStack() as stack:
        sinks = RemoteSinks(way, work_on(redis), slack=slack)
        sender = Sender(work=work_on(redis), finder=Finder(routes, upkeep_of(redis)), sinks=sinks)

        async def handle(attempt: Attempt) -> End:
            return await (sender if attempt.lease.sink else runner)(attempt)

        for _ in range(workers):
            await stack.enter_async_context(running(redis, handle, **options))
        yield
