"""A receiver as it runs in production: a process of its own, its two ports, and what it tells of itself."""

import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.route_table import RECEIVER, ReceiverRoute
from eventroute.runtime.tables import heartbeats, publish
from eventroute.sealed import SealKey
from eventroute_cli.local.environment import Wiring
from eventroute_cli.local.processes import Processes, free_port
from eventroute_receiver.settings import ReceiverSettings
from support.queue import ready
from support.receipts import exposed_receipts
from support.waiting import until


@dataclass(frozen=True)
class ReceiverProcess:
    """A running receiver."""

    process: Popen[bytes]
    port: int
    probe_port: int
    log: Path

    @property
    def url(self) -> str:
        """Base of its hooks' port."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def probe_url(self) -> str:
        """Base of its probes' port."""
        return f"http://127.0.0.1:{self.probe_port}"

    async def until_warm(self) -> None:
        """Wait until it has read a route table."""
        async with httpx.AsyncClient(base_url=self.probe_url) as client:

            async def is_ready() -> bool:
                return (await client.get("/readyz")).status_code == 200

            await until(is_ready)

    def terminate(self) -> None:
        """Ask it to stop, as the kubelet does."""
        self.process.send_signal(signal.SIGTERM)

    def log_lines(self) -> list[str]:
        """Read what it has logged so far."""
        return self.log.read_text(encoding="utf-8").splitlines()


@contextlib.contextmanager
def receiver_process(
    folder: Path, redis_url: str, table_key: str, *, name: str = "receiver", **settings: object
) -> Iterator[ReceiverProcess]:
    """Run a receiver while the block runs, as the local mode starts it; `settings` are `ReceiverSettings` fields."""
    wiring = Wiring(
        redis_url=redis_url,
        receiver_port=free_port(),
        receiver_probe_port=free_port(),
        worker_probe_port=0,
        receiver_key=table_key,
        worker_key="",
        claude_url=None,
        claude_key="",
        collector_url=None,
    )
    more = {ReceiverSettings.variable(field): str(value) for field, value in settings.items()}
    with Processes(folder) as processes:
        process = processes.start(
            name, [sys.executable, "-m", "eventroute_receiver"], {**wiring.receiver(os.environ), **more}
        )
        for port in (wiring.receiver_port, wiring.receiver_probe_port):
            processes.wait_listening(name, port, timeout_s=20)
        yield ReceiverProcess(process, wiring.receiver_port, wiring.receiver_probe_port, processes.log(name))


@dataclass
class OnTheWire:
    """A receiver process, its Redis, and the key of its table: reached through sockets only."""

    receiver: ReceiverProcess
    redis: Redis
    key: SealKey

    @property
    def port(self) -> int:
        """Where raw requests go."""
        return self.receiver.port

    async def serve(self, *routes: ReceiverRoute) -> None:
        """Publish exactly these routes and wait until the process serves them."""
        version = await publish(self.redis, RECEIVER, {route.path: route for route in routes}, self.key)

        async def is_served() -> bool:
            return version in [beat.version for beat in await heartbeats(self.redis, RECEIVER)]

        await until(is_served)

    async def receipts(self) -> Counter[tuple[str, str, str]]:
        """Read how the process has counted its requests."""
        async with httpx.AsyncClient(base_url=self.receiver.probe_url) as client:
            return exposed_receipts((await client.get("/metrics")).text)

    async def queued(self) -> list[DeliveryId]:
        """List what is ready, of all routes, in the order of acceptance."""
        return await ready(self.redis)
