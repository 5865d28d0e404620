"""A queue worker that runs while a test's block does, and what tests ask of the queue."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence

from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.models import Models
from eventroute.outcome import RunOutcome
from eventroute.queue import Group, Ledger, Trouble, Work
from eventroute.runtime import background
from eventroute.runtime.scripts import ClientCaller
from eventroute.runtime.stats import Tally
from eventroute.throttle import Throttle
from eventroute_worker.attempt import Attempt, End, Handler, Settled
from eventroute_worker.gate import Gate
from eventroute_worker.keeper import Keeper
from eventroute_worker.pricing import Prices
from eventroute_worker.spending import Spending, Treasury
from eventroute_worker.troubles import Troubles
from eventroute_worker.turns import Turns
from eventroute_worker.worker import QueueWorker
from support.queue import GROUP, fields, upkeep_of, work_on
from support.runs import FakeRoutes, worker_route
from support.waiting import until

DONE = Settled(outcome=RunOutcome.SUCCEEDED)


@contextlib.asynccontextmanager
async def running(  # noqa: PLR0913  each test names the one thing that it varies
    redis: Redis,
    handler: Handler,
    *,
    tally: Tally | None = None,
    slots: int = 5,
    sendings: int = 20,
    begun: int | None = None,
    grace_s: float = 0,
    lease_s: float = 15,
    work: Work | None = None,
    groups: Sequence[Group] = (GROUP,),
    gate: Gate | None = None,
) -> AsyncIterator[QueueWorker]:
    """Run a worker; leaving the block stops it."""
    worker = QueueWorker(
        redis,
        work or work_on(redis),
        handler,
        tally=tally or Tally(),
        slots=slots,
        sendings=sendings,
        serve_turn=Turns(work or work_on(redis), Throttle(ClientCaller(redis)), groups=groups).serve,
        begun=begun,
        grace_s=grace_s,
        lease_s=lease_s,
        waiting_at=dict.fromkeys(groups, redis),
        gate=gate,
        signals=False,
    )
    task = asyncio.create_task(worker.async_run())
    try:
        yield worker
    finally:
        worker.stop()
        await task


@contextlib.asynccontextmanager
async def keeping(
    redis: Redis,
    *,
    troubles: Troubles | None = None,
    routes: FakeRoutes | None = None,
    keys: Collection[str] = ("own",),
    groups: Sequence[Group] = (GROUP,),
    may_meet: Callable[[Trouble], bool] | None = None,
    spending: Spending | None = None,
) -> AsyncIterator[Keeper]:
    """Keep the queue in order while the block runs; `keys` are those in use, and may change."""
    table = routes or FakeRoutes(worker_route())

    def is_met(trouble: Trouble) -> bool:
        budgets = {rule.scope for plan in table.all() for rule in plan.route.budgets}
        return trouble.budget in budgets if trouble.budget else trouble.key_id in keys

    ledger = Ledger(ClientCaller(redis))
    keeper = Keeper(
        upkeep_of(redis),
        worker="keeper",
        groups=groups,
        routes=table,
        troubles=troubles or Troubles(),
        may_meet=may_meet or is_met,
        limits=dict,
        treasury=Treasury(
            ledger,
            spending or Spending(ledger, Prices(Models.load())),
            rules=lambda: (rule for plan in table.all() for rule in plan.route.budgets),
            groups=len(groups),
        ),
    )
    async with background.running(keeper.run):
        yield keeper


async def until_empty(redis: Redis, *, timeout_s: float = 5) -> None:
    """Wait until no delivery is queued."""

    async def is_empty() -> bool:
        return not int(await redis.hget(GROUP.usage, "depth") or 0)

    await until(is_empty, timeout_s=timeout_s)


async def record(redis: Redis, delivery: DeliveryId) -> dict[str, str]:
    """Read a delivery's record."""
    return await fields(redis, delivery)


class Recorder:
    """A handler that notes each attempt and ends it as told, `DONE` when nothing is left to tell."""

    def __init__(self, *ends: End) -> None:
        self.attempts: list[Attempt] = []
        self._ends = list(ends)

    async def __call__(self, attempt: Attempt) -> End:
        self.attempts.append(attempt)
        return self._ends.pop(0) if self._ends else DONE


class Stuck:
    """A handler that does not end by itself."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.attempts: list[Attempt] = []

    async def __call__(self, attempt: Attempt) -> End:
        self.attempts.append(attempt)
        self.started.set()
        await asyncio.Event().wait()
        return DONE
