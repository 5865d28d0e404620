"""How every program starts and ends: settings, logs, traces, its own work, and an exit code."""

import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

from eventroute.errors import Refused
from eventroute.runtime import logging, tracing
from eventroute.runtime.settings import Settings

REFUSED = 2
"""Exit code of a program that cannot work with its settings."""

AnySettings = TypeVar("AnySettings", bound=Settings)

_log = structlog.get_logger()


def run_program(
    name: str,
    settings: type[AnySettings],
    serve: Callable[[AnySettings], Coroutine[Any, Any, None]],
    *,
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> int:
    """Read the settings from the environment and serve until the program is asked to stop; returns the exit code.

    name  as logs and traces call it
    run   runs a coroutine in an event loop of the program's choice
    """
    try:
        loaded = settings.load(os.environ)
    except Refused as error:
        print(f"eventroute-{name}: {error}", file=sys.stderr)  # noqa: T201 - logs are not set up yet
        return REFUSED
    logging.setup(loaded.log_level, program=name)
    provider = tracing.setup(f"eventroute-{name}")
    try:
        run(serve(loaded))
    except Refused as error:
        _log.error("program_refused", error=str(error))
        return REFUSED
    finally:
        if provider is not None:
            provider.shutdown()
    return 0
