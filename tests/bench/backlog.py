"""Many deliveries of EventRoute: through its own intake and into its queue without HTTP, and through its own runs.

What a section measures is what stands in Redis, and what Redis spends; the way there is the product's code, in this
process, so that thousands are there within seconds.
"""

import asyncio
import functools
import itertools
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from bench.deliveries import render
from bench.peers import eventroute
from bench.processes import PartFailedError
from eventroute.expression import Budget
from eventroute.ids import Claim, DeliveryId, RoutePath
from eventroute.models import Models
from eventroute.outcome import RunOutcome
from eventroute.prompt import Plan
from eventroute.prompt import prepare as prepare_plan
from eventroute.queue import Admissions, Admitted, Candidate, Lease, Ledger, Limits, New, Retention, Upkeep, Work
from eventroute.route_table import ModelCall
from eventroute.runtime import background
from eventroute.runtime.link import LinkCaller, LinkedRedis, RedisLink
from eventroute.runtime.scripts import ClientCaller
from eventroute.runtime.stats import Tally
from eventroute.schemes import Request
from eventroute.secret import Secret
from eventroute.throttle import Throttle
from eventroute_receiver.intake import Genuine, judge
from eventroute_receiver.routes import Hook, prepare
from eventroute_worker.answer import Answer, Reply, Usage
from eventroute_worker.attempt import DEFAULT_RETENTION, Attempt, Settled
from eventroute_worker.finding import Finder
from eventroute_worker.history import History
from eventroute_worker.pricing import Prices
from eventroute_worker.run import Runner
from eventroute_worker.sinks import LocalSinks
from eventroute_worker.spending import Spending
from eventroute_worker.tools import Calling
from eventroute_worker.troubles import Troubles
from eventroute_worker.turns import Turns
from support.runs import Walled

TRACEPARENT: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
SAMPLED: Final = TRACEPARENT[:-1] + "1"

_BATCH: Final = 100  # deliveries per call of the admission script
_LEASED: Final = 100  # per call of the lease script
_CONNECT_S: Final = 5.0
_READY_S: Final = 30.0
_ANSWER: Final = "The storefront tries a payment again when the card's issuer does not answer. " * 10


