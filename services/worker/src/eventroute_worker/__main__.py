"""`python -m eventroute_worker`: work on deliveries until SIGTERM or SIGINT."""

import sys
import uuid

import structlog
import uvloop

from eventroute import prompt
from eventroute.route_table import WORKER
from eventroute.runtime import background
from eventroute.runtime.probe_port import serving
from eventroute.runtime.program import run_program
from eventroute.runtime.redis import connect
from eventroute.runtime.stats import Tally, writing
from eventroute.runtime.tables import RouteTable
from eventroute.sealed import SealKey
from eventroute.secret import Secret
from eventroute_worker.claude import Claude
from eventroute_worker.history import History
from eventroute_worker.pricing import Prices
from eventroute_worker.probes import build_probes
from eventroute_worker.record import Records
from eventroute_worker.run import Runner
from eventroute_worker.settings import WorkerSettings
from eventroute_worker.sinks import Sinks
from eventroute_worker.sweeper import Sweeper
from eventroute_worker.worker import QueueWorker

_log = structlog.get_logger()


async def serve(settings: WorkerSettings) -> None:
    """Run until asked to stop; then pick nothing more, finish what runs within the grace period, and leave."""
    key = settings.anthropic_api_key
    table_key = SealKey.from_text(settings.table_key.get_secret_value())
    prices = Prices.load(settings.prices_path)
    async with (
        connect(settings.redis_url.get_secret_value()) as redis,
        Claude(
            api_key=Secret(key.get_secret_value().encode()) if key else None,
            base_url=settings.anthropic_base_url,
            concurrent_calls=settings.concurrent_calls,
            propagate_trace=settings.propagate_trace,
            prices=prices,
            key_file=settings.file("anthropic_api_key"),
        ) as claude,
    ):
        routes = RouteTable(redis, WORKER, table_key, process_id=uuid.uuid4().hex, prepare=prompt.prepare)
        records = Records(redis)
        runner = Runner(
            records=records, routes=routes, claude=claude, history=History(redis), sinks=Sinks(redis, records)
        )
        tally = Tally()
        worker = QueueWorker(redis, runner, tally=tally, slots=settings.max_jobs, grace_s=settings.grace_s)
        probes = build_probes(redis, last_turn=lambda: worker.last_turn, is_warm=lambda: routes.version is not None)
        async with serving(probes, host=settings.probe_host, port=settings.probe_port) as port:
            _log.info("worker_started", probe_port=port, slots=settings.max_jobs)
            async with background.running(routes.run, Sweeper(redis).run), writing(tally, redis):
                await worker.async_run()
    _log.info("worker_stopped")


def main() -> int:
    """Run the worker; returns the exit code."""
    return run_program("worker", WorkerSettings, serve, run=uvloop.run)


if __name__ == "__main__":
    sys.exit(main())
