"""What people look at and change: lists of deliveries, one with all that is known of it, replays, discards.

Lists are made of the queue's own sets, newest first, a page of each at a time; the database is never searched. What is
read is bounded: a list says how much it has looked at, and whether that was all.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from eventroute.delivery import Delivery, decode_delivery
from eventroute.ids import DeliveryId, RoutePath, answer_claim, parse_path
from eventroute.match import accepts
from eventroute.outcome import RunOutcome
from eventroute.queue import scripts
from eventroute.queue.admission import claimant
from eventroute.queue.keys import FIRST, Group, group_of
from eventroute.queue.load import Load, read_load
from eventroute.queue.upkeep import Held, Standing, Stop, Upkeep
from eventroute.route_table import INSTALLATION
from eventroute.runtime.scripts import Argument, ClientCaller, Script, told
from eventroute.runtime.tracing import parse_traceparent
from eventroute.talk import CallRecord

LOOK_MAX: Final = 20_000
"""Deliveries of one set that one call looks at: twice as many as a route has dead letters. Arbitrary."""

CHUNK: Final = 100
"""Deliveries that one script replays or discards: some 3 ms of Redis' time."""

_PAGE: Final = 250  # ids per look at a set, and deliveries per glance; arbitrary
_AT_ONCE: Final = 8  # sets that are looked at side by side, each over a connection; arbitrary
_COUNTED: Final = 1_000  # sets per pipeline that counts; arbitrary
_SINK: Final = "sink:"
_DROPPED: Final = b"0"  # of a sink that was not told, and is not to be
_NAME_CHARS: Final = 100  # of who stopped or started
_REASON_CHARS: Final = 200
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

Mode = Literal["resume", "whole", "sinks"]
"""What a replay does: go on from what is saved; ask again and tell every sink; tell every sink the saved answer."""


class State(StrEnum):
    """Where a delivery stands; `eventroute.queue` says who puts it there."""

    READY = "ready"
    RUNNING = "running"
    LATER = "later"
    HELD = "held"
    THROTTLED = "throttled"
    SUSPECT = "suspect"
    BEHIND = "behind"
    SETTLED = "settled"
    DEAD = "dead"


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a list tells of a delivery. Times are Unix milliseconds by Redis' clock, 0 = never."""

    id: DeliveryId
    route: RoutePath
    state: State
    outcome: str = ""
    """Once it has ended: a `RunOutcome`."""
    reason: str = ""
    """Of a dead letter: a `DeadReason`; of a refusal its category; of an answer without text what it held."""
    detail: str = ""
    provider: str = ""
    event: str = ""
    provider_id: str = ""
    entity: str = ""
    entity_error: str = ""
    missing_fields: tuple[str, ...] = ()
    model: str = ""
    instead_of: str = ""
    """The model that the prompt names, where its fallback answered."""
    because: str = ""
    """Why it did."""
    cost_usd: str = ""
    received_ms: int = 0
    since_ms: int = 0
    """When it was replayed last, or what it was held for was mended."""
    ended_ms: int = 0
    due_ms: int = 0
    """When it is, or became, ready to be tried."""
    attempts: int = 0
    waits: int = 0
    replays: int = 0
    cause: str = ""
    """Of a held one the standing trouble, of a throttled one the bucket of the throttle."""
    last_error: str = ""
    events: int = 0
    """How many it stood for, where its route collects them; 0 = one."""
    hops: int = 0
    """How many answers of ours stand behind it."""
    parent: str = ""
    """Which delivery it is the answer to, where another route handed that over."""
    holds: int = 0
    """Of a dead letter that holds its lane: how many deliveries wait for it to be replayed or discarded."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state in {State.SETTLED, State.DEAD}

    @property
    def moment_ms(self) -> int:
        """What lists are sorted by: its end; before that when it began to wait anew, or its receipt."""
        return self.ended_ms if self.has_ended else max(self.since_ms, self.received_ms)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which deliveries a list is to have; what is empty does not matter."""

    route: str = ""
    """`<namespace>/<name>`, or a namespace."""
    states: frozenset[str] = frozenset()
    """Of `State` and `RunOutcome`."""
    reason: str = ""
    event: str = ""
    """A pattern as in a route's `prompts`."""
    entity: str = ""
    provider_id: str = ""
    since_ms: int = 0
    """Of `Line.moment_ms`."""
    until_ms: int = 0

    def has(self, line: Line) -> bool:
        """Tell whether a delivery is meant."""
        return (
            self.has_route(line.route)
            and (not self.states or bool(self.states & {line.state, line.outcome}))
            and self.reason in ("", line.reason)
            and (not self.event or accepts(self.event, line.event))
            and self.entity in ("", line.entity)
            and self.provider_id in ("", line.provider_id)
            and line.moment_ms >= self.since_ms
            and (not self.until_ms or line.moment_ms <= self.until_ms)
        )

    def has_route(self, path: RoutePath) -> bool:
        """Tell whether a route's deliveries may be meant."""
        return not self.route or path == self.route or path.startswith(f"{self.route}/")

    def has_state(self, state: State) -> bool:
        """Tell whether a state's deliveries may be meant."""
        outcomes = self.states & _OUTCOMES[state]
        return not self.states or state in self.states or bool(outcomes)


