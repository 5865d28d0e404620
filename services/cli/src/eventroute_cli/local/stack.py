"""All programs of a local run, started in parallel and stopped together.

    Redis (the user's, or one of our own) · simulator (unless Claude itself is asked) · receiver · worker · collector

They are the programs of a cluster in processes of their own, wired by the same variables; only the operator's place is
taken: the command compiles and publishes the route table itself.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from eventroute import keys
from eventroute.errors import Refused, RetryLater
from eventroute.hops import MARKERS
from eventroute.ids import DeliveryId
from eventroute.route_table import RECEIVER, WORKER, with_marker_key
from eventroute.runtime.redis import CONNECTION_ERRORS, connect
from eventroute.runtime.tables import publish
from eventroute.sealed import SealKey, new_key_text
from eventroute_cli.listening import listen
from eventroute_cli.local.collector import Collector
from eventroute_cli.local.environment import Wiring
from eventroute_cli.local.processes import Processes, free_port
from eventroute_cli.local.redis_server import configured_url, server_command
from eventroute_cli.local.runs import RunView, read_run
from eventroute_cli.local.whereabouts import LocalRun, announced
from eventroute_cli.simulator.api import DEFAULT_KEY

if TYPE_CHECKING:
    from eventroute.compile import Compiled  # half a second, in which the programs may start already

_START_S: Final = 30.0  # a cold start imports everything from disk; warm ones take about two seconds
_REDIS_START_S: Final = 10.0

_TABLES: Final = (keys.table(RECEIVER.name), keys.table(WORKER.name))

Progress = Callable[[str], None]


@dataclass(frozen=True)
class StackOptions:
    """What a local run is made of."""

    real_claude_key: str | None = None
    """Ask Claude itself with this key; None = the simulator."""
    simulator_latency_s: float = 0.2
    receiver_port: int | None = None
    """None = any free port."""
    log_level: str = "INFO"
    command: str = "dev"
    """Whose run it is, for other commands of the same user."""
    models: Path | None = None
    """What the user knows of models, over what is built in."""


@dataclass(frozen=True)
class Stack:
    """A running local EventRoute."""

    wiring: Wiring
    collector: Collector
    processes: Processes
    simulator_port: int | None
    """None = Claude itself is asked."""

    def publish(self, compiled: "Compiled") -> None:
        """Serve these routes; workers first, so that no delivery meets a worker that does not know its route.

        raises  `RetryLater` when Redis is away
        """
        asyncio.run(self._publish(compiled))

    async def _publish(self, compiled: "Compiled") -> None:
        async with _reached(self.wiring.redis_url) as redis:
            worker_key, receiver_key = map(SealKey.from_text, (self.wiring.worker_key, self.wiring.receiver_key))
            marker_key = receiver_key.derive(MARKERS)
            workers = with_marker_key(compiled.worker, marker_key)
            receivers = with_marker_key(compiled.receiver, marker_key)
            paths = {verdict.path for verdict in compiled.verdicts}
            await publish(redis, WORKER, workers, worker_key, withheld=paths - workers.keys())
            await publish(redis, RECEIVER, receivers, receiver_key, withheld=paths - receivers.keys())

    def read_run(self, delivery: DeliveryId) -> RunView:
        """Look at a delivery's run; raises `RetryLater` when Redis is away."""
        return asyncio.run(self._read_run(delivery))

    async def _read_run(self, delivery: DeliveryId) -> RunView:
        async with _reached(self.wiring.redis_url) as redis:
            return await read_run(redis, delivery)

    def wait_ready(self) -> None:
        """Wait until all programs can do their work: the last step of a start, once routes are published."""
        self.processes.wait_ready("receiver", self.wiring.receiver_probe_port, timeout_s=_START_S)
        self.processes.wait_ready("worker", self.wiring.worker_probe_port, timeout_s=_START_S)
        self.processes.wait_listening("receiver", self.wiring.receiver_port, timeout_s=_START_S)
        if self.simulator_port:
            self.processes.wait_listening("simulator", self.simulator_port, timeout_s=_START_S)


