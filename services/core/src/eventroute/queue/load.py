"""How much there is to do: what the autoscaler and people go by."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from eventroute.ids import RoutePath
from eventroute.queue import scripts
from eventroute.queue.keys import Group
from eventroute.runtime.scripts import Caller
from eventroute.throttle import figures


class Load(NamedTuple):
    """Counts of deliveries that are queued."""

    ready: int
    """Of a route with a limit, no more than may run."""
    running: int
    later: int
    throttled: int
    """Waiting until the throttle has a place for them."""
    held: int
    workable: int
    """What workers could be at now: what runs, and of what is ready or waits as much as the throttle admits.

    At least one while something is parked: a worker has to see when that is mended.
    """


async def read_load(calls: Mapping[Group, Caller], *, may_go: Callable[[RoutePath], bool] = lambda _: False) -> Load:
    """Count what is queued in these groups; raises `RedisAway` or `RedisForbids`.

    What is ready is taken to want what its route asked for last; of a route that has not asked yet, all counts.

    may_go  tells which held routes a worker would let go at once: what they have counts as ready, as all workers may be
            gone
    """
    ready = running = later = throttled = depth = 0
    waiting, attributed, parked, stops = Counter[str](), 0, 0, 0
    for group, call in calls.items():
        counts = await call(scripts.LOAD, group.prefix, [])
        ready, running, later = ready + counts[0], running + counts[1], later + counts[2]
        throttled, depth, stops = throttled + counts[3], depth + counts[4], stops + counts[5]
        held_routes = zip(counts[6][::2], counts[6][1::2], strict=True)
        ready += sum(count for path, count in held_routes if may_go(RoutePath(path.decode())))
        parked += counts[7]
        for bucket, _, may_run, own in counts[8:]:
            waiting[bucket.decode()] += may_run + own
            attributed += own
    if stops:  # nothing is taken: what would be ready is held
        held = max(depth - running - later - throttled, 0)
        return Load(0, running, later, throttled, held, workable=running)
    known = await figures(next(iter(calls.values())), waiting) if waiting else {}
    admitted = sum(min(count, known[bucket].free) if bucket in known else count for bucket, count in waiting.items())
    held = max(depth - ready - running - later - throttled, 0)
    workable = running + ready - attributed + admitted
    return Load(ready, running, later, throttled, held, workable=max(workable, min(parked, 1)))
