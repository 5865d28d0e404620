"""EventRoute, working end: the product's own queue worker, with a handler that sleeps or does nothing.

Started as `python -m bench.peers.eventroute_worker JOB SLOTS`.
"""

import asyncio
import os
import sys

import uvloop

from bench.peers.stamps import ENDED, STARTED, Stamps
from bench.site import JOB_LONG_S, JOB_SLEEP_S
from eventroute.outcome import RunOutcome
from eventroute.queue import Work
from eventroute.runtime import background
from eventroute.runtime.link import LinkedRedis, RedisLink
from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import ClientCaller
from eventroute.runtime.stats import Tally
from eventroute_worker.attempt import Attempt, End, Settled
from eventroute_worker.worker import QueueWorker

_CONNECT_S = 5.0

stamps = Stamps()


async def sleep(attempt: Attempt) -> End:
    stamps.add(STARTED, attempt.delivery)
    await asyncio.sleep(JOB_SLEEP_S)
    return _done(attempt)


async def long(attempt: Attempt) -> End:
    stamps.add(STARTED, attempt.delivery)
    await asyncio.sleep(JOB_LONG_S)
    return _done(attempt)


async def nothing(attempt: Attempt) -> End:
    stamps.add(STARTED, attempt.delivery)
    return _done(attempt)


def _done(attempt: Attempt) -> End:
    stamps.add(ENDED, attempt.delivery)
    return Settled(outcome=RunOutcome.SUCCEEDED)


HANDLERS = {"sleep": sleep, "long": long, "nothing": nothing}


async def serve(job: str, slots: int) -> None:
    link = RedisLink(os.environ["REDIS_URL"])
    work = Work(ClientCaller(LinkedRedis(link)))
    async with connect(os.environ["REDIS_URL"]) as redis, background.running(link.run):
        await link.until_up(_CONNECT_S)
        await QueueWorker(redis, work, HANDLERS[job], tally=Tally(), slots=slots, grace_s=5).async_run()


if __name__ == "__main__":
    job_name, slot_count = sys.argv[1:]
    uvloop.run(serve(job_name, int(slot_count)))
