"""`python -m eventroute_worker`: work on deliveries until SIGTERM or SIGINT."""

import contextlib
import functools
import sys
import uuid
from typing import Final

import structlog
import uvloop

from eventroute import prompt
from eventroute.acl import needs
from eventroute.queue import Group, Ledger, Limit, Upkeep, Work
from eventroute.route_table import WORKER
from eventroute.runtime import background
from eventroute.runtime.link import LinkedRedis, open_link
from eventroute.runtime.probe_port import serving
from eventroute.runtime.program import run_program
from eventroute.runtime.redis import connect
from eventroute.runtime.redis_check import RedisCheck
from eventroute.runtime.scripts import ClientCaller
from eventroute.runtime.stats import Tally, writing
from eventroute.runtime.tables import RouteTable
from eventroute.sealed import SealKey
from eventroute.secret import Secret
from eventroute.throttle import Throttle
from eventroute_worker import redis_spans
from eventroute_worker.claude import Claude
from eventroute_worker.gate import Gate
from eventroute_worker.history import History
from eventroute_worker.keeper import Keeper
from eventroute_worker.model_watch import ModelWatch
from eventroute_worker.pricing import Prices
from eventroute_worker.probes import build_probes
from eventroute_worker.run import Runner
from eventroute_worker.settings import WorkerSettings
from eventroute_worker.sinks import Sinks
from eventroute_worker.spending import Spending, Treasury
from eventroute_worker.troubles import Troubles, may_meet
from eventroute_worker.turns import Turns
from eventroute_worker.worker import QueueWorker

_CONNECT_S: Final = 2.0  # a Redis that is away then is told of, and waited for; arbitrary

_log = structlog.get_logger()


async def serve(settings: WorkerSettings) -> None:
    """Run until asked to stop; then pick nothing more, finish what runs within the grace period, and leave."""
    key = settings.anthropic_api_key
    table_key = SealKey.from_text(settings.table_key.get_secret_value())
    prices = Prices.load(settings.models_path)
    url = settings.redis_url.get_secret_value()
    groups = [Group(number) for number in range(settings.groups)]
    link = open_link(url, groups=settings.groups)
    async with (
        contextlib.AsyncExitStack() as clients,
        connect(url) as redis,
        Claude(
            api_key=Secret(key.get_secret_value().encode()) if key else None,
            base_url=settings.anthropic_base_url,
            propagate_trace=settings.propagate_trace,
            prices=prices,
            key_file=settings.file("anthropic_api_key"),
        ) as claude,
    ):
        quiet, told = LinkedRedis(link), LinkedRedis(link)
        if settings.redis_spans:
            redis_spans.instrument(told)
        work, upkeep = Work(ClientCaller(told), looking=ClientCaller(quiet)), Upkeep(quiet, ClientCaller(quiet))
        check = RedisCheck(redis, prefix=groups[0].prefix, rights=needs("worker", groups=settings.groups))
        routes = RouteTable(
            redis,
            WORKER,
            table_key,
            process_id=uuid.uuid4().hex,
            prepare=prompt.prepare,
            on_change=lambda _: keeper.wake(),
            troubles=check.troubles,
        )
        troubles, tally, gate = Troubles(), Tally(), Gate()
        turns = Turns(work, Throttle(ClientCaller(told), most_calls=settings.most_calls), groups=groups)
        ledger = Ledger(ClientCaller(told), looking=ClientCaller(quiet))
        spending = Spending(ledger, prices)
        runner = Runner(
            work=work,
            holds=upkeep,
            routes=routes,
            claude=claude,
            history=History(told, work),
            sinks=Sinks(work),
            troubles=troubles,
            turns=turns,
            spending=spending,
            retention=settings.retention,
            gate=gate,
        )
        worker = QueueWorker(
            redis,
            work,
            runner,
            tally=tally,
            slots=settings.concurrent_calls,
            serve_turn=turns.serve,
            begun=settings.max_jobs,
            grace_s=settings.grace_s,
            waiting_at={group: await clients.enter_async_context(connect(url, tag=group.tag)) for group in groups},
            gate=gate,
        )
        keeper = Keeper(
            upkeep,
            worker=worker.id,
            groups=groups,
            routes=routes,
            troubles=troubles,
            may_meet=lambda trouble: may_meet(trouble, routes.all(), claude.key_id),
            treasury=Treasury(
                ledger,
                spending,
                rules=lambda: (rule for plan in routes.all() for rule in plan.route.budgets),
                groups=settings.groups,
            ),
            limits=lambda: {
                plan.route.path: Limit(plan.route.max_running, holds_lanes=plan.route.holds_lanes)
                for plan in routes.all()
                if plan.route.max_running or plan.route.holds_lanes
            },
            gate=gate,
        )
        watch = ModelWatch(claude, redis, plans=routes.all, troubles=troubles)
        probes = build_probes(redis, last_turn=lambda: worker.last_turn, is_warm=lambda: routes.version is not None)
        async with serving(probes, host=settings.probe_host, port=settings.probe_port) as port:
            _log.info("worker_started", probe_port=port, slots=settings.max_jobs)
            async with (
                background.running(
                    link.run, routes.run, keeper.run, check.run, watch.run, functools.partial(gate.follow, upkeep)
                ),
                writing(tally, redis),
            ):
                await link.until_up(_CONNECT_S)
                await worker.async_run()
    _log.info("worker_stopped")


def main() -> int:
    """Run the worker; returns the exit code."""
    return run_program("worker", WorkerSettings, serve, run=uvloop.run)


if __name__ == "__main__":
    sys.exit(main())