_OUTCOMES: Final[Mapping[State, frozenset[str]]] = {
    **dict.fromkeys(State, frozenset[str]()),
    State.SETTLED: frozenset(RunOutcome) - {RunOutcome.DEAD},
    State.DEAD: frozenset({RunOutcome.DEAD}),
}


class Listing(NamedTuple):
    """A list, newest first."""

    lines: Sequence[Line]
    looked_at: int
    is_complete: bool
    """False when the bound of what is looked at ended the search, not the deliveries."""


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What of a saved answer people ask about."""

    text: str = ""
    outcome: str = ""
    reason: str = ""
    model: str = ""
    instead_of: str = ""
    because: str | None = None
    stop_reason: str = ""
    message_id: str = ""
    request_id: str = ""
    usage: dict[str, int] = {}
    cost_usd: str | None = None
    answered_ms: int = 0
    missing_fields: tuple[str, ...] = ()
    violation: str = ""
    goes_on: bool = False
    """It is a turn that wants results of tools first."""
    calls: tuple[CallRecord, ...] = ()
    """Of tools."""


class Found(NamedTuple):
    """One delivery with all that is known of it."""

    line: Line
    group: Group
    delivery: Delivery | None
    """None when its body is not kept any more, or cannot be read."""
    is_unreadable: bool
    answer: KeptAnswer | None
    sinks_done: Sequence[str]
    stage: str
    """Of a running one: `begun`, `asking`, or empty."""
    cuts: int
    """Attempts that were cut short."""
    trace_id: str
    """Of its last attempt, else of its receipt; 32 hex digits."""
    ahead: DeliveryId | None = None
    """Whose turn it is in its lane, if it waits behind that one."""
    ahead_is_dead: bool = False
    collects: int = 0
    """How many events it has collected, while it waits for more."""
    sendings: Sequence[Line] = ()
    """What of its answer is on the way to sinks, or could not be sent; none of these is among those that have it."""
    children: Mapping[str, DeliveryId] = MappingProxyType({})
    """Sink → the delivery that the answer became at another route, as long as that remembers it."""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """How a budget stands; amounts are in millionths of a US dollar, and in tokens."""

    scope: str
    """A route's path, a namespace, or `INSTALLATION`."""
    period_ms: int
    ends_ms: int
    """When its period ends, Unix milliseconds by Redis' clock."""
    micro_usd: int | None
    """The limit; None = none."""
    spent_micro_usd: int
    reserved_micro_usd: int
    tokens: int | None
    """The limit; None = none."""
    spent_tokens: int
    reserved_tokens: int

    @property
    def left_micro_usd(self) -> int | None:
        """What the next call may cost."""
        taken = self.spent_micro_usd + self.reserved_micro_usd
        return None if self.micro_usd is None else max(self.micro_usd - taken, 0)

    @property
    def left_tokens(self) -> int | None:
        """The same in tokens."""
        return None if self.tokens is None else max(self.tokens - self.spent_tokens - self.reserved_tokens, 0)


class Situation(NamedTuple):
    """What holds up more than one delivery."""

    held: Mapping[RoutePath, Held]
    standing: Sequence[Standing]
    stop: Stop = Stop()

    def hold(self, path: RoutePath) -> Held | None:
        """Find why a route takes no turns."""
        return self.held.get(path)

    def trouble(self, cause: str) -> Standing | None:
        """Find a standing trouble."""
        return next((each for each in self.standing if each.trouble.cause == cause), None)


