"""Background work of a program: it runs while a block runs, is begun again when it fails, and ends with the block."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog

_CANCEL_AGAIN_S: Final = 0.1
_RESTART_S: Final = 1.0  # so that a failure that repeats is not a busy loop; arbitrary

_log = structlog.get_logger()


@asynccontextmanager
async def running(*jobs: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run the jobs, which are to run for ever, while the block runs.

    What they expect they handle themselves; anything else is a fault of ours, logged, and no reason to stop serving.
    They are cancelled until they have ended: on Python 3.11 `asyncio.wait_for`, through which redis-py sends, swallows
    a cancellation that comes when the sending is just done.
    """
    tasks = [asyncio.create_task(_keep_running(job)) for job in jobs]
    try:
        yield
    finally:
        while pending := [task for task in tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)


async def _keep_running(job: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await job()
        except Exception:  # noqa: BLE001 - whatever it is, the job goes on
            _log.exception("background_job_failed", job=getattr(job, "__qualname__", repr(job)))
        await asyncio.sleep(_RESTART_S)
