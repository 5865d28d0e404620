"""What of a route stays served as it was, where it cannot be served as it is.

The last version without an error stays: a wrong edit takes nothing away. A Secret that is gone may have been revoked:
what was made of it stays for a short while only, in which it may come back. Suspension and deletion count at once.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

from eventroute.compile import Reason, Side, Verdict
from eventroute.crd.objects import ObjectKey
from eventroute.ids import RoutePath, RouteUid, route_path
from eventroute_operator.judge import Judged

GRACE_S: Final = 60.0
"""How long a Secret may be gone: longer than replacing one takes."""

_GONE: Final = frozenset({Reason.SECRET_NOT_FOUND, Reason.SECRET_KEY_NOT_FOUND})

Mode = Literal["hold", "drop"]


class Staying(NamedTuple):
    """A route of which an earlier version is to be served."""

    uid: RouteUid
    """Only one of the same object."""
    is_readable: bool
    """Its spec can be read, and so tells whether it is suspended."""
    suspend: Mode | None


class Stays:
    """Knows for how long."""

    def __init__(self, *, grace_s: float = GRACE_S, clock: Callable[[], float] = time.monotonic) -> None:
        """Take how long a Secret may be gone."""
        self._grace_s = grace_s
        self._clock = clock
        self._since: dict[tuple[ObjectKey, Side], float] = {}

    def of(self, judged: Mapping[ObjectKey, Judged], side: Side) -> dict[RoutePath, Staying]:
        """List the routes that stay served on a side as they were."""
        found: dict[RoutePath, Staying] = {}
        for key, each in judged.items():
            if self._may_stay(key, each, side):
                spec = each.route.spec
                suspend = None if isinstance(spec, tuple) else spec.spec.suspend
                found[route_path(*key)] = Staying(
                    RouteUid(each.route.uid), not isinstance(spec, tuple), suspend.mode if suspend else None
                )
        for known in [known for known in self._since if known[0] not in judged]:
            del self._since[known]
        return found

    def next_end_s(self) -> float | None:
        """Tell in how many seconds the next one ends to stay; None = none will by itself."""
        ends = [since + self._grace_s for since in self._since.values()]
        left = [end - self._clock() for end in ends]
        return min((each for each in left if each > 0), default=None)

    def _may_stay(self, key: ObjectKey, judged: Judged, side: Side) -> bool:
        if (judged.receiver if side is Side.INTAKE else judged.worker) is not None:
            self._since.pop((key, side), None)
            return False
        if not _misses_secret(judged, side):
            self._since.pop((key, side), None)
            return True
        since = self._since.setdefault((key, side), self._clock())
        return self._clock() - since < self._grace_s


def _misses_secret(judged: Judged, side: Side) -> bool:
    problems = judged.verdict.problems if isinstance(judged.verdict, Verdict) else ()
    return any(problem.reason in _GONE and side in problem.sides for problem in problems)