class _Source(NamedTuple):
    """A set of deliveries."""

    group: Group
    key: str
    state: State
    by_end: bool = False
    """Its scores are the times of their ends."""


class _PlaceInLane(NamedTuple):
    """Where a delivery stands in its lane, as far as somebody waits."""

    ahead: DeliveryId | None = None
    ahead_is_dead: bool = False
    holds: int = 0


class Desk:
    """The calls. All raise `RedisAway` or `RedisForbids`."""

    def __init__(self, clients: Mapping[Group, Redis]) -> None:
        """Take a client for each group of the installation: in a cluster, they are on different servers."""
        self._clients = clients
        self._calls = {group: ClientCaller(client) for group, client in clients.items()}
        self._upkeep = {group: Upkeep(client, self._calls[group]) for group, client in clients.items()}

    async def now_ms(self) -> int:
        """Read Redis' clock, by which all times are."""
        try:
            seconds, micros = await next(iter(self._clients.values())).time()
        except (RedisError, OSError) as error:
            raise told(error) from error
        return int(seconds) * 1000 + int(micros) // 1000

    async def load(self) -> Load:
        """Count what is queued."""
        return await read_load(self._calls)

    async def read_stop(self) -> Stop:
        """Read whether somebody has stopped the installation."""
        return await self._upkeep[FIRST].read_stop()

    async def stop(self, *, by: str, reason: str) -> bool:
        """Let no worker take anything more; returns False, and changes nothing, when that is so already."""
        args = [by[:_NAME_CHARS], " ".join(reason.split())[:_REASON_CHARS]]
        return bool(await self._calls[FIRST](scripts.STOP, FIRST.prefix, args))

    async def start(self, *, by: str) -> bool:
        """Let workers take deliveries again; returns False when they may."""
        return bool(await self._calls[FIRST](scripts.START, FIRST.prefix, [by[:_NAME_CHARS]]))

    async def situation(self) -> Situation:
        """Read what holds up routes, keys, models, or all."""
        held = await asyncio.gather(*(upkeep.held(group) for group, upkeep in self._upkeep.items()))
        standing = await asyncio.gather(*(upkeep.standing(group) for group, upkeep in self._upkeep.items()))
        return Situation(
            {path: why for each in held for path, why in each.items()},
            [one for each in standing for one in each],
            await self.read_stop(),
        )

    async def budgets(self) -> list[Spent]:
        """List the budgets that workers keep: the installation's, then namespaces and routes by their names."""
        now_ms = await self.now_ms()
        try:
            found = [
                _spent(scope.decode(), await client.hgetall(group.budget(scope.decode())), now_ms)
                for group, client in self._clients.items()
                for scope in await client.smembers(group.budgets)
            ]
        except (RedisError, OSError) as error:
            raise told(error) from error
        return sorted(filter(None, found), key=lambda spent: (spent.scope != INSTALLATION, spent.scope))

    async def look(self, wanted: Wanted, *, limit: int | None = 50) -> Listing:
        """List deliveries; without a limit, as many as may be looked at."""
        try:
            sources = await self._sources(wanted)
            turn = asyncio.Semaphore(_AT_ONCE)
            found = await asyncio.gather(*(self._search(source, wanted, limit, turn) for source in sources))
        except (RedisError, OSError) as error:
            raise told(error) from error
        lines = {line.id: line for each in found for line in each.lines}  # what moved meanwhile stands in two sets
        newest = sorted(lines.values(), key=lambda line: (line.moment_ms, line.id), reverse=True)
        return Listing(newest[:limit], sum(each.looked_at for each in found), all(each.is_complete for each in found))

    async def show(self, delivery: DeliveryId) -> Found | None:
        """Read one delivery; None when nothing (more) is known of it."""
        try:
            for group, client in self._clients.items():
                fields: dict[bytes, bytes] = await client.hgetall(group.delivery(delivery))
                if b"path" in fields:
                    is_suspect = await client.zscore(group.suspects, delivery) is not None
                    place = await self._place_in_lane(group, delivery, fields)
                    found = _found(delivery, group, fields, place, is_suspect=is_suspect)
                    found = await self._with_sendings(group, found)
                    if b"collects" not in fields:
                        return found
                    return found._replace(collects=1 + await client.llen(group.collected(delivery)))
        except (RedisError, OSError) as error:
            raise told(error) from error
        return None

    async def _with_sendings(self, group: Group, found: Found) -> Found:
        names = [f"{found.line.id}:{sink}".encode() for sink in found.sinks_done]
        lines = await self._glance(group, State.READY, names)
        going = {parse_path(line.route)[1] for line in lines if line.state is not State.SETTLED}
        done = [sink for sink in found.sinks_done if sink not in going]
        return found._replace(
            sinks_done=done,
            sendings=[line for line in lines if line.state is not State.SETTLED],
            children=await self._children(group, found.line, done),
        )

    async def _children(self, group: Group, line: Line, sinks: Sequence[str]) -> Mapping[str, DeliveryId]:
        """Find what answers became at other routes, by the claims that they are known by there."""
        claims = [group.claim(answer_claim(line.route, f"{line.id}:{sink}")) for sink in sinks]
        values = [await self._clients[group].get(claim) for claim in claims]
        return {sink: claimant(value) for sink, value in zip(sinks, values, strict=True) if value}

    async def _place_in_lane(self, group: Group, delivery: DeliveryId, fields: Mapping[bytes, bytes]) -> "_PlaceInLane":
        client, path = self._clients[group], RoutePath(fields[b"path"].decode())
        if fields.get(b"state") == State.BEHIND.encode():
            first: list[bytes] = await client.zrange(group.lane(path, fields.get(b"lane", b"").decode()), 0, 0)
            if first:
                ahead = DeliveryId(first[0].decode())
                return _PlaceInLane(ahead, await client.hexists(group.holding(path), ahead))
        if lane := await client.hget(group.holding(path), delivery):
            return _PlaceInLane(holds=await client.zcard(group.lane(path, lane.decode())) - 1)
        return _PlaceInLane()

    async def find(self, name: str, *, route: str = "", limit: int = 10) -> Sequence[Line]:
        """Find deliveries by the provider's own id, newest first."""
        return (await self.look(Wanted(route=route, provider_id=name[:200]), limit=limit)).lines

    async def replay(self, deliveries: Iterable[DeliveryId], *, mode: Mode = "resume") -> dict[DeliveryId, str]:
        """Run deliveries again that have ended.

        returns  per delivery `ok`, or why not: `unknown`, `queued` (it has not ended), `no_body`, `no_answer`
        """
        return await self._each(scripts.REPLAY, [mode], deliveries)

    async def discard(self, deliveries: Iterable[DeliveryId]) -> dict[DeliveryId, str]:
        """Remove dead letters for good; returns per delivery `ok`, or why not: `unknown`, `alive`."""
        return await self._each(scripts.DISCARD, [], deliveries)

    async def _each(
        self, script: Script, head: Sequence[Argument], deliveries: Iterable[DeliveryId]
    ) -> dict[DeliveryId, str]:
        told_of = dict.fromkeys(deliveries, "unknown")
        for group, call in self._calls.items():
            left = [name for name, said in told_of.items() if said == "unknown"]
            for start in range(0, len(left), CHUNK):
                part = left[start : start + CHUNK]
                said = await call(script, group.prefix, [*head, *part])
                told_of |= zip(part, (word.decode() for word in said), strict=True)
        return told_of

    # --- lists ---

    async def _sources(self, wanted: Wanted) -> Sequence[_Source]:
        """Name the sets that may hold what is wanted, but for the empty ones."""
        of_groups = await asyncio.gather(*(self._sources_in(group, wanted) for group in self._clients))
        return [source for sources in of_groups for source in sources]

    async def _sources_in(self, group: Group, wanted: Wanted) -> Sequence[_Source]:
        client = self._clients[group]
        sources = [
            _Source(group, group.running, State.RUNNING),
            _Source(group, group.later, State.LATER),
            _Source(group, group.suspects, State.SUSPECT),
        ]
        if wanted.has_state(State.HELD):
            causes: list[bytes] = await client.hkeys(group.causes)
            sources += [_Source(group, group.parked(cause.decode()), State.HELD) for cause in causes]
        buckets: list[bytes] = []
        if wanted.has_state(State.THROTTLED):
            buckets = await client.zrange(group.turns, 0, -1)
        for path in await self._paths(group, wanted):
            sources += [
                *(_Source(group, group.waiting(bucket.decode(), path), State.THROTTLED) for bucket in buckets),
                _Source(group, group.ready(path), State.READY),
                _Source(group, group.behind(path), State.BEHIND),
                _Source(group, group.dead(path), State.DEAD, by_end=True),
                *(
                    _Source(group, group.finished(kind, path), State.SETTLED, by_end=True)
                    for kind in ("bodies", "answers", "records")
                ),
            ]
        sources = [source for source in sources if wanted.has_state(source.state)]
        sizes: list[int] = []
        for start in range(0, len(sources), _COUNTED):
            async with client.pipeline(transaction=False) as pipe:
                for source in sources[start : start + _COUNTED]:
                    pipe.zcard(source.key)
                sizes += await pipe.execute()
        return [source for source, size in zip(sources, sizes, strict=True) if size]

    async def _paths(self, group: Group, wanted: Wanted) -> Sequence[RoutePath]:
        if "/" in wanted.route and group_of(RoutePath(wanted.route), len(self._clients)) != group:
            return []
        return [path for path in await self._upkeep[group].routes(group) if wanted.has_route(path)]

    async def _search(self, source: _Source, wanted: Wanted, limit: int | None, turn: asyncio.Semaphore) -> Listing:
        """Look through one set until it has given enough, or is at its end."""
        lines: list[Line] = []
        looked_at = 0
        async with turn:
            async for page in self._pages(source, wanted):
                looked_at += len(page)
                lines += [line for line in await self._glance(source.group, source.state, page) if wanted.has(line)]
                # Only what is sorted by time may be left before its end; ready and held ones are, by their acceptance.
                in_order = {State.READY, State.HELD, State.THROTTLED, State.BEHIND}
                is_sorted = source.by_end or source.state in in_order
                if is_sorted and limit is not None and len(lines) >= limit:
                    return Listing(lines, looked_at, is_complete=True)
                if looked_at >= LOOK_MAX:
                    return Listing(lines, looked_at, is_complete=False)
        return Listing(lines, looked_at, is_complete=True)

    async def _pages(self, source: _Source, wanted: Wanted) -> AsyncIterator[list[bytes]]:
        newest, oldest = (wanted.until_ms or "+inf", wanted.since_ms) if source.by_end else ("+inf", "-inf")
        start, client = 0, self._clients[source.group]
        while page := await client.zrevrangebyscore(source.key, newest, oldest, start=start, num=_PAGE):
            yield page
            start += len(page)

    async def _glance(self, group: Group, state: State, names: Sequence[bytes]) -> Sequence[Line]:
        seen: list[Any] = []
        while len(seen) < len(names):
            seen += await self._calls[group](scripts.GLANCE, group.prefix, [*names[len(seen) :]])
        return [
            _line(DeliveryId(name.decode()), state, dict(zip(_GLANCED, fields, strict=False)))
            for name, fields in zip(names, seen, strict=True)
            if fields[0] is not None
        ]


