"""A real Valkey Cluster on loopback: three primaries, each with a replica, and what a test does to them."""

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import Popen

from redis.asyncio import Redis

from eventroute_cli.local.processes import Processes, free_port
from eventroute_cli.local.redis_server import server_binary
from support.waiting import until

PRIMARIES = 3
_SLOTS = 16_384
_START_S = 20.0


class ValkeyCluster:
    """Six servers, by their ports; the first three begin as primaries."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self.ports = [free_port() for _ in range(2 * PRIMARIES)]
        self._buses = {port: free_port() for port in self.ports}
        self._processes = processes
        self._folder = folder
        self._running = {port: self._start(port) for port in self.ports}

    @property
    def url(self) -> str:
        """As programs are told it."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self.ports)

    @contextlib.asynccontextmanager
    async def server(self, port: int) -> AsyncIterator[Redis]:
        """Talk to one server."""
        async with Redis(port=port) as redis:
            yield redis

    async def form(self) -> None:
        """Let them meet, share the slots, and replicate."""
        for port in self.ports:
            await asyncio.to_thread(self._processes.wait_listening, f"valkey-{port}", port, timeout_s=_START_S)
        ids = [await self.node_id(port) for port in self.ports]
        async with self.server(self.ports[0]) as first:
            for port in self.ports[1:]:
                await first.execute_command("CLUSTER", "MEET", "127.0.0.1", port, self._buses[port])
        for number, port in enumerate(self.ports[:PRIMARIES]):
            low, high = number * _SLOTS // PRIMARIES, (number + 1) * _SLOTS // PRIMARIES - 1
            async with self.server(port) as primary:
                await primary.execute_command("CLUSTER", "ADDSLOTSRANGE", low, high)
        for number, port in enumerate(self.ports[PRIMARIES:]):
            await until(functools.partial(self._knows, port, ids[number]), timeout_s=_START_S)
            async with self.server(port) as replica:
                await replica.execute_command("CLUSTER", "REPLICATE", ids[number])
        await until(self.is_whole, timeout_s=_START_S)

    async def node_id(self, port: int) -> str:
        """Read a server's id in the cluster."""
        async with self.server(port) as redis:
            return str((await redis.execute_command("CLUSTER", "MYID")).decode())

    async def owner(self, slot: int) -> int:
        """Find the port of the primary that has a slot."""
        async with self.server(await self._any_alive()) as redis:
            for first, last, (_, port, *_), *_ in await redis.execute_command("CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    return int(port)
        raise AssertionError(f"nobody has slot {slot}")

    async def is_whole(self) -> bool:
        """Tell whether every live server sees all slots served, and every primary a replica in step."""
        for port in self._alive():
            async with self.server(port) as redis:
                info = await redis.execute_command("CLUSTER", "INFO")
                if isinstance(info, dict):
                    if info["cluster_state"] != "ok":
                        return False
                elif b"cluster_state:ok" not in info:
                    return False
                role = await redis.execute_command("ROLE")
                if role[0] == b"slave" and role[3] != b"connected":
                    return False
        return True

    async def move_slot(self, slot: int, to: int) -> None:
        """Move a slot with all its keys at once, while it is in use (Valkey 9)."""
        target = await self.node_id(to)
        async with self.server(await self.owner(slot)) as source:
            await source.execute_command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target)

        async def has_moved() -> bool:
            return await self.owner(slot) == to

        await until(has_moved, timeout_s=_START_S)

    def kill(self, port: int) -> None:
        """End a server as a crash of its machine does."""
        process = self._running.pop(port)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def restart(self, port: int) -> None:
        """Start a server again, which finds its place by what it had written down: now as a replica."""
        self._running[port] = self._start(port)

    def _alive(self) -> list[int]:
        return list(self._running)

    async def _any_alive(self) -> int:
        return self._alive()[-1]

    async def _knows(self, port: int, node: str) -> bool:
        async with self.server(port) as redis:
            return node.encode() in await redis.execute_command("CLUSTER", "NODES")

    def _start(self, port: int) -> Popen[bytes]:
        folder = self._folder / str(port)
        folder.mkdir(exist_ok=True)
        return self._processes.start(
            f"valkey-{port}",
            [
                server_binary(),
                *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
                *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
                *("--cluster-node-timeout", "1500", "--cluster-port", str(self._buses[port])),
                *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
            ],
            os.environ,
        )


@contextlib.asynccontextmanager
async def valkey_cluster(folder: Path) -> AsyncIterator[ValkeyCluster]:
    """Run a cluster while the block runs."""
    with Processes(folder) as processes:
        cluster = ValkeyCluster(processes, folder)
        await cluster.form()
        yield cluster
