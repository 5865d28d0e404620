"""`python -m eventroute_worker`: work on deliveries until SIGTERM or SIGINT."""

import contextlib
import functools
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

import structlog
import uvloop
from redis.asyncio import Redis

from eventroute import prompt
from eventroute.acl import needs
from eventroute.ids import RoutePath
from eventroute.models import Models
from eventroute.prompt import Plan
from eventroute.queue import Admissions, Group, Ledger, Limit, Limits, Upkeep, Work
from eventroute.route_table import WORKER
from eventroute.runtime import background
from eventroute.runtime.link import Link, LinkedRedis, open_link
from eventroute.runtime.probe_port import serving
from eventroute.runtime.program import run_program
from eventroute.runtime.redis import connect
from eventroute.runtime.redis_check import RedisCheck
from eventroute.runtime.scripts import ClientCaller, RedisAway, RedisForbids
from eventroute.runtime.stats import Tally, writing
from eventroute.runtime.tables import RouteTable
from eventroute.sealed import SealKey
from eventroute.secret import Secret
from eventroute.throttle import Throttle
from eventroute_worker import redis_spans
from eventroute_worker.attempt import Attempt, End, Handler
from eventroute_worker.claude import Claude
from eventroute_worker.finding import Finder
from eventroute_worker.gate import Gate
from eventroute_worker.history import History
from eventroute_worker.keeper import Keeper
from eventroute_worker.model_watch import ModelWatch
from eventroute_worker.outbound import Outbound
from eventroute_worker.pricing import Prices
from eventroute_worker.probes import build_probes
from eventroute_worker.run import Runner
from eventroute_worker.sending import Sender
from eventroute_worker.settings import WorkerSettings
from eventroute_worker.sinks import LocalSinks, RemoteSinks, RouteSinkWriter
from eventroute_worker.sinks.databases import Databases
from eventroute_worker.spending import Spending, Treasury
from eventroute_worker.tools import Calling
from eventroute_worker.troubles import Troubles, may_meet
from eventroute_worker.turns import Turns
from eventroute_worker.worker import QueueWorker

_CONNECT_S: Final = 2.0  # a Redis that is away then is told of, and waited for; arbitrary

_log = structlog.get_logger()


class _Outside(NamedTuple):
    """What the worker talks to, and what is known of models."""

    link: Link
    redis: Redis
    waiting_at: Mapping[Group, Redis]
    claude: Claude
    way: Outbound
    databases: Databases
    models: Models

    @property
    def groups(self) -> Sequence[Group]:
        """The queue's groups."""
        return list(self.waiting_at)


class _Shared(NamedTuple):
    """What several parts of the worker work with."""

    work: Work
    upkeep: Upkeep
    history: History
    ledger: Ledger
    turns: Turns
    admissions: Admissions
    routes: RouteTable[Plan]
    troubles: Troubles
    spending: Spending
    tally: Tally
    gate: Gate


async def serve(settings: WorkerSettings) -> None:
    """Run until asked to stop; then pick nothing more, finish what runs within the grace period, and leave."""
    async with _reaching(settings) as outside:
        check = _build_check(settings, outside)
        routes = _build_routes(settings, outside, on_change=lambda _: keeper.wake(), troubles=check.troubles)
        shared = _build_shared(settings, outside, routes)
        worker = _build_worker(settings, outside, shared)
        keeper = _build_keeper(outside, shared, worker=worker.id)
        watch = ModelWatch(outside.claude, outside.redis, plans=routes.all, troubles=shared.troubles)
        follow_stop = functools.partial(shared.gate.follow, shared.upkeep)
        async with (
            _serving_probes(settings, outside, worker, routes),
            background.running(outside.link.run, routes.run, keeper.run, check.run, watch.run, follow_stop),
            writing(shared.tally, outside.redis),
        ):
            await outside.link.until_up(_CONNECT_S)
            await worker.async_run()
            await _settle(shared.spending)
    _log.info("worker_stopped")


@contextlib.asynccontextmanager
async def _reaching(settings: WorkerSettings) -> AsyncIterator[_Outside]:
    """Hold the connections while the block runs; the link is the block's to run."""
    url, key = settings.redis_url.get_secret_value(), settings.anthropic_api_key
    models = Models.load(settings.models_path)
    link = open_link(url, groups=settings.groups)
    async with (
        contextlib.AsyncExitStack() as clients,
        connect(url) as redis,
        Claude(
            api_key=Secret(key.get_secret_value().encode()) if key else None,
            base_url=settings.anthropic_base_url,
            propagate_trace=settings.propagate_trace,
            prices=Prices(models),
            key_file=settings.file("anthropic_api_key"),
        ) as claude,
        Outbound(settings.outbound, at_once=settings.concurrent_sends) as way,
        Databases(way) as databases,
    ):
        groups = [Group(number) for number in range(settings.groups)]
        waiting_at = {group: await clients.enter_async_context(connect(url, tag=group.tag)) for group in groups}
        yield _Outside(link, redis, waiting_at, claude, way, databases, models)


def _build_check(settings: WorkerSettings, outside: _Outside) -> RedisCheck:
    rights = needs("worker", groups=settings.groups)
    return RedisCheck(outside.redis, prefix=outside.groups[0].prefix, rights=rights)


