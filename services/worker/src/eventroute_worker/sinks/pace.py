"""Turns at a destination: so that nobody sends faster than it takes, and all leave it alone when it asks for that.

A destination is told by what its limit goes by, such as a token and a channel, hashed with the installation's key.
"""

import hashlib
from typing import Final, NamedTuple

from eventroute.queue import Lease, Work
from eventroute.secret import Secret

_KEPT_MS: Final = 5_000
"""For so long a turn is kept for who comes late. Arbitrary."""
_MOST_KEY_BYTES: Final = 64  # that BLAKE2b takes


class Pace(NamedTuple):
    """Where something goes, and how fast that takes it."""

    destination: str
    """Its kind, and what its limit goes by; may hold credentials."""
    interval_s: float = 0.0
    """From one message to the next; 0 = any number, until it says otherwise."""


class Pacing:
    """Takes turns."""

    def __init__(self, work: Work) -> None:
        """Take the calls to the queue."""
        self._work = work

    async def wait_s(self, lease: Lease, pace: Pace, key: Secret) -> float:
        """Take a turn; returns the seconds until it comes, 0 = now."""
        interval_ms = int(pace.interval_s * 1000)
        waits_ms = await self._work.pace(lease, _hashed(pace, key), interval_ms=interval_ms, kept_ms=_KEPT_MS)
        return waits_ms / 1000

    async def spare(self, lease: Lease, pace: Pace, key: Secret, *, after_s: float) -> None:
        """Have all of us leave it alone."""
        await self._work.spare(lease, _hashed(pace, key), ms=max(1, int(after_s * 1000)))


def _hashed(pace: Pace, key: Secret) -> str:
    own = key.reveal()[:_MOST_KEY_BYTES]
    return hashlib.blake2b(pace.destination.encode(), key=own, digest_size=16).hexdigest()
