"""The slots of a worker: a delivery has one until Claude has answered, and no route has all of them for long.

Knows neither the queue nor a clock: whoever calls says what time it is, in seconds of any one clock.
"""

from collections import Counter
from typing import Final, NamedTuple

from eventroute.ids import RoutePath

_SHARE: Final = 5  # one slot in five is kept for other routes, while there are others
_OTHERS_S: Final = 300.0  # a route counts as another one for so long after its last delivery; arbitrary


class Shares(NamedTuple):
    """How free slots may be given away."""

    crowded: list[RoutePath]
    """The routes that may have no further one."""
    most: int
    """How many any other one may still have."""


class Slots:
    """Who has a slot."""

    def __init__(self, count: int) -> None:
        """Start with all of them free."""
        self.count = count
        self._taken: dict[str, RoutePath] = {}
        self._seen: dict[RoutePath, float] = {}

    @property
    def free(self) -> int:
        """How many nobody has."""
        return self.count - len(self._taken)

    def take(self, name: str, path: RoutePath, now: float) -> None:
        """Give a delivery of a route a slot."""
        self._taken[name] = path
        self._seen[path] = now  # here, as it may be over before anybody asks for shares

    def give_back(self, name: str) -> None:
        """Take a delivery's slot back, if it has one still."""
        self._taken.pop(name, None)

    def shares(self, now: float) -> Shares:
        """Leave room for others beside a route whose calls hang or that has very many."""
        self._seen |= dict.fromkeys(self._taken.values(), now)
        self._seen = {path: at for path, at in self._seen.items() if now - at < _OTHERS_S}
        if len(self._seen) < 2 or self.count < 2:  # noqa: PLR2004 - alone, or nothing to share
            return Shares([], self.count)
        most = self.count - max(self.count // _SHARE, 1)
        counts = Counter(self._taken.values())
        crowded = [path for path, count in counts.items() if count >= most]
        return Shares(crowded, most - max((count for count in counts.values() if count < most), default=0))