def _build_routes(
    settings: WorkerSettings,
    outside: _Outside,
    *,
    on_change: Callable[[Collection[RoutePath]], None],
    troubles: Callable[[], list[str]],
) -> RouteTable[Plan]:
    return RouteTable(
        outside.redis,
        WORKER,
        SealKey.from_text(settings.table_key.get_secret_value()),
        process_id=uuid.uuid4().hex,
        prepare=prompt.prepare,
        on_change=on_change,
        troubles=troubles,
    )


def _build_shared(settings: WorkerSettings, outside: _Outside, routes: RouteTable[Plan]) -> _Shared:
    """Make the calls of deliveries' runs, which traces tell of, and those of no single delivery, which none does."""
    told, quiet = LinkedRedis(outside.link), LinkedRedis(outside.link)
    if settings.redis_spans:
        redis_spans.instrument(told)
    call, look = ClientCaller(told), ClientCaller(quiet)
    work, ledger = Work(call, looking=look), Ledger(call, looking=look)
    return _Shared(
        work=work,
        upkeep=Upkeep(quiet, look),
        history=History(told, work),
        ledger=ledger,
        turns=Turns(work, Throttle(call, most_calls=settings.most_calls), groups=outside.groups),
        admissions=Admissions(
            call, limits=Limits(settings.max_queue_depth, settings.max_queue_bytes), groups=settings.groups
        ),
        routes=routes,
        troubles=Troubles(),
        spending=Spending(ledger, Prices(outside.models)),
        tally=Tally(),
        gate=Gate(),
    )


def _build_worker(settings: WorkerSettings, outside: _Outside, shared: _Shared) -> QueueWorker:
    return QueueWorker(
        outside.redis,
        shared.work,
        _build_handler(settings, outside, shared),
        tally=shared.tally,
        slots=settings.concurrent_calls,
        sendings=settings.concurrent_sends,
        serve_turn=shared.turns.serve,
        begun=settings.max_jobs,
        grace_s=settings.grace_s,
        waiting_at=outside.waiting_at,
        gate=shared.gate,
    )


def _build_handler(settings: WorkerSettings, outside: _Outside, shared: _Shared) -> Handler:
    """Make what runs deliveries, and sends what they were answered."""
    finder = Finder(shared.routes, shared.upkeep)
    runner = _build_runner(settings, outside, shared, finder)
    chain = RouteSinkWriter(shared.routes, shared.admissions, shared.tally)
    sinks = RemoteSinks(outside.way, shared.work, outside.databases, chain=chain)
    sender = Sender(work=shared.work, finder=finder, sinks=sinks, gate=shared.gate)

    async def handle(attempt: Attempt) -> End:
        return await (sender if attempt.lease.sink else runner)(attempt)

    return handle


def _build_runner(settings: WorkerSettings, outside: _Outside, shared: _Shared, finder: Finder) -> Runner:
    return Runner(
        work=shared.work,
        finder=finder,
        claude=outside.claude,
        calling=Calling(outside.way),
        history=shared.history,
        sinks=LocalSinks(shared.work),
        troubles=shared.troubles,
        turns=shared.turns,
        models=outside.models,
        spending=shared.spending,
        tally=shared.tally,
        retention=settings.retention,
        gate=shared.gate,
    )


def _build_keeper(outside: _Outside, shared: _Shared, *, worker: str) -> Keeper:
    routes = shared.routes
    return Keeper(
        shared.upkeep,
        worker=worker,
        groups=outside.groups,
        routes=routes,
        troubles=shared.troubles,
        may_meet=lambda trouble: may_meet(trouble, routes.all(), outside.claude.key_id),
        treasury=Treasury(
            shared.ledger,
            shared.spending,
            rules=lambda: (rule for plan in routes.all() for rule in plan.route.budgets),
            groups=len(outside.groups),
        ),
        limits=lambda: {
            plan.route.path: Limit(plan.route.max_running, holds_lanes=plan.route.holds_lanes)
            for plan in routes.all()
            if plan.route.max_running or plan.route.holds_lanes
        },
        gate=shared.gate,
    )


@contextlib.asynccontextmanager
async def _serving_probes(
    settings: WorkerSettings, outside: _Outside, worker: QueueWorker, routes: RouteTable[Plan]
) -> AsyncIterator[None]:
    probes = build_probes(outside.redis, last_turn=lambda: worker.last_turn, is_warm=lambda: routes.version is not None)
    async with serving(probes, host=settings.probe_host, port=settings.probe_port) as port:
        _log.info("worker_started", probe_port=port, slots=settings.max_jobs)
        yield


async def _settle(spending: Spending) -> None:
    """Say what the last calls have cost: what nobody says counts as all that was reserved."""
    try:
        await spending.settle()
    except (RedisAway, RedisForbids) as error:
        _log.warning("costs_not_told", error=str(error))


def main() -> int:
    """Run the worker; returns the exit code."""
    return run_program("worker", WorkerSettings, serve, run=uvloop.run)


if __name__ == "__main__":
    sys.exit(main())
