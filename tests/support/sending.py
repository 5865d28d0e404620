"""Workers that answer deliveries by no real Claude, and send the answers to real sinks."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis

from eventroute.outbound import OutboundRules
from eventroute.queue import Admissions, Lease, Limits, Upkeep, Work
from eventroute.runtime.scripts import Caller, ClientCaller
from eventroute.runtime.stats import Tally
from eventroute_worker.attempt import Attempt, End, Handler, Later, Settled
from eventroute_worker.chain import Chain
from eventroute_worker.finding import Finder
from eventroute_worker.outbound import Outbound
from eventroute_worker.sending import Sender
from eventroute_worker.sinks import RemoteSinks
from eventroute_worker.sinks.databases import Databases
from support.queue import GROUP
from support.runs import FakeClaude, FakeRoutes, build_runner
from support.worker import running


def build_handler(
    redis: Redis,
    routes: FakeRoutes,
    way: Outbound,
    *,
    call: Caller | None = None,
    claude: FakeClaude | None = None,
    databases: Databases | None = None,
    slack: str = "",
) -> Handler:
    """Make what runs deliveries and sends answers.

    call   how it calls scripts
    slack  where its API is
    """
    call = call or ClientCaller(redis)
    runner = build_runner(redis, claude=claude or FakeClaude(), routes=routes, call=call)
    chain = Chain(routes, Admissions(call, limits=Limits(1_000_000, 0)), Tally())
    sinks = RemoteSinks(way, Work(call), databases, slack=slack, chain=chain)
    sender = Sender(work=Work(call), finder=Finder(routes, Upkeep(redis, call)), sinks=sinks)

    async def handle(attempt: Attempt) -> End:
        return await (sender if attempt.lease.sink else runner)(attempt)

    return handle


async def make_attempts(work: Work, handler: Handler) -> list[End]:
    """Make an attempt at the next delivery and at the next answer that is to be sent; write their ends without a pause.

    returns  the ends of those that there are
    """
    taken = await work.lease(GROUP, worker="w", lease_ms=60_000, wanted=1, sendings=1, busy=0)
    return [await _attempt(work, handler, lease) for lease in taken.leases]


async def _attempt(work: Work, handler: Handler, lease: Lease) -> End:
    end = await handler(Attempt(lease))
    match end:
        case Later():
            await work.put_back(lease, pause_ms=0, counts=end.counts, error=end.detail)
        case Settled():
            await work.settle(
                lease,
                outcome=end.outcome,
                reason=end.reason,
                detail=end.detail,
                retention=end.retention,
                fields=end.fields,
            )
        case _:
            raise AssertionError(end)
    return end


@contextlib.asynccontextmanager
async def working(
    redis: Redis, routes: FakeRoutes, *, slack: str = "", workers: int = 1, **options: Any
) -> AsyncIterator[None]:
    """Run deliveries and send answers while the block runs.

    slack  where its API is
    """
    async with Outbound(OutboundRules(mode="dev"), at_once=20) as way, contextlib.AsyncExitStack() as stack:
        handle = build_handler(redis, routes, way, slack=slack)
        for _ in range(workers):
            await stack.enter_async_context(running(redis, handle, **options))
        yield
