"""The loop: an `arq.Worker` that is woken instead of polling, and takes no more than it can begin at once.

Kept of arq 0.28: its life cycle, its signals, its slots and its registry of functions. Its layout in Redis is not used:
the queue is `eventroute.queue`, whose calls take one round trip each and leave no failure without an answer.

This module knows nothing of routes, prompts or Claude: a `Handler` does the job and says how it ended.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from signal import Signals
from typing import Any, Final, assert_never, cast

import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import Group, Lease, LeaseLost, Work
from eventroute.runtime import background
from eventroute.runtime.scripts import RedisAway, RedisForbids
from eventroute.runtime.stats import Tally
from eventroute_worker import metrics
from eventroute_worker.attempt import Attempt, End, Handler, Later, Newer, Parked, Settled, Throttled, dead
from eventroute_worker.bell import Bell
from eventroute_worker.gate import Gate
from eventroute_worker.slots import Slots

LEASE_S: Final = 15.0
"""What a killed worker had runs elsewhere after so long; a loop may stand still for so long before others take over."""

_FUNCTION: Final = "run"  # the one function that arq's registry knows
_LOOK_S: Final = 1.0  # an idle worker looks at the queue at least so often: for leases that ran out and lost wake-ups
_REDIS_AWAY_S: Final = 1.0  # pause before a delivery is tried again that could not reach Redis; arbitrary
_FORBIDDEN_S: Final = 30.0  # the same where Redis refuses for good: somebody has to mend that first; arbitrary
_RECONNECT_S: Final = (0.1, 2.0)  # first and longest pause of a worker that cannot reach Redis
_REFUSED_S: Final = (1.0, 60.0)  # first and longest pause between tries to record an end that Redis refuses
_STALE_MS: Final = 200  # for a cancelled attempt to end, before the same delivery is taken again; arbitrary
_CANCELLED_S: Final = 5.0  # for cancelled attempts to give their leases back before the process leaves anyway

_log = structlog.get_logger()


async def _nobody_waits(_group: Group, _free: int) -> None:
    pass


class QueueWorker(Worker):
    """Runs a handler for every ready delivery until it is told to stop."""

    def __init__(  # noqa: PLR0913 - collaborators and limits, all but three by name
        self,
        redis: Redis,
        work: Work,
        handler: Handler,
        *,
        tally: Tally,
        slots: int,
        sendings: int = 20,
        serve_turn: Callable[[Group, int], Awaitable[None]] = _nobody_waits,
        begun: int | None = None,
        grace_s: float,
        lease_s: float = LEASE_S,
        waiting_at: Mapping[Group, Redis] | None = None,
        gate: Gate | None = None,
        signals: bool = True,
    ) -> None:
        """Take the collaborators; `async_run` does the work, and leaves `redis` open.

        redis    a client with a pool
        work     the calls to the queue
        tally    counts the ends
        slots    how many deliveries may wait for their handler to free their slot
        sendings  how many answers may be under way to sinks, beside them
        serve_turn  makes ready what waits in a group and whose turn it is, no more than so many
        begun    how many may be under way in all, those included, at least twice as many; None = just that
        grace_s  how long running attempts may take to finish after `stop`; the rest goes back into the queue
        waiting_at  a client for each group of the queue, to wait for work there; None = one group, at `redis`
        gate     whether anything may be taken; None = always
        signals  stop on SIGTERM and SIGINT; off when the worker is a guest in another program's loop
        """
        super().__init__(**_life_cycle(handler, redis, at_once=begun or slots, signals=signals))
        self.id = uuid.uuid4().hex
        """Names this process in the queue."""
        self.last_turn = self._renewed = time.monotonic()
        """When the loop last went round, on the monotonic clock: older than a few seconds, it hangs."""
        self._work = work
        self._tally = tally
        self._slots, self._sendings = Slots(slots), Slots(sendings)
        self._serve_turn = serve_turn
        self._grace_s = grace_s
        self._lease_s = lease_s
        self._waiting_at = waiting_at or {Group(0): redis}
        self._groups = list(self._waiting_at)
        self._gate = gate or Gate(is_open=True)
        self._gate.on_change = self._ring
        self._leases: dict[str, Lease] = {}
        self._newer: dict[tuple[DeliveryId, int], Newer] = {}
        """Of each attempt under way, by delivery and fence."""
        self._drains = False
        self._changed, self._rung = asyncio.Event(), asyncio.Event()
        self._stopping, self._hurry = asyncio.Event(), asyncio.Event()

    def stop(self) -> None:
        """Take nothing more and return once what runs has ended; a second call does not wait for that."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()
        self._ring()

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """Stop, as arq calls it on a signal."""
        _log.info("worker_stopping", signal=signum.name, running=len(self.tasks))
        self.stop()

    async def main(self) -> None:
        """Take deliveries until told to stop, then wait for those that run."""
        async with background.running(self._renew_leases):
            await self._take_deliveries()
            await self._drain()

    # --- taking deliveries ---

    async def _take_deliveries(self) -> None:
        pause_s = 0.0
        bells = [Bell(redis, group, ring=self._ring) for group, redis in self._waiting_at.items()]
        try:
            while not self._stopping.is_set():
                self.last_turn = time.monotonic()
                try:
                    await self._turn(bells)
                    if pause_s:
                        _log.info("redis_back")
                    pause_s = 0.0
                except (RedisAway, RedisForbids) as error:
                    if not pause_s:
                        _log.warning("redis_away", error=str(error))
                    pause_s = min(max(pause_s * 2, _RECONNECT_S[0]), _RECONNECT_S[1])
                    await self._first_of(asyncio.sleep(pause_s), self._stopping.wait())
        finally:
            for bell in bells:
                await bell.close()

    async def _turn(self, bells: Sequence[Bell]) -> None:
        """Fill the free slots, then wait until it is worth looking again."""
        self._changed.clear()
        self._rung.clear()
        free, sendings = self._free(), self._sendings.free
        if self._runs_alone() or (free <= 0 and sendings <= 0) or not self._gate.is_open:
            for bell in bells:
                bell.hush()
            await _wait(self._changed, _LOOK_S)
            return
        if free <= 0:  # what rings is mostly not for us; what this worker has to send, it knows
            for bell in bells:
                bell.hush()
            await _wait(self._changed, _LOOK_S)
            free, sendings = max(self._free(), 0), self._sendings.free
        if self._leases and time.monotonic() - self._renewed > self._lease_s / 2:
            await self._renew()  # Redis was away: before a look finds that our own leases have run out
        wait_s = await self._take(free, sendings)
        if wait_s and free and not self._stopping.is_set():
            await self._idle(bells, wait_s)

    def _free(self) -> int:
        """Count the deliveries that may be taken.

        Ends are recorded outside the slots, but not without bound: a slow Redis gets no more deliveries from us.
        """
        sent = self._sendings.count - self._sendings.free
        in_hand = max(self.max_jobs, 2 * self._slots.count)
        return min(self._slots.free, in_hand - len(self.tasks) + sent)

    async def _take(self, free: int, sendings: int) -> float:
        """Lease deliveries for the free slots, and answers to send.

        returns  how long it is of no use to look again, in seconds
        """
        wait_s, has_more, self._drains = _LOOK_S, False, False
        self._groups.append(self._groups.pop(0))  # whoever is asked first gets the free slots
        for group in self._groups:
            now = time.monotonic()
            shares, of_sinks = self._slots.shares(now), self._sendings.shares(now)
            wanted, to_send = min(free, shares.most), min(sendings, of_sinks.most)
            taken = await self._work.lease(
                group,
                worker=self.id,
                lease_ms=int(self._lease_s * 1000),
                wanted=wanted,
                sendings=to_send,
                busy=len(self.tasks),
                crowded=[*shares.crowded, *of_sinks.crowded],
            )
            self._drains = self._drains or taken.drain
            for lease in taken.leases:
                metrics.PICKUP.observe(max(taken.now_ms - lease.ready_ms, 0) / 1000)
                await self._start(lease)
            if taken.has_turn and free and not self._stopping.is_set():
                await self._serve_turn(group, free)
                has_more = True
            sent = sum(bool(lease.sink) for lease in taken.leases)
            free, sendings = free - len(taken.leases) + sent, sendings - sent
            if (free <= 0 and sendings <= 0) or self._runs_alone():
                return 0
            has_more = has_more or len(taken.leases) - sent == wanted > 0 or sent == to_send > 0
            if taken.next_ms is not None:
                wait_s = min(wait_s, (taken.next_ms - taken.now_ms) / 1000)
        return 0 if has_more else max(wait_s, 0.001)

    async def _idle(self, bells: Sequence[Bell], wait_s: float) -> None:
        """Wait until something is ready, be it from the receiver or put back by a worker, or may be due."""
        for bell in bells:
            if self._drains:
                bell.hush()
            else:
                bell.listen()
        # That something has ended changes what can be taken only where somebody waits for just that.
        now = time.monotonic()
        is_crowded = bool(self._slots.shares(now).crowded or self._sendings.shares(now).crowded)
        sends_all_it_may = self._sendings.count > 0 >= self._sendings.free
        waits_for_end = self._drains or is_crowded or sends_all_it_may
        await _wait(self._changed if waits_for_end else self._rung, wait_s)

    def _ring(self) -> None:
        self._rung.set()
        self._changed.set()

    async def _first_of(self, *waiting: Awaitable[Any]) -> None:
        """Wait until one of these is over, and end the others; raises what the first one raised."""
        tasks = [asyncio.ensure_future(each) for each in waiting]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled():
                task.result()

    def _runs_alone(self) -> bool:
        return any(lease.alone for lease in self._leases.values())

    # --- running one delivery ---

    async def _start(self, lease: Lease) -> None:
        name = lease.delivery
        is_stale = name in self.tasks  # the old lease is lost, and its attempt has not noticed yet
        if is_stale and (task := self.job_tasks.get(name)):
            task.cancel()
        if is_stale or self._stopping.is_set():
            with contextlib.suppress(RedisAway, RedisForbids, LeaseLost):
                await self._work.put_back(lease, pause_ms=_STALE_MS if is_stale else 0, counts=False)
            return
        self._leases[name] = lease
        (self._sendings if lease.sink else self._slots).take(name, lease.path, time.monotonic())
        self.tasks[name] = self.job_tasks[name] = task = self.loop.create_task(self._run(lease))
        metrics.IN_FLIGHT.inc()
        task.add_done_callback(lambda _: self._ended(name))

    def _ended(self, name: str) -> None:
        del self.tasks[name], self._leases[name]
        self.job_tasks.pop(name, None)
        metrics.IN_FLIGHT.dec()
        self._free_slot(name)

    def _free_slot(self, name: str) -> None:
        self._slots.give_back(name)
        self._sendings.give_back(name)
        self._changed.set()

    async def _run(self, lease: Lease) -> None:
        """Run a leased delivery and make its end last; nothing escapes, and no end goes unrecorded."""
        name = lease.delivery
        newer = self._newer[name, lease.fence] = Newer()
        try:
            attempt = Attempt(lease, lambda: self._free_slot(name), newer, self._changed.set)
            end = await self.functions[_FUNCTION].coroutine(self.ctx, attempt)
        except asyncio.CancelledError:
            end = Later(delay_s=0, counts=False)
        except LeaseLost:
            self._note_lost(lease)
            return
        except RedisAway as error:
            _log.warning("attempt_without_redis", delivery=name, error=str(error))
            end = Later(delay_s=_REDIS_AWAY_S, counts=False, detail=f"Redis: {error}")
        except RedisForbids as error:
            _log.error("attempt_refused_by_redis", delivery=name, error=str(error))
            end = Later(delay_s=_FORBIDDEN_S, counts=False, detail=f"Redis: {error}")
        except Exception as error:  # noqa: BLE001 - the one place where an unforeseen error becomes a dead letter
            _log.exception("attempt_failed", delivery=name)
            end = dead(DeadReason.INTERNAL, type(error).__name__)
        finally:
            del self._newer[name, lease.fence]
        self.job_tasks.pop(name, None)  # from here on it must not be cancelled, and its slot is free
        self._free_slot(name)
        await asyncio.sleep(0)  # the next delivery is leased before this one's end is written
        await self._record(lease, end)

    def _note_lost(self, lease: Lease) -> None:
        metrics.LEASES_LOST.inc()
        _log.warning("lease_lost", delivery=lease.delivery)

    async def _record(self, lease: Lease, end: End) -> None:
        """Write the end, trying until it stands, the lease is lost, or this worker leaves.

        A Redis that refuses keeps the delivery with us: to let it run again would only repeat what cannot be recorded.
        """
        give_up = time.monotonic() + self._lease_s
        pause_s = _REFUSED_S[0]
        while True:
            try:
                await self._write(lease, end)
            except LeaseLost:
                self._note_lost(lease)
            except RedisAway as error:
                if time.monotonic() < give_up:
                    await asyncio.sleep(_RECONNECT_S[0])
                    continue
                # The lease has run out, and whoever takes the delivery next goes on from what was saved.
                _log.error("end_not_recorded", delivery=lease.delivery, error=str(error))
            except RedisForbids as error:
                metrics.ENDS_REFUSED.inc()
                _log.error("end_refused_by_redis", delivery=lease.delivery, error=str(error), again_in_s=pause_s)
                await self._first_of(asyncio.sleep(pause_s), self._stopping.wait())
                if not self._stopping.is_set():
                    pause_s = min(pause_s * 2, _REFUSED_S[1])
                    continue
            return

    async def _write(self, lease: Lease, end: End) -> None:
        match end:
            case Later():
                await self._work.put_back(lease, pause_ms=int(end.delay_s * 1000), counts=end.counts, error=end.detail)
            case Parked():
                await self._work.park(lease, end.trouble, has_asked=end.has_asked, need=end.need)
            case Throttled():
                await self._work.wait(lease, end.bucket, end.size, until_ms=end.until_ms, error=end.detail)
            case Settled():
                await self._settle(lease, end)
            case _:
                assert_never(end)

    async def _settle(self, lease: Lease, end: Settled) -> None:
        await self._work.settle(
            lease,
            outcome=end.outcome,
            reason=end.reason,
            detail=end.detail,
            retention=end.retention,
            fields=end.fields,
        )
        if not lease.sink:
            metrics.RUNS.labels(end.outcome, end.reason).inc()
        if end.route and isinstance(end.outcome, RunOutcome):
            self._tally.add_run(end.route, end.outcome, lease.delivery, trace_id=end.trace_id)
        if end.outcome is RunOutcome.DEAD:
            _log.warning("dead_letter", delivery=lease.delivery, reason=end.reason, detail=end.detail)

    # --- keeping and giving up deliveries ---

    async def _renew_leases(self) -> None:
        """Renew all leases three times in the life of each."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            try:
                await self._renew()
            except (RedisAway, RedisForbids) as error:
                _log.warning("leases_not_renewed", running=len(self._leases), error=str(error))

    async def _renew(self) -> None:
        """Renew all leases, in one round trip per group; give up what others took."""
        for group in {lease.group for lease in self._leases.values()}:
            own = [lease for lease in self._leases.values() if lease.group == group]
            found = await self._work.renew(group, own, lease_ms=int(self._lease_s * 1000))
            fences = {lease.delivery: lease.fence for lease in own}
            self._give_up({name: fences[name] for name in found.lost})
            for name, by in found.superseded.items():
                if newer := self._newer.get((name, fences[name])):
                    newer.tell(by)
        self._renewed = time.monotonic()

    def _give_up(self, lost: dict[DeliveryId, int]) -> None:
        for name, fence in lost.items():
            lease, task = self._leases.get(name), self.job_tasks.get(name)
            if task is not None and lease is not None and lease.fence == fence:
                task.cancel()  # what it then says of its end is refused, and counted

    async def _drain(self) -> None:
        """Let running attempts finish within the grace period, then hand back the rest."""
        if self.tasks:
            hurry: asyncio.Future[Any] = asyncio.create_task(self._hurry.wait())
            finished = asyncio.gather(*self.tasks.values(), return_exceptions=True)
            await asyncio.wait({finished, hurry}, timeout=self._grace_s, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
        give_up = time.monotonic() + _CANCELLED_S
        while self.tasks and time.monotonic() < give_up:
            for task in self.job_tasks.values():
                task.cancel()
            await asyncio.wait(self.tasks.values(), timeout=0.1)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    """Wait for an event, or until it is time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


def _life_cycle(handler: Handler, redis: Redis, *, at_once: int, signals: bool) -> dict[str, Any]:
    """Say what `arq.Worker` is to do, which is little: to start, to stop, and to know one function."""

    async def run(_: dict[str, Any], attempt: Attempt) -> End:
        return await handler(attempt)

    logging.getLogger("arq.worker").setLevel(logging.WARNING)  # it logs each job twice, with its arguments
    return {
        "functions": [func(cast("Any", run), name=_FUNCTION)],  # arq's type is of jobs from its own queue
        "queue_name": Group(0).prefix,
        "redis_pool": ArqRedis(redis.connection_pool),
        "max_jobs": at_once,
        "job_completion_wait": 1,  # selects arq's graceful signal handler, which is overridden here
        "handle_signals": signals,
        "keep_result": 0,
    }
