"""The queue: an `arq.Worker` that is woken instead of polling, holds short leases, and never loses a job in silence.

Kept of arq 0.28: its Redis layout and job format, its registry of functions, its slots and its life cycle. Replaced, by
one Lua script per step, are the steps that stock arq does with four to six round trips per job and without an answer to
a failure: pick-up (`lease`), renewal (`renew`), putting back (`release`) and the end (`settle`). All times come from
Redis' clock, and each script changes nothing once the worker has lost the job's lease. The scripts work in a full Redis
too: working off the queue is what makes room.

This module knows nothing of routes, prompts or Claude: a `Handler` does the job and says how it ended.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Iterator, Mapping
from signal import Signals
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from eventroute import keys
from eventroute.delivery import JOB_FUNCTION, Job
from eventroute.ids import DeliveryId
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.runtime.redis import CONNECTION_ERRORS
from eventroute.runtime.stats import Tally
from eventroute_worker import metrics, scripts
from eventroute_worker.attempt import Attempt, End, Handler, Later, Settled, dead
from eventroute_worker.retention import retention

LEASE_S: Final = 15.0
"""A killed worker's jobs run elsewhere after so long; a loop may stand still for so long before others take over."""

_LOOK_S: Final = 1.0  # an idle worker looks at the queue at least so often: for leases that ran out and lost wake-ups
_SCAN_MEMBERS: Final = 10_000  # busy jobs that one look pages past: 500 workers of 20 slots; about 3 ms of Redis' time
_REDIS_AWAY: Final = (*CONNECTION_ERRORS, OutOfMemoryError)
_REDIS_AWAY_S: Final = 1.0  # pause after which a job is due again that could not reach Redis; arbitrary
_RECONNECT_S: Final = (0.1, 2.0)  # first and longest pause of a worker that cannot reach Redis
_CANCELLED_S: Final = 5.0  # for cancelled jobs to give their leases back before the process leaves anyway

_PREFIXES: Final = tuple(key(DeliveryId("")) for key in (keys.lease, keys.job, keys.tries))
_JOB: Final = msgspec.json.Decoder(Job)
_log = structlog.get_logger()


class _Leased(NamedTuple):
    """A job that is ours until its lease runs out."""

    delivery: DeliveryId
    tries: int
    """-1 when what is stored is not a number."""
    job: bytes | None