@contextlib.contextmanager
def running_stack(
    options: StackOptions, environ: Mapping[str, str], progress: Progress, heed: Callable[[], None] = lambda: None
) -> Iterator[Stack]:
    """Run everything while the block runs; afterwards no process and no temporary file is left.

    heed    called in every wait; may raise to end the run
    raises  `GaveUp` with the end of its log when a program does not start, `Refused` when the port is taken
    """
    if options.receiver_port:
        listen("127.0.0.1", options.receiver_port).close()
    with (
        tempfile.TemporaryDirectory(prefix="eventroute-") as folder,
        Collector() as collector,
        contextlib.ExitStack() as stack,
        Processes(Path(folder), heed) as processes,
    ):
        redis_url = stack.enter_context(_redis(processes, Path(folder), environ))
        progress("with a Redis of its own" if configured_url(environ) is None else "with the Redis of REDIS_URL")
        simulator_port = None if options.real_claude_key else free_port()
        wiring = Wiring(
            redis_url=redis_url,
            receiver_port=options.receiver_port or free_port(),
            receiver_probe_port=free_port(),
            worker_probe_port=free_port(),
            receiver_key=new_key_text(),
            worker_key=new_key_text(),
            claude_url=f"http://127.0.0.1:{simulator_port}" if simulator_port else None,
            claude_key=options.real_claude_key or DEFAULT_KEY,
            collector_url=collector.endpoint,
            log_level=options.log_level,
            models=str(options.models.resolve()) if options.models else "",
        )
        # In the order of need; they are stopped in reverse, so that a worker can finish what it has begun.
        if simulator_port:
            _start_simulator(processes, simulator_port, options, environ)
        processes.start("worker", [sys.executable, "-m", "eventroute_worker"], wiring.worker(environ))
        processes.start("receiver", [sys.executable, "-m", "eventroute_receiver"], wiring.receiver(environ))
        run = LocalRun(command=options.command, pid=os.getpid(), redis_url=wiring.redis_url, hooks_url=wiring.hooks_url)
        with announced(run):
            yield Stack(wiring, collector, processes, simulator_port)


def claude_key(environ: Mapping[str, str]) -> str:
    """Read the key for `--real`; raises `Refused` without one."""
    if key := environ.get("ANTHROPIC_API_KEY"):
        return key
    raise Refused("--real needs ANTHROPIC_API_KEY; without --real the simulator answers, for nothing")


@contextlib.contextmanager
def _redis(processes: Processes, folder: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Find or start a Redis; of the user's own, only a database that no installation uses is taken."""
    if (url := configured_url(environ)) is None:
        port = free_port()
        processes.start("redis", server_command(port, folder), environ)
        processes.wait_listening("redis", port, timeout_s=_REDIS_START_S)
        yield f"redis://127.0.0.1:{port}/0"
        return
    asyncio.run(_refuse_used(url))
    try:
        yield url
    finally:
        asyncio.run(_forget_tables(url))


async def _refuse_used(url: str) -> None:
    try:
        async with _reached(url) as redis:
            used = await redis.exists(*_TABLES)
    except RetryLater as error:
        raise Refused(f"REDIS_URL: {error}") from error
    if used:
        raise Refused(
            "REDIS_URL: an installation's route table is there, which a local run would replace; name another database "
            f"(or, after a local run that was killed: redis-cli DEL {' '.join(_TABLES)})"
        )


async def _forget_tables(url: str) -> None:
    with contextlib.suppress(RetryLater):
        async with _reached(url) as redis:
            await redis.delete(*_TABLES)


@contextlib.asynccontextmanager
async def _reached(url: str) -> AsyncIterator[Redis]:
    """Connect for a few commands; raises `RetryLater` when Redis does not answer them."""
    async with connect(url) as redis:
        try:
            yield redis
        except (RedisError, *CONNECTION_ERRORS) as error:
            raise RetryLater(f"Redis cannot be reached: {error}") from error


def _start_simulator(processes: Processes, port: int, options: StackOptions, environ: Mapping[str, str]) -> None:
    latency = ["--latency", str(options.simulator_latency_s)]
    processes.start(
        "simulator", [sys.executable, "-m", "eventroute_cli", "simulator", "--port", str(port), *latency], environ
    )
