"""Keys of the queue: one home, one docstring each, with type, content, writers and lifetime.

All keys of a group begin with `er:{gK}:`. The braces are a hash tag: in a Redis Cluster the keys of a group lie on one
server, so that every script touches one. A namespace belongs to one group, `zlib.crc32` of its name modulo the number
of groups, which is 1 unless the installation is larger than one server.

The scripts build the same names (`lua/lib.lua`); a test holds the two against each other.
"""

import functools
import zlib
from dataclasses import dataclass
from typing import Final

from eventroute.ids import ClaimId, DeliveryId, RoutePath

PREFIX: Final = "er:{g%s}:"


@dataclass(frozen=True, slots=True)
class Group:
    """The keys of one group."""

    number: int | str
    """`*` makes patterns for access rules of all groups."""

    @property
    def tag(self) -> str:
        """The hash tag."""
        return f"g{self.number}"

    @property
    def prefix(self) -> str:
        """What all keys begin with, and the one key that scripts declare. No key of its own."""
        return PREFIX % self.number

    @property
    def usage(self) -> str:
        """HASH: `depth` and `bytes` of what is queued, `seq`, the order of acceptance. Kept."""
        return f"{self.prefix}usage"

    @property
    def rotation(self) -> str:
        """ZSET, path → turn: routes that are not held and have ready deliveries. The lowest is next."""
        return f"{self.prefix}rotation"

    @property
    def sendings(self) -> str:
        """ZSET, path → turn: sinks, as `<route>/<sink>`, that are not held and have answers to be sent."""
        return f"{self.prefix}sendings"

    @property
    def later(self) -> str:
        """ZSET, delivery id → when it is due, Unix ms: deliveries that wait for a time."""
        return f"{self.prefix}later"

    @property
    def running(self) -> str:
        """ZSET, delivery id → end of its lease, Unix ms. Worker renews."""
        return f"{self.prefix}running"

    @property
    def suspects(self) -> str:
        """ZSET, delivery id → since when, Unix ms: what may have killed its worker, to be leased alone."""
        return f"{self.prefix}suspects"

    @property
    def solo(self) -> str:
        """STRING, the worker that may lease a suspect; lives as a lease."""
        return f"{self.prefix}solo"

    @property
    def held(self) -> str:
        """HASH, path → JSON of reason, detail, since (Unix ms): routes that take no turns.

        Of a deleted one that is buried also `seen`, how far it was looked for what is parked of it: cause → order of
        acceptance.
        """
        return f"{self.prefix}held"

    @property
    def limits(self) -> str:
        """HASH, path → how many of a route's deliveries may run at once; a route without has no limit. Worker."""
        return f"{self.prefix}limits"

    @property
    def strict(self) -> str:
        """SET of the paths of routes whose dead letters hold their lanes. Worker."""
        return f"{self.prefix}strict"

    @property
    def causes(self) -> str:
        """HASH, cause → JSON: standing faults of a key or model, and spent budgets, for which deliveries are parked."""
        return f"{self.prefix}causes"

    @property
    def probed(self) -> str:
        """HASH, cause → when it was last seen whether the fault still stands, Unix ms."""
        return f"{self.prefix}probed"

    @property
    def turns(self) -> str:
        """ZSET, bucket of the throttle for which some wait → when it is worth asking it for places, Unix ms."""
        return f"{self.prefix}turns"

    @property
    def stop(self) -> str:
        """HASH of the first group, for all: since when nothing may be taken, by whom and why; when that last ended."""
        return f"{self.prefix}stop"

    @property
    def outdone(self) -> str:
        """LIST of delivery ids that newer events have superseded: whoever leases next ends what they wait for."""
        return f"{self.prefix}outdone"

    @property
    def wake(self) -> str:
        """LIST of at most 64 tokens. Whoever makes something ready pushes, an idle worker pops by BLPOP."""
        return f"{self.prefix}wake"

    @property
    def routes(self) -> str:
        """SET of the paths that ever had a delivery here. Kept."""
        return f"{self.prefix}routes"

    @property
    def keeper(self) -> str:
        """STRING, the worker that keeps the queue in order; lives some seconds."""
        return f"{self.prefix}keeper"

    @property
    def budgets(self) -> str:
        """SET of the scopes that have a budget. The worker that keeps the queue writes. Kept."""
        return f"{self.prefix}budgets"

    @property
    def reserved(self) -> str:
        """HASH, `<delivery id>:<fence>` → what its call may cost, of which budgets, and when it counts as spent.

        `<Unix ms> <millionths of USD> <tokens> <scope> <its period in ms> …`; there until it is paid.
        """
        return f"{self.prefix}reserved"

    def budget(self, scope: str) -> str:
        """HASH: how a budget stands. Workers write; the operator notes what it has told; lives a day beyond its period.

        `spent_usd` (millionths), `spent_tokens` since its period began, `reserved_usd`, `reserved_tokens`, `ends` (when
        the period does, Unix ms), since when it is `warned` of, whether the operator `told` that; its limits, for
        people: `period` (ms), `usd` (millionths), `tokens`.
        """
        return f"{self.prefix}budget:{scope}"

    def delivery(self, delivery: DeliveryId) -> str:
        """HASH, a delivery and all that is known of it. Its fields stand in `eventroute.queue`'s docstring."""
        return f"{self.prefix}d:{delivery}"

    def claim(self, claim: ClaimId) -> str:
        """STRING, the id of the delivery that took the claim, packed. Receiver writes; lives as the claim says."""
        return f"{self.prefix}c:{claim}"

    def route(self, path: RoutePath) -> str:
        """HASH: a route's `depth`, `bytes`, token bucket, retention, bytes of its dead letters. Kept.

        `sendings` and `sending_bytes` are what of its answers is to be sent to sinks.
        """
        return f"{self.prefix}route:{path}"

    def ready(self, path: RoutePath) -> str:
        """ZSET, delivery id → order of acceptance."""
        return f"{self.prefix}ready:{path}"

    def active(self, path: RoutePath) -> str:
        """SET of delivery ids: those of `running` that are the route's."""
        return f"{self.prefix}active:{path}"

    def lane(self, path: RoutePath, lane: str) -> str:
        """ZSET, delivery id → order of acceptance, 0 for the one whose turn it is: one entity's that have not ended."""
        return f"{self.prefix}lane:{path}:{lane}"

    def behind(self, path: RoutePath) -> str:
        """ZSET, delivery id → order of acceptance: those that wait for another one of their lane to end."""
        return f"{self.prefix}behind:{path}"

    def collecting(self, path: RoutePath, whom: str) -> str:
        """HASH of the delivery that collects an entity's events: its `id`, their number and bytes, since when.

        Receiver writes; gone when the delivery is due.
        """
        return f"{self.prefix}collecting:{path}:{whom}"

    def collected(self, delivery: DeliveryId) -> str:
        """LIST of the events that a delivery has collected, after its first one; until it is due."""
        return f"{self.prefix}collected:{delivery}"

    def newest(self, path: RoutePath, whom: str) -> str:
        """STRING, the delivery that the next one about an entity supersedes, and its place in line; until it ends.

        Receiver writes, worker removes; lives a month at most.
        """
        return f"{self.prefix}newest:{path}:{whom}"

    def holding(self, path: RoutePath) -> str:
        """HASH, dead letter → its lane, which goes on when it is replayed or discarded."""
        return f"{self.prefix}holding:{path}"

    def dead(self, path: RoutePath) -> str:
        """ZSET, delivery id → when it became a dead letter, Unix ms; bounded in number and bytes."""
        return f"{self.prefix}dead:{path}"

    def finished(self, kind: str, path: RoutePath) -> str:
        """ZSET, delivery id → when it ended, Unix ms. `bodies`, `answers` or `records`: the largest that is kept."""
        return f"{self.prefix}{kind}:{path}"

    def parked(self, cause: str) -> str:
        """ZSET, delivery id → order of acceptance: deliveries that wait until a cause is mended."""
        return f"{self.prefix}parked:{cause}"

    def parked_of(self, cause: str) -> str:
        """HASH, path → how many of its deliveries are parked for this cause."""
        return f"{self.prefix}parked_of:{cause}"

    def waiting_routes(self, bucket: str) -> str:
        """ZSET, path → turn: routes whose deliveries wait for this bucket of the throttle. The lowest is next."""
        return f"{self.prefix}waits:{bucket}"

    def waiting(self, bucket: str, path: RoutePath) -> str:
        """ZSET, delivery id → order of acceptance: deliveries of a route that wait for a bucket of the throttle."""
        return f"{self.prefix}waiting:{bucket}:{path}"

    def history(self, scope: str) -> str:
        """ZSET, entry → order of receipt: what is remembered of an entity; lives for the route's history TTL."""
        return f"{self.prefix}history:{scope}"

    def place(self, path: RoutePath, subject: str) -> str:
        """STRING: where a sink has told of a subject, as it says it; lives as long as the sink says.

        path  of what is sent to it
        """
        return f"{self.prefix}place:{path}:{subject}"

    def pace(self, destination: str) -> str:
        """HASH: when a destination of answers is free, and until when it wants to be left alone, Unix ms."""
        return f"{self.prefix}pace:{destination}"

    def stream(self, namespace: str, name: str) -> str:
        """STREAM of answers, a `stream` sink of the namespace's routes; capped, kept. Anybody reads."""
        return f"{self.prefix}stream:{namespace}/{name}"


FIRST: Final = Group(0)
"""The group that every installation has."""


@functools.lru_cache(maxsize=65_536)
def group_of(path: RoutePath, groups: int) -> Group:
    """Find the group of a route, which is that of its namespace."""
    namespace, _, _ = path.partition("/")
    return Group(zlib.crc32(namespace.encode()) % groups)
