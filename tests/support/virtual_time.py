"""An event loop whose time passes at once: when nothing is left to do, it is as late as the next timer says.

For tasks that wait for each other and for timers only. Whoever waits for a socket or a thread, or for ever, is told.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

_TURNS: Final = 10_000  # of a loop in which no time passes: more than any test takes. Arbitrary


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everything waits for what never comes"
            self._turns = 0 if timeout > 0 else self._turns + 1
            assert self._turns < _TURNS, "it goes round without an end"
            self.now += max(timeout, 0.0)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at 0."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Seconds that would have passed."""
        return self._virtual.now


def run_at_once(main: Callable[[], Awaitable[None]], *, within_s: float = 3600) -> None:
    """Run a coroutine in such a loop, for so long by its time at most."""

    async def bounded() -> None:
        try:
            async with asyncio.timeout(within_s):
                await main()
        except TimeoutError:
            pytest.fail(f"not over within {within_s} s")

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(bounded())
