"""Working off the queue: every call that a worker makes for the deliveries that it has leased."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from eventroute.errors import GaveUp
from eventroute.ids import DeliveryId, RoutePath, parse_path
from eventroute.queue import scripts
from eventroute.queue.keys import Group
from eventroute.runtime.scripts import Argument, Caller
from eventroute.throttle import Asked, Granted, Size

_DRAIN: Final = b"drain"
_TURN: Final = b"turn"
_SINK: Final = b"sink:"
NOTHING_SAID: Final[Mapping[str, Argument]] = MappingProxyType({})


class LeaseLost(GaveUp):
    """Another worker has the delivery by now, or it has ended: nothing was changed, and nothing is left to do."""


class Lease(NamedTuple):
    """A delivery that is ours until the lease runs out: what each call about it begins with."""

    delivery: DeliveryId
    path: RoutePath
    fence: int
    group: Group
    ready_ms: int = 0
    """Since when it was ready, Unix milliseconds."""
    traceparent: str = ""
    """W3C context of its receipt; empty without a trace."""
    alone: bool = False
    """It may be what killed its last worker: nothing else is to run beside it."""
    granted: str = ""
    """Bucket of the throttle at which it was granted a place; empty for none."""

    @property
    def route(self) -> RoutePath:
        """Whose it is."""
        return parse_path(self.path)[0]

    @property
    def sink(self) -> str:
        """To which of the route's sinks its answer is to be sent; empty where there is none yet."""
        return parse_path(self.path)[1]


class Renewed(NamedTuple):
    """What became of leases that were to be renewed."""

    lost: Sequence[DeliveryId]
    """Another worker has them, or they have ended."""
    superseded: Mapping[DeliveryId, DeliveryId]
    """By which newer deliveries; their leases are renewed all the same."""


class Taken(NamedTuple):
    """What a look at the queue brought."""

    now_ms: int
    """Redis' clock."""
    next_ms: int | None
    """When something that waits is due, or a lease runs out."""
    drain: bool
    """A suspect waits for this worker to be idle: take nothing more until then."""
    leases: Sequence[Lease]
    has_turn: bool = False
    """A bucket of the throttle may have places for those that wait."""


class Turn(NamedTuple):
    """Whose turn it is at a bucket of the throttle."""

    bucket: str
    waiting: Sequence[Asked]
    """In the order in which they are to go."""
    paths: Sequence[RoutePath]
    """Their routes."""
    has_more: bool
    """Others wait behind them."""


class Begun(NamedTuple):
    """What an attempt starts from."""

    now_ms: int
    """Redis' clock."""
    attempts: int
    """Including this one."""
    fields: Mapping[bytes, bytes]
    """The delivery's hash as it was."""
    released_ms: int = 0
    """When what held up its route, or all routes, was last lifted; 0 when there never was anything."""

    @property
    def body(self) -> bytes | None:
        """The delivery; None when somebody removed it."""
        return self.fields.get(b"body")

    @property
    def answer(self) -> bytes | None:
        """What an earlier attempt has saved."""
        return self.fields.get(b"answer")

    @property
    def sinks_done(self) -> frozenset[str]:
        """Names of the sinks that have the answer."""
        return frozenset(name[len(_SINK) :].decode() for name in self.fields if name.startswith(_SINK))

    @property
    def last_traceparent(self) -> str:
        """Context of the attempt before; empty without."""
        return self.fields.get(b"last_traceparent", b"").decode()

    @property
    def accepted_ms(self) -> int:
        """When the receiver took it, Unix milliseconds."""
        return self._number(b"at")

    @property
    def since_ms(self) -> int:
        """From when its deadline counts: acceptance, the last replay, or the end of what it was held for."""
        return max(self.accepted_ms, self._number(b"since"), self.released_ms)

    @property
    def saved_ms(self) -> int:
        """When the answer was saved, from when the sinks' deadline counts; 0 without one."""
        return self._number(b"saved")

    @property
    def seq(self) -> int:
        """Its place in the order of acceptance."""
        return self._number(b"order") or self._number(b"seq")

    @property
    def waits(self) -> int:
        """How often it was put back without costing an attempt, since there was progress."""
        return self._number(b"waits")

    @property
    def probes(self) -> str:
        """Name the cause that it was sent to see mended; empty for most."""
        return self.fields.get(b"probe", b"").decode()

    @property
    def superseded_by(self) -> str:
        """Name the newer delivery that stands for it; empty for most."""
        return self.fields.get(b"superseded_by", b"").decode()

    def _number(self, field: bytes) -> int:
        value = self.fields.get(field, b"")
        return int(value) if value.isdigit() else 0


