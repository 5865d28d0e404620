"""Waiting for what happens in other tasks and processes, bounded in time."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

import pytest


async def until(condition: Callable[[], bool | Awaitable[bool]], *, timeout_s: float = 10.0) -> None:
    """Look until the condition holds; fails after a while, and says what was waited for."""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                held = condition()
                if held if isinstance(held, bool) else await held:
                    return
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not so within {timeout_s} s: {_source(condition)}")


def _source(condition: Callable[[], bool | Awaitable[bool]]) -> str:
    try:
        return inspect.getsource(condition).strip()
    except (OSError, TypeError):  # written by no file
        return repr(condition)
