"""The careful stack, working end: arq's own worker on uvloop, with arq's defaults but for the number of slots.

Started as `python -m bench.peers.arq_worker JOB SLOTS [tuned]`; JOB is `sleep` or `nothing`. `tuned` is what somebody
who has read arq's source would set: a short poll and no kept results.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from arq.connections import RedisSettings
from arq.worker import Worker, func

from bench.peers.stamps import ENDED, STARTED, Stamps
from bench.site import JOB_SLEEP_S

_TUNED: dict[str, Any] = {"poll_delay": 0.01, "keep_result": 0}


async def sleep(_event: str, _body: str) -> None:
    await asyncio.sleep(JOB_SLEEP_S)


async def nothing(_event: str, _body: str) -> None:
    """Leave the queue as the only work."""


JOBS = {"sleep": sleep, "nothing": nothing}


async def serve(work: Callable[[str, str], Awaitable[None]], slots: int, options: list[str]) -> None:
    """Run a worker whose only job does `work` with the event and the body."""
    stamps = Stamps()

    async def answer(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:
        event, body = args
        marker = json.loads(body)["pull_request"]["node_id"]
        stamps.add(STARTED, marker)
        await work(event, body)
        stamps.add(ENDED, marker)

    worker = Worker(
        [func(answer, name="answer")],
        redis_settings=RedisSettings.from_dsn(os.environ["REDIS_URL"]),
        max_jobs=slots,
        **(_TUNED if "tuned" in options else {}),
    )
    with contextlib.suppress(asyncio.CancelledError):  # how arq ends on SIGTERM
        await worker.async_run()


if __name__ == "__main__":
    job, slot_count, *rest = sys.argv[1:]
    uvloop.run(serve(JOBS[job], int(slot_count), rest))