_HEAD: Final = "head"
_GLANCED: Final = (
    *("path", "state", "seq", "at", "since", "attempts", "waits", "due", "cause", "outcome", "reason", "detail"),
    *("finished", "about", "last_error", "replays", _HEAD, "holds"),
)


def _line(name: DeliveryId, standing: State, fields: Mapping[str, bytes | None]) -> Line:
    """Read what a glance brought.

    standing  what the set says in which it was found; the delivery's own word counts more, if it has one
    """
    own = {key: value.decode(errors="replace") for key, value in fields.items() if value is not None and key != _HEAD}
    about = _about(fields)
    state = own.get("state", "")
    if not state:
        state = standing if standing is State.SUSPECT else State.READY
    return Line(
        id=name,
        route=RoutePath(own["path"]),
        state=State(state),
        outcome=own.get("outcome", ""),
        reason=own.get("reason", ""),
        detail=own.get("detail", ""),
        provider=str(about.get("provider", "")),
        event=str(about.get("event", "")),
        provider_id=str(about.get("provider_id", "")),
        entity=str(about.get("entity", "")),
        entity_error=str(about.get("entity_error", "")),
        missing_fields=tuple(about.get("missing_fields", ())),
        model=str(about.get("model", "")),
        cost_usd=str(about.get("cost_usd", "")),
        received_ms=_number(own, "at"),
        since_ms=_number(own, "since"),
        ended_ms=_number(own, "finished"),
        due_ms=_number(own, "due"),
        attempts=_number(own, "attempts"),
        waits=_number(own, "waits"),
        replays=_number(own, "replays"),
        cause=own.get("cause", ""),
        last_error=own.get("last_error", ""),
        events=int(about.get("events", 0)),
        hops=int(about.get("hops", 0)),
        parent=str(about.get("parent", "")),
        holds=_number(own, "holds"),
    )


