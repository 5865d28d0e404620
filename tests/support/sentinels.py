"""A primary, its replica and three Sentinels that watch over both: what a failover needs."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

from redis.asyncio import Redis

from eventroute_cli.local.processes import Processes, free_port
from eventroute_cli.local.redis_server import server_binary, server_command
from support.waiting import until

MASTER = "eventroute"
_DOWN_AFTER_MS = 500


class Sentinels:
    """The servers, by their ports, and the URL of whichever is the primary."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self._folder = folder
        self.servers = (free_port(), free_port())
        self._sentinels = (free_port(), free_port(), free_port())
        self._running = {port: self._start_server(port) for port in self.servers}
        for port in self._sentinels:
            self._running[port] = self._start_sentinel(port)
        for port, name in [
            *((p, f"valkey-{p}") for p in self.servers),
            *((p, f"sentinel-{p}") for p in self._sentinels),
        ]:
            processes.wait_listening(name, port, timeout_s=10)

    @property
    def url(self) -> str:
        """As programs are told it."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._sentinels)
        return f"redis+sentinel://{hosts}/{MASTER}/0"

    def kill(self, port: int) -> None:
        """End a server as a crash of its machine does, except that its connections are closed."""
        self._running[port].kill()
        self._running[port].wait()

    def kill_a_sentinel(self) -> None:
        """End the Sentinel that the URL names first."""
        self.kill(self._sentinels[0])

    def restart(self, port: int) -> None:
        """Start a server again; it is still configured as it began, until the Sentinels tell it otherwise."""
        self._running[port] = self._start_server(port)
        self._processes.wait_listening(f"valkey-{port}", port, timeout_s=10)

    @contextlib.contextmanager
    def frozen(self, port: int) -> Iterator[None]:
        """Let a server answer nothing and close nothing while the block runs, as a machine without a network."""
        self._running[port].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._running[port].send_signal(signal.SIGCONT)

    async def primary(self) -> int:
        """Ask the last Sentinel for the primary's port."""
        async with Redis(port=self._sentinels[-1]) as sentinel:
            _, port = await sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return int(port)

    async def failover(self) -> None:
        """Have the Sentinels make the replica the primary, while the old one lives.

        Coordinated (Valkey 9): without, the old one acknowledges for a moment what then is lost.
        """
        async with Redis(port=self._sentinels[-1]) as sentinel:
            await sentinel.execute_command("SENTINEL", "FAILOVER", MASTER, "COORDINATED")

    async def until_watched(self) -> None:
        """Wait until every Sentinel knows the replica and the other two, and the replica follows."""
        for port in self._sentinels:
            async with Redis(port=port, decode_responses=True) as sentinel:

                async def is_complete(sentinel: Redis = sentinel) -> bool:
                    state = await sentinel.sentinel_master(MASTER)
                    return (state["num-slaves"], state["num-other-sentinels"]) == (1, len(self._sentinels) - 1)

                await until(is_complete, timeout_s=20)
        async with Redis(port=self.servers[1]) as replica:

            async def follows() -> bool:
                return bool((await replica.info("replication"))["master_link_status"] == "up")

            await until(follows, timeout_s=20)

    def _start_server(self, port: int) -> Popen[bytes]:
        folder = self._folder / f"data-{port}"
        folder.mkdir(exist_ok=True)
        command = [*server_command(port, folder, append_only=True), "--repl-diskless-sync-delay", "0"]
        if port != self.servers[0]:
            command += ["--replicaof", f"127.0.0.1 {self.servers[0]}"]
        return self._processes.start(f"valkey-{port}", command, os.environ)

    def _start_sentinel(self, port: int) -> Popen[bytes]:
        file = self._folder / f"sentinel-{port}.conf"
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {self._folder}",
            f"sentinel monitor {MASTER} 127.0.0.1 {self.servers[0]} 2",
            f"sentinel down-after-milliseconds {MASTER} {_DOWN_AFTER_MS}",
            f"sentinel failover-timeout {MASTER} 3000",
        ]
        file.write_text("\n".join([*lines, ""]), encoding="utf-8")
        return self._processes.start(f"sentinel-{port}", [server_binary(), str(file), "--sentinel"], os.environ)


@contextlib.contextmanager
def sentinels(folder: Path) -> Iterator[Sentinels]:
    """Run all five while the block runs."""
    with Processes(folder) as processes:
        yield Sentinels(processes, folder)
