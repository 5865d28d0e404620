"""Which of several operators acts: the one that holds a Lease, under a number greater than all before it, its epoch.

No two clocks are compared. Who waits counts, by its own clock, from when it saw the Lease change last; who holds it
counts from before it sent its last renewal, and is sure of itself for a shorter time than the others wait.

Redis is told the epoch with each publication, and refuses what a former leader has yet to write. The API server knows
no epochs: what goes there is sent while the leader is sure of itself, and else waits. Without the API server nobody can
take the Lease: the leader goes on publishing, and so mends a Redis that lost its tables.
"""

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, ParamSpec, Protocol

import structlog

from eventroute.crd.objects import ObjectKey
from eventroute.errors import EventRouteError, RetryLater
from eventroute.runtime.background import running
from eventroute_operator import metrics
from eventroute_operator.api import Conflict, Lease, NotThere

LEASE_S: Final = 12.0
"""How long the others wait for a renewal; with what comes after it, a failure is over within 20 s."""

SURE_S: Final = 8.0
"""For how long after a renewal its holder acts: a third less, for what is on its way to the API server by then."""

LOOK_S: Final = 2.0
"""Pause between two looks, or renewals: four may fail before the holder is no longer sure."""

_ANSWER_S: Final = 4.0
_NOBODY: Final = ""

Sent = ParamSpec("Sent")

_log = structlog.get_logger()


class Leases(Protocol):
    """Where Leases are kept; both raise `RetryLater` while it cannot be asked."""

    async def read_lease(self, key: ObjectKey) -> Lease | None:
        """Get a Lease; None = there is none."""
        ...

    async def write_lease(self, key: ObjectKey, lease: Lease) -> Lease:
        """Write it over the version that it names, or make it; raises `Conflict` or `NotThere`."""
        ...


class Lead(Protocol):
    """What the loop has to know of who leads."""

    epoch: int
    """The number that goes with what is written."""
    leads: asyncio.Event
    """This process is the one that acts."""

    def is_sure(self) -> bool:
        """Tell whether nobody else can act now."""
        ...

    def depose(self) -> None:
        """Take note that somebody else leads."""
        ...

    async def rise_above(self, epoch: int) -> None:
        """Take a number greater than this one; raises `RetryLater`."""
        ...


class Election:
    """One operator's part in it: it waits, leads, and once deposed it ends, for good."""

    def __init__(
        self, leases: Leases, key: ObjectKey, holder: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the Lease's name, and this operator's own: who comes back under it takes up at once what it held."""
        self.epoch = 0
        self.leads = asyncio.Event()
        self.deposed = asyncio.Event()
        """Somebody else leads: this process is to end."""
        self._leases = leases
        self._key = key
        self._holder = holder
        self._clock = clock
        self._lease: Lease | None = None  # as it was last seen
        self._seen_at = clock()
        self._renewed_at = -math.inf
        self._turn = asyncio.Lock()

    def is_sure(self) -> bool:
        """Tell whether nobody else can lead now, so that the API server may be written to."""
        return self.leads.is_set() and self._clock() - self._renewed_at < SURE_S

    def guarded(self, write: Callable[Sent, Awaitable[None]]) -> Callable[Sent, Awaitable[None]]:
        """Make a write raise `RetryLater`, and write nothing, while this process is not sure that it leads."""

        async def guarded(*args: Sent.args, **kwargs: Sent.kwargs) -> None:
            if not self.is_sure():
                raise RetryLater("the Lease could not be renewed in time: another operator may lead")
            await write(*args, **kwargs)

        return guarded

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        """Take part while the block runs; at its end the Lease is handed over."""
        try:
            async with running(self._run):
                yield
        finally:
            await self._release()

    def depose(self) -> None:
        """Take note that somebody else leads."""
        if not self.deposed.is_set():
            _log.warning("operator_deposed", epoch=self.epoch)
        self.leads.clear()
        self.deposed.set()
        metrics.LEADS.set(0)

    async def rise_above(self, epoch: int) -> None:
        """Take a number greater than one that a table has: the Lease was made anew, or the table was another's."""
        async with self._bounded():
            await self._write(self._holder, max(epoch, self.epoch) + 1)

    async def look(self) -> None:
        """Renew the Lease, or take it if it is free; raises `RetryLater`."""
        async with self._bounded():
            if self.deposed.is_set():
                return
            if self.leads.is_set():
                await self._renew()
            else:
                await self._stand()

    async def _run(self) -> None:
        is_told = False
        while not self.deposed.is_set():
            try:
                await self.look()
                is_told = False
            except EventRouteError as error:
                if not is_told:
                    _log.warning("lease_not_reached", error=str(error))
                is_told = True
            await asyncio.sleep(LOOK_S * random.uniform(0.8, 1.2))

    async def _stand(self) -> None:
        await self._see()
        lease = self._lease
        is_over = lease is not None and self._clock() - self._seen_at >= lease.lasts_s
        if lease is None or is_over or lease.holder in {_NOBODY, self._holder}:
            await self._write(self._holder, (lease.epoch if lease else 0) + 1)
            self.leads.set()
            metrics.LEADS.set(1)
            _log.info("operator_leads", epoch=self.epoch)

    async def _renew(self) -> None:
        try:
            await self._write(self._holder, self.epoch)
        except (Conflict, NotThere):  # another's write, or one of ours whose answer was lost; or it was deleted
            await self._see()
            if self._lease and (self._lease.holder, self._lease.epoch) != (self._holder, self.epoch):
                self.depose()

    async def _see(self) -> None:
        lease = await self._leases.read_lease(self._key)
        if lease is None or lease != self._lease:
            self._lease, self._seen_at = lease, self._clock()

    async def _write(self, holder: str, epoch: int) -> None:
        sent_at = self._clock()
        version = self._lease.version if self._lease else ""
        self._lease = await self._leases.write_lease(self._key, Lease(holder, epoch, LEASE_S, version))
        self.epoch, self._renewed_at = epoch, sent_at

    async def _release(self) -> None:
        """Let the next one lead at once, and not when the Lease ends by itself."""
        if not self.leads.is_set():
            return
        self.leads.clear()
        metrics.LEADS.set(0)
        try:
            async with self._bounded():
                await self._write(_NOBODY, self.epoch)
        except EventRouteError as error:
            _log.warning("lease_not_released", error=str(error))

    @contextlib.asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """Let one request at a time be under way, and wait for it no longer than a leader may."""
        try:
            async with self._turn, asyncio.timeout(_ANSWER_S):
                yield
        except TimeoutError as error:
            raise RetryLater("the API server does not answer") from error
