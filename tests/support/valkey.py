"""A real Valkey for tests: the local mode's own, on a free loopback port."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from eventroute_cli.local.processes import Processes, free_port
from eventroute_cli.local.redis_server import server_command


@contextlib.contextmanager
def valkey_server(folder: Path, *, port: int | None = None, append_only: bool = False) -> Iterator[str]:
    """Run a server while the block runs; yields its URL."""
    port = port or free_port()
    with Processes(folder) as processes:
        processes.start("valkey", server_command(port, folder, append_only=append_only), os.environ)
        processes.wait_listening("valkey", port, timeout_s=10)
        yield f"redis://127.0.0.1:{port}/0"
