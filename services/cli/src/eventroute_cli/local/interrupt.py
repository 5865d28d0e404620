"""Ctrl-C and SIGTERM end a local run alike: everything is stopped, nothing is left, and one line says so."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

import typer
from rich.console import Console

INTERRUPTED = 130
"""Exit code of a program that was interrupted: 128 and the number of SIGINT."""


@contextlib.contextmanager
def ending_on_signals(console: Console) -> Iterator[None]:
    """Let the block unwind on either signal, then exit."""

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell that starts a program in the background makes it ignore that one.
    previous = {signum: signal.signal(signum, interrupt) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        console.print("\nstopped; nothing was left behind")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
