"""Ctrl-C, SIGTERM and a closed terminal end a local run alike: all is stopped and removed, and one line says so."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

import typer
from rich.console import Console

INTERRUPTED = 130
"""Exit code of a program that was interrupted: 128 and the number of SIGINT."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def ending_on_signals(console: Console) -> Iterator[None]:
    """Let the block unwind on the first of these signals, then exit; further signals do not disturb the unwinding."""

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        for signum in _SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
        raise KeyboardInterrupt

    # SIGHUP stays ignored under nohup. SIGINT does not: every shell ignores it for a program in the background.
    heeded = [s for s in _SIGNALS if s != signal.SIGHUP or signal.getsignal(s) != signal.SIG_IGN]
    previous = {signum: signal.signal(signum, interrupt) for signum in heeded}
    try:
        yield
    except KeyboardInterrupt:
        console.print("\nstopped; nothing was left behind")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
