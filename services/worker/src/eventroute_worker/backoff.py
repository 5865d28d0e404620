"""How long to wait after a failed attempt: exponential with full jitter, and never less than the other side asked for.

Full jitter spreads the deliveries that failed together; the wait that the API names is added in front, so that they do
not all come back in the same moment either.
"""

import contextlib
import email.utils
import random
import time
from typing import Final

BASE_S: Final = 1.0
CAP_S: Final = 300.0


def pause_s(attempt: int, *, after_s: float | None = None) -> float:
    """Choose the pause after a failed attempt.

    attempt  its number, from 1
    after_s  the least wait that the other side named
    """
    ceiling = min(CAP_S, BASE_S * 2 ** min(attempt - 1, 32))
    return max(after_s or 0.0, 0.0) + random.uniform(0, ceiling)


def read_retry_after(said: str) -> float | None:
    """Read a `Retry-After`, seconds or a date, as seconds from now; None for what is neither."""
    with contextlib.suppress(ValueError):
        return after_s if (after_s := float(said)) >= 0 else None  # neither for what is not a number
    try:
        moment = email.utils.parsedate_tz(said)
        return max(email.utils.mktime_tz(moment) - time.time(), 0.0) if moment else None
    except (ValueError, OverflowError):  # no such day
        return None
