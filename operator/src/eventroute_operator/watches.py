"""Whether the watches live, and that they go on: seen from their HTTP requests, whoever makes them.

A watch that dies in silence is the classic end of an operator. A live one asks anew at least every `SERVER_TIMEOUT_S`,
when the server ends it, also if nothing happens in the cluster; and it goes on trying while the API server is away,
which is no reason to end this process.
"""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Final

import aiohttp
from yarl import URL

from eventroute_operator.cluster import Kind

SERVER_TIMEOUT_S: Final = 300
"""After which the API server ends a watch; the next one goes on where it ended."""

DEAD_S: Final = SERVER_TIMEOUT_S + 120.0
"""A watch that has not even tried for so long is dead."""

_KOPFS_OWN: Final = frozenset({401, 429})
"""It logs in again, or waits as long as it is told."""

_KINDS: Final = {"eventroutes": Kind.ROUTE, "secrets": Kind.SECRET, "configmaps": Kind.CONFIG_MAP}


class Watches:
    """When each kind was last asked for, and when it last answered; monotonic seconds."""

    def __init__(self, relisted: Callable[[], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take what to call when a watch begins anew with a list: it may have missed what was deleted meanwhile."""
        self._relisted = relisted
        self._clock = clock
        self._tried: dict[Kind, float] = {}
        self._heard = dict.fromkeys(Kind, clock())
        self._listed: set[Kind] = set()

    def trace(self) -> aiohttp.TraceConfig:
        """Make what an aiohttp session has to carry in order to be seen."""
        config = aiohttp.TraceConfig()
        config.on_request_start.append(self._on_start)
        config.on_request_end.append(self._on_end)
        return config

    def begin(self) -> None:
        """Take note that the watches are to live from now on; before the first lists were answered, there are none."""
        self._tried = dict.fromkeys(Kind, self._clock())

    def told(self, kind: Kind) -> None:
        """Take note of a change that a watch told of."""
        self._tried[kind] = self._heard[kind] = self._clock()

    def age(self, kind: Kind) -> float:
        """Seconds since the API server accepted a watch or told of a change."""
        return self._clock() - self._heard[kind]

    def are_alive(self) -> bool:
        """Tell whether every watch has at least been tried lately."""
        return not self._tried or self._clock() - min(self._tried.values()) < DEAD_S

    async def _on_start(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, request: aiohttp.TraceRequestStartParams
    ) -> None:
        if kind := _kind(request.url):
            self._tried[kind] = self._clock()

    async def _on_end(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, request: aiohttp.TraceRequestEndParams
    ) -> None:
        kind, response = _kind(request.url), request.response
        if kind is None or response.status in _KOPFS_OWN:
            return
        if not response.ok:
            # kopf ends when a list or watch is refused, and may hang while it does (1.45); it goes on trying when the
            # connection fails. A permission or a definition that is missing now may be there in a second.
            response.close()
            raise aiohttp.ClientConnectionError(f"the API server refused to tell of {kind}s: {response.status}")
        self._heard[kind] = self._clock()
        if "watch" in request.url.query and kind in self._listed:
            self._listed.discard(kind)
            self._relisted()
        elif "watch" not in request.url.query:
            self._listed.add(kind)


def _kind(url: URL) -> Kind | None:
    return _KINDS.get(url.name)
