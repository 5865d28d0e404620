"""Where names lead, asked of the system: all addresses of a name at once, each name in one thread at most.

A name whose servers never answer so holds one thread however often it is asked for, and the threads are not those that
anything else of the worker needs.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""From a name to all of its addresses; raises `OSError` where there are none."""

_THREADS: Final = 16  # names that are looked up at once; arbitrary


class SystemResolver:
    """Looks names up as every program of the machine does: its hosts file, then its name servers."""

    def __init__(self, look_up: Callable[[str], Sequence[str]] | None = None) -> None:
        """Start no thread yet.

        look_up  asks for a name and waits; None = the system's own way
        """
        self._look_up = look_up or _look_up
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="resolve")
        self._under_way: dict[str, asyncio.Future[Sequence[str]]] = {}

    async def __call__(self, name: str) -> Sequence[str]:
        """Look a name up, or wait with whoever does so already."""
        asked = self._under_way.get(name)
        if asked is None:
            asked = asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, name)
            self._under_way[name] = asked
            asked.add_done_callback(lambda done: self._forget(name, done))
        return await asyncio.shield(asked)

    def close(self) -> None:
        """Look nothing more up; does not wait for what is under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forget(self, name: str, done: asyncio.Future[Sequence[str]]) -> None:
        del self._under_way[name]
        if not done.cancelled():
            done.exception()  # seen, also where nobody waits any more


def _look_up(name: str) -> Sequence[str]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