class QueueWorker(Worker):
    """Runs a handler for every due job, `slots` at a time, until it is told to stop."""

    def __init__(
        self,
        redis: Redis,
        handler: Handler,
        *,
        tally: Tally,
        slots: int,
        grace_s: float,
        lease_s: float = LEASE_S,
        signals: bool = True,
    ) -> None:
        """Take the collaborators; `async_run` does the work, and leaves `redis` open.

        redis    client of the installation's database; its pool must have room for `slots` and two more connections
        tally    counts the ends
        grace_s  how long running jobs may take to finish after `stop`; the rest goes back into the queue
        signals  stop on SIGTERM and SIGINT; off when the worker is a guest in another program's loop
        """

        async def run(ctx: dict[str, Any], delivery: DeliveryId, traceparent: str) -> End:
            return await handler(Attempt(delivery, traceparent, ctx["job_try"]))

        super().__init__(
            functions=[func(run, name=JOB_FUNCTION)],
            queue_name=keys.QUEUE,
            redis_pool=ArqRedis(redis.connection_pool),
            max_jobs=slots,
            job_completion_wait=1,  # selects arq's graceful signal handler, which is overridden here
            handle_signals=signals,
            keep_result=0,
        )
        logging.getLogger("arq.worker").setLevel(logging.WARNING)  # it logs each job twice, with its arguments
        self.id = uuid.uuid4().hex
        """Names this process on its leases."""
        self.last_turn = time.monotonic()
        """When the loop last went round, on the monotonic clock: older than a few seconds, it hangs."""
        self._redis = redis
        self._tally = tally
        self._grace_s = grace_s
        self._lease_s = lease_s
        self._waiting = redis.client()  # a connection of its own: a blocking read must not hold up other commands
        self._lease = scripts.load(self._waiting, "lease")
        self._renew, self._release, self._settle = (scripts.load(redis, n) for n in ("renew", "release", "settle"))
        self._ends = scripts.Batch(redis)
        self._slot_freed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()

    def stop(self) -> None:
        """Pick no more jobs and return once the running ones have ended; a second call does not wait for them."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()
        self._slot_freed.set()

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """Stop, as arq calls it on a signal."""
        _log.info("worker_stopping", signal=signum.name, running=len(self.tasks))
        self.stop()

    async def main(self) -> None:
        """Pick jobs until told to stop, then wait for the running ones."""
        renewing = asyncio.create_task(self._renew_leases())
        try:
            await self._pick_jobs()
            await self._drain()
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])
            await self._waiting.aclose()

    # --- picking jobs ---

    async def _pick_jobs(self) -> None:
        pause_s = 0.0
        while not self._stopping.is_set():
            self.last_turn = time.monotonic()
            try:
                await self._turn()
                if pause_s:
                    _log.info("redis_back")
                pause_s = 0.0
            except (RedisError, *CONNECTION_ERRORS) as error:
                if not pause_s:
                    _log.warning("redis_away", error=str(error))
                pause_s = min(max(pause_s * 2, _RECONNECT_S[0]), _RECONNECT_S[1])
                await self._unless_stopped(asyncio.sleep(pause_s))

    async def _turn(self) -> None:
        """Fill the free slots, then wait until it is worth looking again."""
        # Ends are recorded outside the slots, but not without bound: a slow Redis gets no more jobs from us.
        free = min(self.max_jobs - len(self.job_tasks), 2 * self.max_jobs - len(self.tasks))
        if free == 0:
            self._slot_freed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._slot_freed.wait()
            return
        now, deferred, *jobs = await self._lease(
            [keys.QUEUE, keys.WAKE],
            [*_PREFIXES, self.id, int(self._lease_s * 1000), free, _SCAN_MEMBERS, *self.tasks],
        )
        for name, due, tries, job in jobs:
            metrics.PICKUP.observe((int(now) - float(due)) / 1000)
            if name.isascii():
                self._start(_Leased(DeliveryId(name.decode()), tries, job))
            else:
                _log.error("queue_member_removed", member=repr(name))  # no delivery id: nothing stands behind it
                await self._redis.zrem(keys.QUEUE, name)
        if len(jobs) < free and not self._stopping.is_set():
            # A job due now wakes us, be it from the receiver or put back by a worker; one due later is waited for.
            wait_s = min(_LOOK_S, (float(deferred) - int(now)) / 1000) if deferred else _LOOK_S
            await self._unless_stopped(self._waiting.blpop([keys.WAKE], timeout=max(wait_s, 0.001)))

    async def _unless_stopped(self, waiting: Awaitable[Any]) -> None:
        """Wait, but not longer than until `stop`."""
        task = asyncio.ensure_future(waiting)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            task.cancel()
        while not task.done():  # before Python 3.12 `wait_for`, of which redis-py is made, may swallow a cancellation
            await asyncio.wait({task}, timeout=0.01)
            task.cancel()
        if not task.cancelled():
            task.result()

    # --- running one job ---

    def _start(self, leased: _Leased) -> None:
        name = leased.delivery
        self.tasks[name] = self.job_tasks[name] = task = self.loop.create_task(self._run(leased))
        metrics.IN_FLIGHT.inc()
        task.add_done_callback(lambda _: self._free_slot(name))

    def _free_slot(self, name: str) -> None:
        del self.tasks[name]
        self.job_tasks.pop(name, None)
        metrics.IN_FLIGHT.dec()
        self._slot_freed.set()

    async def _run(self, leased: _Leased) -> None:
        """Run a leased job and make its end last; nothing escapes, and no end goes unrecorded while Redis answers."""
        try:
            end = await self._attempt(leased)
        except asyncio.CancelledError:
            end = Later(delay_s=0, counts=False)
        except _REDIS_AWAY as error:
            _log.warning("attempt_without_redis", delivery=leased.delivery, error=str(error))
            end = Later(delay_s=_REDIS_AWAY_S, counts=False)
        except Exception as error:  # noqa: BLE001 - the one place where an unforeseen error becomes a dead letter
            _log.exception("attempt_failed", delivery=leased.delivery)
            end = dead(DeadReason.INTERNAL, type(error).__name__)
        del self.job_tasks[leased.delivery]  # from here on it must not be cancelled, and its slot is free
        self._slot_freed.set()
        await asyncio.sleep(0)  # the next job is leased before this one's end is written
        try:
            await self._record(leased, end)
        except (RedisError, *CONNECTION_ERRORS) as error:
            # The lease runs out, and whoever takes the job next goes on from what was saved.
            _log.error("end_not_recorded", delivery=leased.delivery, error=str(error))

    async def _attempt(self, leased: _Leased) -> End:
        """Check what stock arq would drop in silence, then call the handler."""
        if leased.job is None:
            return dead(DeadReason.DECODE, "the job is missing")
        if leased.tries < 0:
            return dead(DeadReason.DECODE, "the count of tries is not a number")
        try:
            job = _JOB.decode(leased.job)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return dead(DeadReason.DECODE, f"the job is unreadable: {error}")
        function = self.functions.get(job.f)
        if function is None:
            return dead(DeadReason.DECODE, "the job names an unknown function")
        end: End = await function.coroutine({"job_try": leased.tries}, leased.delivery, job.a[1])
        return end

    async def _record(self, leased: _Leased, end: End) -> None:
        """Write the end, trying for as long as a lease lasts."""
        give_up = time.monotonic() + self._lease_s
        while True:
            try:
                kept = await (self._put_back(leased, end) if isinstance(end, Later) else self._finish(leased, end))
            except _REDIS_AWAY:
                if time.monotonic() > give_up:
                    raise
                await asyncio.sleep(_RECONNECT_S[0])
                continue
            if not kept:
                _log.warning("lease_lost", delivery=leased.delivery)
            return

    async def _put_back(self, leased: _Leased, end: Later) -> bool:
        name = leased.delivery
        released = await self._ends.call(
            self._release,
            [keys.QUEUE, keys.WAKE, keys.lease(name), keys.tries(name)],
            [name, self.id, int(end.delay_s * 1000), int(end.counts), keys.WAKE_TOKENS],
        )
        return bool(released)

    async def _finish(self, leased: _Leased, end: Settled) -> bool:
        name, kept_for = leased.delivery, retention(end.outcome)
        is_dead = end.outcome is RunOutcome.DEAD
        record = {"outcome": end.outcome, "reason": end.reason or "", "detail": end.detail, "attempts": leased.tries}
        settled = await self._ends.call(
            self._settle,
            [
                *(keys.QUEUE, keys.job(name), keys.lease(name), keys.tries(name)),
                *(keys.delivery(name), keys.run(name), keys.DEAD),
            ],
            [name, self.id, kept_for.delivery_ms, kept_for.run_ms, int(is_dead), *_flat({**record, **end.fields})],
        )
        if settled:
            metrics.RUNS.labels(end.outcome, end.reason or "").inc()
            if end.route:
                self._tally.add_run(end.route, end.outcome, name, trace_id=end.trace_id)
            if is_dead:
                _log.warning("dead_letter", delivery=name, reason=end.reason, detail=end.detail)
        return bool(settled)

    # --- keeping and giving up jobs ---

    async def _renew_leases(self) -> None:
        """Renew all leases in one round trip, three times in the life of each; give up the jobs that others took."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            if not self.tasks:
                continue
            try:
                lost = await self._renew([keys.QUEUE], [_PREFIXES[0], self.id, int(self._lease_s * 1000), *self.tasks])
            except (RedisError, *CONNECTION_ERRORS) as error:
                _log.warning("leases_not_renewed", running=len(self.tasks), error=str(error))
                continue
            for name in lost:
                if task := self.job_tasks.get(name.decode()):
                    metrics.LEASES_LOST.inc()
                    task.cancel()

    async def _drain(self) -> None:
        """Let running jobs finish within the grace period, then hand back the rest."""
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


def _flat(record: Mapping[str, str | bytes | int]) -> Iterator[str | bytes | int]:
    for name, value in record.items():
        yield name
        yield value
