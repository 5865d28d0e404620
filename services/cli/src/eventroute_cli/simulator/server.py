"""Runs the simulator's HTTP server, in this thread or beside it.

`serving` is for the local mode and for tests: it yields when the port listens and leaves nothing behind.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from eventroute_cli.listening import listen, url_of
from eventroute_cli.simulator.api import Simulator, SimulatorSettings
from eventroute_cli.simulator.app import CUT_EXTENSION, build_app

_GRACE_S: Final = 1  # a hanging request must not hold up the end of the program
_STOP_S: Final = 10.0


class Served(NamedTuple):
    """A running simulator."""

    simulator: Simulator
    url: str
    """What clients take as base URL, `http://127.0.0.1:40123`."""


class CuttableProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with one extension: the application may drop the connection."""

    def on_message_begin(self) -> None:
        """Offer the extension in the scope of each request."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["extensions"] = {CUT_EXTENSION: {"cut": self.transport.abort}}


def build_server(simulator: Simulator) -> uvicorn.Server:
    """Prepare a server; `run(sockets=[…])` starts it."""
    config = uvicorn.Config(
        build_app(simulator),
        http=CuttableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    return uvicorn.Server(config)


@contextmanager
def serving(settings: SimulatorSettings | None = None, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[Served]:
    """Run a simulator in a thread for as long as the block lasts.

    port  0 = any free one
    """
    simulator = Simulator(settings or SimulatorSettings())
    server = build_server(simulator)
    with listen(host, port) as listener:
        serve = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="claude-simulator", daemon=True
        )
        serve.start()
        try:
            yield Served(simulator, url_of(listener))
        finally:
            server.should_exit = True
            serve.join(_STOP_S)
