"""A queue that does what a test says, and notes what a worker does with it, and when."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, RoutePath
from eventroute.queue import Amount, Group, Lease, Renewed, Retention, Taken, Trouble, Work
from eventroute.runtime.stats import Tally
from eventroute.throttle import Size
from eventroute_worker import worker as worker_module
from eventroute_worker.attempt import Attempt, End, Handler
from eventroute_worker.worker import QueueWorker
from support.queue import GROUP
from support.runs import PATH
from support.worker import DONE

NOW_MS = 1_000_000


def lease_of(name: str, path: RoutePath = PATH, *, fence: int = 1, group: Group = GROUP, **changes: Any) -> Lease:
    """Make a lease of what has just become ready."""
    return Lease(DeliveryId(name), path, fence, group, **{"ready_ms": NOW_MS, **changes})


class FakeQueue:
    """Stands in for `Work`."""

    def __init__(self) -> None:
        self.done: list[tuple[float, str, Any]] = []
        self.waiting: list[Lease] = []
        """What the next looks bring, as far as a worker wants it."""
        self.sendings: list[int] = []
        """How many answers to send each look has asked for."""
        self.looks: list[Taken | Exception] = []
        """What the next looks bring instead, whatever a worker wants."""
        self.refusals: list[Exception] = []
        """What the next ends meet."""
        self.lost: list[DeliveryId] = []
        self.superseded: dict[DeliveryId, DeliveryId] = {}
        """What the next renewal finds lost."""
        self.away: Exception | None = None
        """What all calls meet."""
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens while a look is under way."""

    def _note(self, what: str, said: Any) -> None:
        self.done.append((round(asyncio.get_running_loop().time(), 3), what, said))

    def times(self, what: str) -> list[float]:
        """Tell when something was done."""
        return [at for at, name, _ in self.done if name == what]

    def said(self, what: str) -> list[Any]:
        """Tell with what something was done."""
        return [said for _, name, said in self.done if name == what]

    async def lease(
        self,
        group: Group,
        *,
        worker: str,
        lease_ms: int,
        wanted: int,
        sendings: int,
        busy: int,
        crowded: Iterable[RoutePath] = (),
    ) -> Taken:
        assert worker
        self.sendings.append(sendings)
        self._note("look", (group.number, lease_ms, wanted, busy, list(crowded)))
        await asyncio.sleep(0)  # as a call that is sent: who asks without an end is found out
        self.meanwhile()
        if self.away:
            raise self.away
        if self.looks:
            said = self.looks.pop(0)
            if isinstance(said, Exception):
                raise said
            return said
        fit = [each for each in self.waiting if each.group == group and each.path not in crowded]
        own = [each for each in fit if not each.sink][: max(wanted, 0)]
        own += [each for each in fit if each.sink][: max(sendings, 0)]
        self.waiting = [each for each in self.waiting if each not in own]
        return Taken(NOW_MS, None, drain=False, leases=own)

    async def renew(self, group: Group, leases: Iterable[Lease], *, lease_ms: int) -> Renewed:
        self._note("renew", (group.number, [each.delivery for each in leases], lease_ms))
        if self.away:
            raise self.away
        lost, self.lost = self.lost, []
        superseded, self.superseded = self.superseded, {}
        return Renewed(lost, superseded)

    async def put_back(self, lease: Lease, *, pause_ms: int, counts: bool, error: str = "") -> None:
        self._end("put_back", (lease.delivery, lease.fence, pause_ms, counts, error))

    async def park(self, lease: Lease, trouble: Trouble, *, has_asked: bool, need: Amount | None) -> None:
        self._end("park", (lease.delivery, trouble.cause, has_asked, need))

    async def wait(self, lease: Lease, bucket: str, size: Size, *, until_ms: int, error: str = "") -> None:
        self._end("wait", (lease.delivery, bucket, size, until_ms, error))

    async def settle(
        self, lease: Lease, *, outcome: str, reason: str, detail: str, retention: Retention, fields: Mapping[str, Any]
    ) -> None:
        self._end("settle", (lease.delivery, outcome, reason, detail, retention, dict(fields)))

    def _end(self, what: str, said: Any) -> None:
        self._note(what, said)
        if self.away:
            raise self.away
        if self.refusals:
            raise self.refusals.pop(0)


class FakeBell:
    """Stands in for a client that waits for tokens; notes from when to when somebody listens."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.tokens: asyncio.Queue[str] = asyncio.Queue()

    def client(self) -> "FakeBell":
        return self

    async def blpop(self, keys: Sequence[str], timeout: float) -> object:  # noqa: ASYNC109 - redis-py's
        now = asyncio.get_running_loop().time
        began = now()
        try:
            async with asyncio.timeout(timeout):
                return await self.tokens.get()
        except TimeoutError:
            return None
        finally:
            self.heard.append(f"{keys[0]} {began:g} to {now():g}")

    async def aclose(self) -> None:
        self.heard.append("closed")


class Handled:
    """Handles attempts as a test says: each takes so many seconds and ends so."""

    def __init__(self) -> None:
        self.begun: list[tuple[float, str, int]] = []
        self.takes: dict[str, float] = {}
        self.frees: dict[str, float] = {}
        """When an attempt frees its slot, before it ends."""
        self.ends: dict[str, End | Exception] = {}
        self.ignoring: set[str] = set()
        """Whose attempts ignore that they are cancelled."""

    async def __call__(self, attempt: Attempt) -> End:
        name = attempt.delivery
        self.begun.append((round(asyncio.get_running_loop().time(), 3), name, attempt.lease.fence))
        if name in self.frees:
            await asyncio.sleep(self.frees[name])
            attempt.free_slot()
        over = asyncio.get_running_loop().time() + self.takes.get(name, 0)
        while (left := over - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                if name not in self.ignoring:
                    raise
        end = self.ends.get(name, DONE)
        if isinstance(end, Exception):
            raise end
        return end


class Scene:
    """A worker in a loop whose time passes at once, and what waits for it at first."""

    def __init__(
        self, *, groups: Sequence[Group] = (GROUP,), takes: Mapping[str, float] | None = None, **options: Any
    ) -> None:
        self.queue, self.handler, self.tally = FakeQueue(), Handled(), Tally()
        self.let_wait(takes or {})
        self.bells = {group: FakeBell() for group in groups}
        self._options = {"slots": 5, "sendings": 0, "grace_s": 0, **options}

    def let_wait(self, takes: Mapping[str, float]) -> None:
        """Let deliveries wait for the worker's next look, each of which takes so many seconds."""
        self.queue.waiting = [lease_of(name) for name in takes]
        self.handler.takes = dict(takes)

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return round(asyncio.get_running_loop().time(), 3)

    @asynccontextmanager
    async def working(self, handler: Handler | None = None) -> AsyncIterator[QueueWorker]:
        """Let the worker work; leaving the block waits until it has stopped."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker_module, "time", SimpleNamespace(monotonic=asyncio.get_running_loop().time))
            worker = QueueWorker(
                Redis(),
                cast("Work", self.queue),
                handler or self.handler,
                tally=self.tally,
                waiting_at=cast("dict[Group, Redis]", self.bells),
                signals=False,
                **self._options,
            )
            task = asyncio.create_task(worker.async_run())
            await asyncio.sleep(0)
            yield worker
            worker.stop()
            await task
