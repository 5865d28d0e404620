"""Background tasks of a program: they run while a block runs, end with it, and do not end unheard before."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog

_CANCEL_AGAIN_S: Final = 0.1

_log = structlog.get_logger()


@asynccontextmanager
async def running(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run the coroutines, which are to run for ever, while the block runs.

    They are cancelled until they have ended: on Python 3.11 `asyncio.wait_for`, through which redis-py sends, swallows
    a cancellation that comes when the sending is just done.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    for task in tasks:
        task.add_done_callback(_report)
    try:
        yield
    finally:
        while pending := [task for task in tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        _log.error("background_task_failed", task=task.get_name(), exc_info=error)