class Retention(NamedTuple):
    """How long what has ended is kept, in milliseconds from its end; each at least as long as the one before."""

    body: int
    answer: int
    record: int


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why deliveries are parked: a standing fault of a key, or of a model at a key, or a budget without room."""

    reason: str
    detail: str
    key_id: str = ""
    """Names the key without telling it."""
    model: str = ""
    """Empty when all models at this key are concerned."""
    budget: str = ""
    """Scope of the budget; then neither key nor model matter."""

    @property
    def cause(self) -> str:
        """Name it in keys."""
        return budget_cause(self.budget) if self.budget else f"{self.key_id}:{self.model or '*'}"


class Amount(NamedTuple):
    """What a call takes of its budgets."""

    micro_usd: int
    """Millionths of a US dollar."""
    tokens: int
    """In, out and cached."""


def budget_cause(scope: str) -> str:
    """Name the cause of a budget without room; keys are named by hexadecimal digits."""
    return f"budget:{scope}"


class Work:
    """A worker's calls. All raise `RedisAway` or `RedisForbids`, and those about a lease `LeaseLost`."""

    def __init__(self, call: Caller, *, looking: Caller | None = None) -> None:
        """Take what calls scripts, and what does so where no single delivery is meant; None = the same."""
        self._call = call
        self._look = looking or call

    async def lease(
        self,
        group: Group,
        *,
        worker: str,
        lease_ms: int,
        wanted: int,
        sendings: int = 0,
        busy: int,
        crowded: Iterable[RoutePath] = (),
    ) -> Taken:
        """Lease deliveries.

        wanted   how many, at most
        sendings  how many of those that are answered and to be sent to a sink
        busy     how many of both the worker runs
        crowded  routes that are to get no more of the worker's slots
        """
        args: list[Argument] = [worker, lease_ms, wanted, sendings, busy, *crowded]
        now, following, word, *found = await self._look(scripts.LEASE, group.prefix, args)
        leases = [
            Lease(
                DeliveryId(name.decode()),
                RoutePath(path.decode()),
                int(fence),
                group,
                ready_ms=int(float(since)),
                traceparent=trace.decode(),
                alone=bool(alone),
                granted=granted.decode(),
            )
            for name, path, fence, since, alone, trace, granted in found
        ]
        next_ms = None if following is None else int(float(following))
        return Taken(int(now), next_ms, word == _DRAIN, leases, has_turn=word == _TURN)

    async def begin(self, lease: Lease, *, traceparent: str) -> Begun:
        """Begin an attempt, and read everything that it needs."""
        found = await self._call(
            scripts.BEGIN, lease.group.prefix, [lease.delivery, lease.fence, traceparent, lease.path]
        )
        if found is None:
            raise LeaseLost(f"delivery {lease.delivery}: the lease was lost before the attempt began")
        now, attempts, released, *flat = found
        return Begun(int(now), attempts, dict(zip(flat[::2], flat[1::2], strict=True)), int(released or 0))

    async def note(self, lease: Lease, **fields: Argument) -> None:
        """Write fields of the record."""
        await self._fenced(scripts.NOTE, lease, *_flat(fields))

    async def asking(self, lease: Lease) -> None:
        """Say that Claude is about to be asked: from here on a crash is hardly this delivery's doing."""
        await self.note(lease, stage="asking")

    async def mark_sink(self, lease: Lease, name: str) -> None:
        """Note that a sink has the answer."""
        await self.note(lease, **{sink_field(name): 1})

    async def save(
        self, lease: Lease, answer: bytes, *, is_final: bool = True, talk: Mapping[str, Argument] = NOTHING_SAID
    ) -> DeliveryId | None:
        """Save an answer; a final one is the delivery's, unless a newer one, which is returned, has superseded it.

        talk  fields of a conversation that goes on; a final answer ends it, and removes them all
        """
        said = await self._fenced(scripts.SAVE, lease, answer, int(is_final), *_flat(talk))
        return DeliveryId(said.decode()) if isinstance(said, bytes) else None

    async def remember(self, lease: Lease, history: str, entry: bytes, *, seq: int, keep: int, ttl_s: int) -> None:
        """Add an entry to an entity's history, unless this delivery's is there."""
        await self._fenced(scripts.REMEMBER, lease, history, seq, entry, keep, ttl_s)

    async def add_to_stream(
        self, lease: Lease, sink: str, stream: str, entry: Mapping[str, str], *, max_entries: int
    ) -> None:
        """Add an answer to a stream `<namespace>/<name>` and mark the sink, unless it is marked."""
        await self._fenced(scripts.STREAM, lease, sink_field(sink), stream, max_entries, *_flat(entry))

    async def hand_over(self, lease: Lease, answer: bytes, sinks: Iterable[str]) -> None:
        """Let the answer be sent to these sinks, to each on its own account, and mark them."""
        await self._fenced(scripts.HAND_OVER, lease, lease.path, answer, *sinks)

    async def place(self, lease: Lease, subject: str, text: bytes = b"", *, ttl_s: int = 0) -> bytes:
        """Recall where the sink has told of a subject, empty = nowhere; or remember it, when there is a text."""
        said: bytes = await self._fenced(scripts.PLACE, lease, f"{lease.path}:{subject}", text, ttl_s)
        return said

    async def pace(self, lease: Lease, destination: str, *, interval_ms: int, kept_ms: int) -> int:
        """Take a turn at a destination; returns the ms until it comes, 0 = now.

        interval_ms  from one turn to the next; 0 = it takes any number, unless it wants to be left alone
        kept_ms      for how long a turn that was missed is kept
        """
        said: int = await self._fenced(scripts.PACE, lease, destination, interval_ms, kept_ms)
        return said - 1

    async def spare(self, lease: Lease, destination: str, *, ms: int) -> None:
        """Leave a destination alone for a while: all that is to be sent there waits."""
        await self._fenced(scripts.SPARE, lease, destination, ms)

    async def settle(
        self,
        lease: Lease,
        *,
        outcome: str,
        reason: str,
        detail: str,
        retention: Retention,
        fields: Mapping[str, Argument],
    ) -> None:
        """End a delivery; with outcome `dead` it becomes a dead letter."""
        await self._fenced(scripts.SETTLE, lease, lease.path, outcome, reason, detail, *retention, *_flat(fields))

    async def put_back(self, lease: Lease, *, pause_ms: int, counts: bool, error: str = "") -> None:
        """Try it again later; an attempt that has begun costs one only if it counts."""
        await self._fenced(scripts.PUT_BACK, lease, lease.path, pause_ms, int(counts), error)

    async def park(self, lease: Lease, trouble: Trouble, *, has_asked: bool, need: Amount | None = None) -> None:
        """Let it wait until a standing trouble is mended.

        has_asked  it was this one that met it
        need       what has no room in a budget
        """
        said = msgspec.json.encode(trouble)
        needed = f"{need.micro_usd} {need.tokens}" if need else ""
        await self._fenced(scripts.PARK, lease, lease.path, trouble.cause, said, trouble.detail, int(has_asked), needed)

    async def wait(self, lease: Lease, bucket: str, size: Size, *, until_ms: int, error: str = "") -> None:
        """Let it wait for a place at a bucket of the throttle; until `until_ms` (0 = now) there is none."""
        await self._fenced(scripts.WAIT, lease, lease.path, bucket, *size, until_ms, error)

    async def turn(self, group: Group, *, count: int) -> Turn | None:
        """Ask whose turn it is at a bucket that is due; None when none is."""
        found = await self._look(scripts.TURN, group.prefix, [count])
        if found is None:
            return None
        bucket, more, *waiting = found
        asked = [Asked(DeliveryId(name.decode()), Size(*map(int, size.split(b":")))) for name, _, size in waiting]
        return Turn(bucket.decode(), asked, [RoutePath(path.decode()) for _, path, _ in waiting], bool(more))

    async def call_up(self, group: Group, turn: Turn, granted: Granted) -> int:
        """Make those ready that were granted a place; returns how many of them still waited."""
        args: list[Argument] = [turn.bucket, granted.next_ms]
        for each, path in zip(turn.waiting[: granted.places], turn.paths, strict=False):
            args += (each.delivery, path)
        return int(await self._look(scripts.CALL_UP, group.prefix, args))

    async def want(self, group: Group, path: RoutePath, bucket: str) -> None:
        """Note by which bucket a route asks."""
        await self._look(scripts.WANT, group.prefix, [path, bucket])

    async def hurry(self, group: Group, bucket: str) -> None:
        """Say that a bucket may have a place now."""
        await self._look(scripts.HURRY, group.prefix, [bucket])

    async def renew(self, group: Group, leases: Iterable[Lease], *, lease_ms: int) -> Renewed:
        """Renew leases of one group in one call."""
        args: list[Argument] = [lease_ms]
        for lease in leases:
            args += (lease.delivery, lease.fence)
        lost, outdone = await self._look(scripts.RENEW, group.prefix, args)
        names = [DeliveryId(name.decode()) for name in outdone]
        return Renewed([DeliveryId(name.decode()) for name in lost], dict(zip(names[::2], names[1::2], strict=True)))

    async def _fenced(self, script: Any, lease: Lease, *args: Argument) -> Any:
        found = await self._call(script, lease.group.prefix, [lease.delivery, lease.fence, *args])
        if found == 0:
            raise LeaseLost(f"delivery {lease.delivery}: another worker has it by now")
        return found


def sink_field(name: str) -> str:
    """Name the field that says that a sink has the answer."""
    return f"sink:{name}"


def _flat(fields: Mapping[str, Argument]) -> Iterable[Argument]:
    for name, value in fields.items():
        yield name
        yield value