class Backlog:
    """The queue of one Valkey, to be filled and worked off."""

    def __init__(self, link: RedisLink) -> None:
        self.redis: Redis = LinkedRedis(link)
        self.work = Work(ClientCaller(self.redis))
        self.upkeep = Upkeep(self.redis, ClientCaller(self.redis))
        self._admissions = Admissions(LinkCaller(link), limits=Limits(10_000_000, 0))
        self._numbers = itertools.count()

    async def fill(
        self,
        count: int,
        *,
        path: RoutePath = eventroute.ROUTE,
        claimed_s: int | None = None,
        traceparent: str = TRACEPARENT,
    ) -> list[DeliveryId]:
        """Queue so many new deliveries; `claimed_s` is the lifetime of claims, if not the provider's own."""
        queued: list[DeliveryId] = []
        while len(queued) < count:
            numbers = itertools.islice(self._numbers, min(_BATCH, count - len(queued)))
            taken = [one for number in numbers for one in intake(number, path)]
            if claimed_s is not None:
                taken = [
                    msgspec.structs.replace(one, claims=[Claim(each.id, claimed_s) for each in one.claims])
                    for one in taken
                ]
            said = await self._admissions.admit(path, taken, rate=None, traceparent=traceparent)
            if not isinstance(said, Admitted):
                raise PartFailedError(f"a delivery was not admitted: {said}")
            queued += [fate.delivery for fate in said.fates if isinstance(fate, New)]
        return queued

    async def lease(self, count: int, *, lease_ms: int = 600_000) -> list[Lease]:
        """Lease as many as there are, at most `count`, as one worker."""
        leases: list[Lease] = []
        while len(leases) < count:
            wanted = min(_LEASED, count - len(leases))
            taken = await self.work.lease(eventroute.GROUP, worker="bench", lease_ms=lease_ms, wanted=wanted, busy=0)
            leases += taken.leases
            if len(taken.leases) < wanted:
                break
        return leases

    async def finish(
        self, count: int, *, path: RoutePath = eventroute.ROUTE, kept: Retention = DEFAULT_RETENTION
    ) -> int:
        """Run as many as there are, at most `count`, to their ends; returns how many."""
        models = Models.load()
        runner = Runner(
            work=self.work,
            finder=Finder(Table(path), self.upkeep),
            claude=_Claude(),
            calling=Calling(Walled()),
            history=History(self.redis, self.work),
            sinks=LocalSinks(self.work),
            troubles=Troubles(),
            turns=Turns(self.work, Throttle(ClientCaller(self.redis)), groups=[eventroute.GROUP]),
            models=models,
            spending=Spending(Ledger(ClientCaller(self.redis)), Prices(models)),
            tally=Tally(),
            retention=kept,
        )
        leases = await self.lease(count)
        for lease in leases:
            end = await runner(Attempt(lease))
            if not isinstance(end, Settled) or end.outcome is not RunOutcome.SUCCEEDED:
                raise PartFailedError(f"a run ended otherwise: {end}")
            await self.work.settle(
                lease, outcome=end.outcome, reason="", detail=end.detail, retention=end.retention, fields=end.fields
            )
        return len(leases)

    async def until_waited_for(self, clients: int) -> None:
        """Wait until so many workers wait for something to do."""
        give_up = time.monotonic() + _READY_S
        while int((await self.redis.info("clients"))["blocked_clients"]) < clients:
            if time.monotonic() > give_up:
                raise PartFailedError("a worker did not start")
            await asyncio.sleep(0.05)

    async def used_bytes(self) -> int:
        """Ask Redis how much memory it uses."""
        return (await self.upkeep.memory(eventroute.GROUP))[0]

    async def spent_us(self, command: str) -> tuple[int, float]:
        """Ask Redis how often it has carried out a command, and how many microseconds all of that took."""
        found = (await self.redis.info("commandstats")).get(f"cmdstat_{command}", {"calls": 0, "usec": 0})
        return int(found["calls"]), float(found["usec"])


@asynccontextmanager
async def backlog(redis_url: str) -> AsyncIterator[Backlog]:
    """Connect to a Valkey."""
    link = RedisLink(redis_url)
    async with background.running(link.run):
        await link.until_up(_CONNECT_S)
        yield Backlog(link)


def intake(number: int, path: RoutePath = eventroute.ROUTE) -> Sequence[Candidate]:
    """Make of a delivery what the receiver makes of it."""
    head, _, body = render(number).request.partition(b"\r\n\r\n")
    headers = [(name, value) for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n")[1:])]
    hook = _hook(path)
    request = Request(method="POST", url=None, headers=headers, body=body)
    judged = judge(hook, request, time.time(), Budget())
    assert isinstance(judged, Genuine)
    return judged.kept


@functools.cache
def _hook(path: RoutePath) -> Hook:
    return prepare(eventroute.receiver_route(path))


class Table:
    """A worker's table, of one route."""

    version: int | None = 1

    def __init__(self, path: RoutePath = eventroute.ROUTE) -> None:
        self._plans = {path: prepare_plan(eventroute.worker_route(path))}

    def get(self, path: RoutePath) -> Plan | None:
        return self._plans.get(path)

    def all(self) -> Collection[Plan]:
        return self._plans.values()

    def is_broken(self, _path: RoutePath) -> bool:
        return False

    def deleted_since(self, _path: RoutePath) -> int | None:
        return None

    async def refresh(self) -> None:
        """Nothing changes."""


class _Claude:
    def key_id(self, _api_key: Secret | None) -> str:
        return "bench"

    async def ask(self, call: ModelCall, *_: Any, **__: Any) -> Reply:
        return Answer(
            outcome=RunOutcome.SUCCEEDED,
            text=_ANSWER,
            model=call.name,
            stop_reason="end_turn",
            message_id="msg_01XFDUDYJgAACzvnptvVoYEL",
            request_id="req_011CSHoEeqs5C35K2UUqR7Fy",
            usage=Usage(input=1_200, output=180),
            cost_usd=Decimal("0.002100"),
            answered_ms=time.time_ns() // 1_000_000,
        )
