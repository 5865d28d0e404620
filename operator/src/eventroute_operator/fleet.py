"""Who serves what: from the heartbeats of receivers and workers to whether a route runs as it was published.

Pure: callers hand in the clock. A short silence changes nothing: processes come and go, Redis restarts, and a thousand
routes should not change their status for it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from eventroute.crd.status import StatusReason
from eventroute.ids import RoutePath
from eventroute.runtime.tables import HEARTBEAT_LIFETIME_S, Heartbeat

SILENCE_S: Final = float(HEARTBEAT_LIFETIME_S)
"""How long a plane without heartbeats counts as it was before."""

REDIS_AWAY_S: Final = 10.0
"""How long Redis may be away before routes say so: longer than a restart or a fail-over."""


class Serving(NamedTuple):
    """The processes of one plane that have a table."""

    oldest: int | None = None
    """The oldest table version that one of them serves; None when there is no process."""
    broken: frozenset[RoutePath] = frozenset()
    """Routes that one of them cannot read."""
    heard: float = 0.0
    """When some were last heard of, monotonic seconds."""
    redis: frozenset[str] = frozenset()
    """What one of them finds wrong with Redis."""

    def after(self, beats: Sequence[Heartbeat], now: float) -> "Serving":
        """Take the plane's heartbeats. Cold processes serve nobody yet, and so do not count."""
        versions = [beat.version for beat in beats if beat.version is not None]
        if versions:
            broken = frozenset(path for beat in beats for path in beat.broken)
            return Serving(min(versions), broken, now, frozenset(words for beat in beats for words in beat.redis))
        return self if now - self.heard < SILENCE_S else Serving()


class Fleet(NamedTuple):
    """All processes, and the Redis between them and us."""

    receivers: Serving = Serving()
    workers: Serving = Serving()
    is_away: bool = False
    """Redis has been away for so long that it matters."""


class Published(NamedTuple):
    """Since which table version a route's entries stand in the tables as they should; None = not yet."""

    receiver: int | None = None
    worker: int | None = None
    former_receiver: int | None = None
    """The generation that is served instead, as what is written cannot be."""
    former_worker: int | None = None


def receivers_have(published: Published, fleet: Fleet) -> bool:
    """Tell whether every live receiver serves the route as published, and there is one."""
    oldest = fleet.receivers.oldest
    return published.receiver is not None and oldest is not None and oldest >= published.receiver


def workers_have(published: Published, fleet: Fleet) -> bool:
    """Tell whether every live worker runs the route as published. No worker is no failure: it may be scaled to zero."""
    oldest = fleet.workers.oldest
    return published.worker is not None and (oldest is None or oldest >= published.worker)


def redis_troubles(fleet: Fleet) -> str:
    """Say what is wrong with Redis, each thing once; empty when nothing is."""
    return "; ".join(sorted(fleet.receivers.redis | fleet.workers.redis))


def programming(path: RoutePath, published: Published, fleet: Fleet) -> StatusReason:
    """Say how far a route that can be served has come."""
    if fleet.is_away:
        return StatusReason.REDIS_UNAVAILABLE
    if fleet.receivers.oldest is None:
        return StatusReason.NO_RECEIVERS
    if not (receivers_have(published, fleet) and workers_have(published, fleet)):
        return StatusReason.PROPAGATING
    if path in fleet.receivers.broken or path in fleet.workers.broken:
        return StatusReason.UNREADABLE
    return StatusReason.PROGRAMMED
