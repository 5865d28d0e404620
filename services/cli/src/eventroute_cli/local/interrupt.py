"""Ctrl-C, SIGTERM and a closed terminal end a local run alike: all is stopped and removed, and one line says so.

A signal only leaves a note, which the run's own waits look at. An exception raised wherever the signal happens to come
can be lost in the middle of an import, or cut short the stopping that an earlier one has begun.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

import typer
from rich.console import Console

INTERRUPTED: Final = 130
"""Exit code of a program that was interrupted: 128 and the number of SIGINT."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """Somebody wants the run to end."""


class Interruption:
    """The note that a signal leaves."""

    def __init__(self) -> None:
        """Begin without one."""
        self._has_come = False

    def note(self, _signum: int, _frame: FrameType | None) -> None:
        """Remember a signal: a handler of `signal.signal`."""
        self._has_come = True

    def heed(self) -> None:
        """Raise `Interrupted` once a signal has come."""
        if self._has_come:
            raise Interrupted


@contextlib.contextmanager
def ending_on_signals(console: Console) -> Iterator[Interruption]:
    """Take note of signals while the block runs; `Interrupted` ends it, and the command with `INTERRUPTED`."""
    interruption = Interruption()
    # SIGHUP stays ignored under nohup. SIGINT does not: every shell ignores it for a program in the background.
    heeded = [s for s in _SIGNALS if s != signal.SIGHUP or signal.getsignal(s) != signal.SIG_IGN]
    previous = {signum: signal.signal(signum, interruption.note) for signum in heeded}
    try:
        yield interruption
    except Interrupted:
        console.print("\nstopped; nothing was left behind")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
