"""A provider with many events to tell: it repeats each signed request, unchanged, until somebody answers 2xx."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import httpx

from eventroute.ids import DeliveryId
from eventroute.schemes import Request
from support.receiving import pull_request, signed
from support.waiting import until

SIZE: Final = 300
_AT_ONCE: Final = 8
_PAUSE_S: Final = 0.05  # providers wait for minutes; a burst that is to be over in seconds does not
_TIMEOUT_S: Final = 5.0
_BURST_S: Final = 40.0  # a bound; undisturbed it takes two seconds

NO_ANSWER: Final = 0
"""Stands for a refused, cut or silent connection where a status would stand."""


def marker(number: int) -> str:
    """Name an event of the burst, in its body and so in the prompt."""
    return f"burst-{number:04d}."


class Burst:
    """The events, what they were answered, and the deliveries that were acknowledged."""

    def __init__(self, urls: Sequence[str], *, size: int = SIZE, pause_s: float = 0) -> None:
        """Take the receivers' hooks; a load balancer would spread requests over them as is done here.

        pause_s  between two events of one sender, for a burst that is to outlast a long disturbance
        """
        self.size = size
        self.acknowledged: dict[str, DeliveryId] = {}
        """Marker → the delivery id that came with the 2xx."""
        self.answers: Counter[int] = Counter()
        """How often each status was answered."""
        self._urls = itertools.cycle([f"{url}/team-a/triage" for url in urls])
        self._pause_s = pause_s
        self._held_back = size // 4
        self._is_over = asyncio.Event()

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send while the block disturbs; leaving it waits until the last event is acknowledged.

        The last quarter is sent after the block, so that whatever it does is done in the middle of the burst.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send())
            yield
            self._is_over.set()

    async def until_acknowledged(self, count: int) -> None:
        """Wait until so many events are acknowledged."""
        await until(lambda: len(self.acknowledged) >= count, timeout_s=_BURST_S)

    async def _send(self) -> None:
        numbers = iter(range(self.size))
        # A connection for each request, as from many senders: one that is kept open would stick to a receiver.
        limits = httpx.Limits(max_keepalive_connections=0)
        async with (
            asyncio.timeout(_BURST_S),
            httpx.AsyncClient(limits=limits, timeout=_TIMEOUT_S) as client,
            asyncio.TaskGroup() as senders,
        ):
            for _ in range(_AT_ONCE):
                senders.create_task(self._send_some(client, numbers))

    async def _send_some(self, client: httpx.AsyncClient, numbers: Iterator[int]) -> None:
        for number in numbers:
            if number >= self.size - self._held_back:
                await self._is_over.wait()
            name = marker(number)
            payload = {**pull_request(number), "marker": name}
            request = signed("github", payload, event="pull_request", delivery=f"gh-{number}")
            while name not in self.acknowledged:
                await self._try(client, name, request)
            await asyncio.sleep(self._pause_s)

    async def _try(self, client: httpx.AsyncClient, name: str, request: Request) -> None:
        try:
            answer = await client.post(next(self._urls), headers=request.headers, content=request.body)
        except httpx.TransportError:
            self.answers[NO_ANSWER] += 1
            await asyncio.sleep(_PAUSE_S)
            return
        self.answers[answer.status_code] += 1
        if answer.is_success:
            self.acknowledged[name] = DeliveryId(answer.json()["delivery"])
        else:
            await asyncio.sleep(_PAUSE_S)