def _about(fields: Mapping[str, bytes | None]) -> dict[str, Any]:
    """Read what a run noted, or the begin of the body, which names the same things."""
    try:
        if about := fields.get("about"):
            return msgspec.json.decode(about, type=dict[str, Any])
        if head := fields.get(_HEAD):
            return msgspec.json.decode(head + b"}", type=dict[str, Any])
    except _UNREADABLE:
        pass
    return {}


def _spent(scope: str, stored: Mapping[bytes, bytes], now_ms: int) -> Spent | None:
    """Read an account; of a period that is over nothing counts any more."""
    if b"period" not in stored:
        return None  # forgotten between two looks
    own = {name.decode(): int(value) if value else None for name, value in stored.items()}
    period_ms, ends_ms = own["period"] or 1, own["ends"] or 0
    is_over = ends_ms <= now_ms
    return Spent(
        scope=scope,
        period_ms=period_ms,
        ends_ms=(now_ms // period_ms + 1) * period_ms if is_over else ends_ms,
        micro_usd=own["usd"],
        spent_micro_usd=0 if is_over else own["spent_usd"] or 0,
        reserved_micro_usd=own.get("reserved_usd") or 0,
        tokens=own["tokens"],
        spent_tokens=0 if is_over else own["spent_tokens"] or 0,
        reserved_tokens=own.get("reserved_tokens") or 0,
    )


def _number(fields: Mapping[str, str], name: str) -> int:
    value = fields.get(name, "")
    return int(float(value)) if value.replace(".", "", 1).isdigit() else 0


def _found(
    name: DeliveryId, group: Group, stored: Mapping[bytes, bytes], place: _PlaceInLane, *, is_suspect: bool
) -> Found:
    fields = {key.decode(): value for key, value in stored.items()}
    body = fields.get("body")
    path, at = RoutePath(fields["path"].decode()), _number({"at": fields.get("at", b"").decode()}, "at")
    delivery = answer = None
    is_unreadable = False
    if body is not None:
        try:
            delivery = decode_delivery(body, id=name, route=path, received_ms=at)
        except _UNREADABLE:
            is_unreadable = True
    if "answer" in fields:
        try:
            answer = msgspec.json.decode(fields["answer"], type=KeptAnswer)
        except _UNREADABLE:
            is_unreadable = True
    head = b""
    if delivery is not None:
        said = {name: getattr(delivery, name) for name in ("provider", "event", "provider_id", "hops", "parent")}
        head = msgspec.json.encode(said)[:-1]
    context = next(
        (
            found
            for field in ("last_traceparent", "trace")
            if (found := parse_traceparent(fields.get(field, b"").decode(errors="replace")))
        ),
        None,
    )
    standing = State.SUSPECT if is_suspect else State.READY
    glanced = {**{key: fields.get(key) for key in _GLANCED}, _HEAD: head or None, "holds": b"%d" % place.holds}
    return Found(
        line=_line(name, standing, glanced),
        group=group,
        delivery=delivery,
        is_unreadable=is_unreadable,
        answer=answer,
        sinks_done=sorted(
            key.removeprefix(_SINK) for key, value in fields.items() if key.startswith(_SINK) and value != _DROPPED
        ),
        stage=fields.get("stage", b"").decode(),
        cuts=_number({"cuts": fields.get("cuts", b"").decode()}, "cuts"),
        trace_id=f"{context.trace_id:032x}" if context else "",
        ahead=place.ahead,
        ahead_is_dead=place.ahead_is_dead,
    )
