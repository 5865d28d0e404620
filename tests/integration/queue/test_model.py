"""Random interleavings of receivers, workers, crashes, stalls and people against the real scripts, and what must hold.

The model knows of each delivery only where it should be and which lease is the valid one. After every step the queue's
sets must agree with it: each delivery is in one place, nothing is lost, the accounts add up, and of two workers with
leases of one delivery only the later one can change anything.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from eventroute.ids import Claim, ClaimId, DeliveryId, RoutePath
from eventroute.outcome import DeadReason
from eventroute.queue import (
    Admissions,
    Admitted,
    Again,
    Candidate,
    Joined,
    Lease,
    LeaseLost,
    Limit,
    Limits,
    New,
    Repeat,
    Retention,
    Trouble,
    Upkeep,
    Work,
    scripts,
)
from eventroute.route_table import DebounceRule
from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import ClientCaller
from eventroute.throttle import Granted, Size
from support.queue import GROUP
from support.runs import sample_delivery

pytestmark = pytest.mark.real

Value = TypeVar("Value")

PATHS = [RoutePath(path) for path in ("team-a/x", "team-a/y", "team-b/z")]
WORKERS = ["one", "two", "three"]
KEPT = Retention(body=3_600_000, answer=7_200_000, record=10_800_000)
TROUBLES = [
    Trouble(reason="authentication", detail="401", key_id="k", model=""),
    Trouble(reason="not_found", detail="404", key_id="k", model="m"),
]
BUCKETS = ["k:claude-haiku-5-5", "k:claude-sonnet-5-5"]
LANES = ["", "", "left", "right"]
ENTITIES = ["", "ann", "bob"]
DEBOUNCED = DebounceRule(quiet_s=3600, max_s=7200)
LONG_MS = 600_000
_ENDED = frozenset({"settled", "dead", "gone"})


@dataclass
class Known:
    """A delivery as it should be."""

    path: RoutePath
    claim: str
    place: str = "ready"
    """ready, behind, running, over (its lease ran out unnoticed), later, parked, throttled, suspect, settled, dead, or
    gone."""
    lane: str = ""
    seq: int = 0
    lease: Lease | None = None
    """The latest."""
    begun: bool = False
    asking: bool = False
    attempts: int = 0
    cuts: int = 0
    cause: str = ""
    answer: bytes = b""
    whom: str = ""
    is_answered: bool = False
    by: str = ""
    """What has superseded it."""
    ends: int = 0
    """How often it has ended since it was queued last."""
    collects: str = ""
    """Whose events it collects, until it is due."""
    events: int = 1
    """How many it stands for."""


@dataclass
class Lane:
    """An entity's deliveries."""

    first: DeliveryId | None = None
    """Whose turn it is."""
    behind: set[DeliveryId] = field(default_factory=set)


@dataclass
class Held:
    """A lease that a worker believes in."""

    worker: str
    lease: Lease
    said: list[str] = field(default_factory=list)


class Queue(RuleBasedStateMachine):
    """The machine; `redis_url` is set by the test."""

    redis_url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.redis: Redis = connect(self.redis_url)
        call = ClientCaller(self.redis)
        self.call = call
        self.admissions = Admissions(call, limits=Limits(40, 0))
        self.work, self.upkeep = Work(call), Upkeep(self.redis, call)
        self.known: dict[DeliveryId, Known] = {}
        self.claims: dict[str, DeliveryId] = {}
        self.held: list[Held] = []
        self.held_routes: set[RoutePath] = set()
        self.limits: dict[RoutePath, int] = {}
        self.strict: set[RoutePath] = set()
        self.lanes: defaultdict[tuple[RoutePath, str], Lane] = defaultdict(Lane)
        self.newest: dict[tuple[RoutePath, str], DeliveryId] = {}
        self.outdone: list[DeliveryId] = []
        """Superseded since somebody looked last."""
        self.seq = 0
        self.count = 0

    def run(self, awaitable: Awaitable[Value]) -> Value:
        """Wait for Redis."""
        return self.loop.run_until_complete(_as_coroutine(awaitable))

    @initialize()
    def empty(self) -> None:
        self.run(self.redis.flushall())

    def teardown(self) -> None:
        self.run(self.redis.aclose())
        self.loop.close()

    # --- receivers ---

    @rule(
        path=st.sampled_from(PATHS),
        lanes=st.lists(st.sampled_from(LANES), min_size=1, max_size=4),
        whom=st.sampled_from(ENTITIES),
        claimed=st.booleans(),
    )
    def admit(self, path: RoutePath, lanes: list[str], whom: str, claimed: bool) -> None:
        count = len(lanes)
        candidates = []
        for lane in lanes:
            self.count += 1
            name = DeliveryId(f"d-{self.count:04d}")
            claims = [Claim(ClaimId(name), 3600)] if claimed else []
            candidates.append(Candidate(sample_delivery(name, route=path), claims, lane=lane, whom=whom))
        found = self.run(self.admissions.admit(path, candidates, rate=None))
        assert isinstance(found, Admitted) == self._fits(path, count)
        if isinstance(found, Admitted):
            for candidate, fate in zip(candidates, found.fates, strict=True):
                assert isinstance(fate, New)
                claim = candidate.claims[0].id if candidate.claims else ""
                self.known[fate.delivery] = Known(path, claim, lane=candidate.lane, whom=whom, seq=self._next_seq())
                self._supersede(fate.delivery)
                self._line_up(fate.delivery)
                if claim:
                    self.claims[claim] = fate.delivery

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), lane=st.sampled_from(LANES))
    def send_again(self, data: st.DataObject, lane: str) -> None:
        claim = data.draw(st.sampled_from(sorted(self.claims)))
        first = self.claims[claim]
        known = self.known[first]
        candidate = Candidate(
            sample_delivery("d-other", route=known.path), [Claim(ClaimId(claim), 3600)], lane=lane, whom=known.whom
        )
        found = self.run(self.admissions.admit(known.path, [candidate], rate=None))
        if known.place == "dead" and isinstance(found, Admitted):
            assert found.fates == [Again(first)]
            if lane != known.lane:
                self._leave(first)
            known.lane, known.seq = lane, self._next_seq()
            self._queued_again(first)
        elif isinstance(found, Admitted):
            assert found.fates == [Repeat(first)]

    @rule(path=st.sampled_from(PATHS))
    def bury(self, path: RoutePath) -> None:
        self.count += 1
        name = DeliveryId(f"d-{self.count:04d}")
        letter = Candidate(sample_delivery(name, route=path), [], dead=(DeadReason.UNPARSABLE, "no JSON"), lane="left")
        found = self.run(self.admissions.admit(path, [letter], rate=None))
        assert isinstance(found, Admitted)
        self.known[name] = Known(path, "", place="dead", ends=1, lane="left", seq=self._next_seq())

    @rule(path=st.sampled_from(PATHS), whom=st.sampled_from(["left", "right"]), count=st.integers(1, 3))
    def collect(self, path: RoutePath, whom: str, count: int) -> None:
        """Admit events of one entity, whose first one collects the others; they are in its lane."""
        names = [DeliveryId(f"d-{self.count + number:04d}") for number in range(1, count + 1)]
        self.count += count
        candidates = [
            Candidate(sample_delivery(name, route=path), [Claim(ClaimId(name), 3600)], lane=whom, whom=whom)
            for name in names
        ]
        first = next((name for name, known in self.known.items() if (known.path, known.collects) == (path, whom)), None)
        fits = bool(first) or self._fits(path, 1)
        found = self.run(self.admissions.admit(path, candidates, rate=None, debounce=DEBOUNCED))
        assert isinstance(found, Admitted) == fits
        if isinstance(found, Admitted):
            for name, fate in zip(names, found.fates, strict=True):
                seq = self._next_seq()
                if first is None:
                    assert fate == New(name)
                    first = name
                    self.known[name] = Known(path, name, place="later", lane=whom, collects=whom, seq=seq)
                else:
                    assert fate == Joined(first)
                    self.known[first].events += 1
                self.claims[name] = first

    # --- workers ---

    @rule(worker=st.sampled_from(WORKERS), wanted=st.integers(1, 3))
    def lease(self, worker: str, wanted: int) -> None:
        busy = sum(held.worker == worker for held in self.held)
        taken = self.run(self.work.lease(GROUP, worker=worker, lease_ms=LONG_MS, wanted=wanted, busy=busy))
        self._looked()
        if taken.drain:
            assert busy
            assert any(known.place == "suspect" for known in self.known.values())
        if any(lease.alone for lease in taken.leases):
            assert len(taken.leases) == 1
            assert not busy
        for lease in taken.leases:
            known = self.known[lease.delivery]
            assert known.place == ("suspect" if lease.alone else "ready")
            assert known.path not in self.held_routes or lease.alone
            assert not known.lane or known.by or self.lanes[known.path, known.lane].first == lease.delivery
            assert self._running(known.path) < self.limits.get(known.path, 1000)
            assert known.lease is None or lease.fence > known.lease.fence
            known.place, known.lease, known.begun, known.asking = "running", lease, False, False
            self.held.append(Held(worker, lease))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        held, known = self._any(data)
        begun = self._accepted(held, lambda: self.work.begin(held.lease, traceparent=""))
        if begun is not None:
            known.attempts += 1
            known.begun = True
            assert begun.attempts == known.attempts
            assert (begun.answer or b"") == known.answer
            assert int(begun.fields.get(b"events", 1)) == known.events
            assert begun.superseded_by == known.by

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        held, known = self._any(data)
        if self._accepted(held, lambda: self.work.asking(held.lease)) is not None:
            known.begun = known.asking = True

    @precondition(lambda self: self.held)
    @rule(data=st.data(), answer=st.binary(min_size=1, max_size=4), is_final=st.booleans())
    def save(self, data: st.DataObject, answer: bytes, is_final: bool) -> None:
        held, known = self._any(data)
        is_kept = known.lease == held.lease and known.place not in _ENDED  # nobody has taken it since
        said = self._accepted(held, lambda: self.work.save(held.lease, answer, is_final=is_final))
        assert said in {None, True, known.by}
        assert said is not True or not known.by
        if is_kept:
            known.answer = answer
            known.is_answered = known.is_answered or is_final

    @precondition(lambda self: self.held)
    @rule(data=st.data(), is_dead=st.booleans())
    def settle(self, data: st.DataObject, is_dead: bool) -> None:
        held, known = self._any(data)
        outcome, reason = ("dead", "timeout") if is_dead else ("succeeded", "")
        done = self._accepted(
            held,
            lambda: self.work.settle(
                held.lease, outcome=outcome, reason=reason, detail="", retention=KEPT, fields={"about": "{}"}
            ),
        )
        self.held.remove(held)
        if done is not None:
            known.place = "dead" if is_dead else "settled"
            known.ends += 1
            assert known.ends == 1
            self._resign(held.lease.delivery)
            if not (is_dead and known.path in self.strict and not known.by):
                self._leave(held.lease.delivery)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), pause_ms=st.sampled_from([0, LONG_MS]), counts=st.booleans())
    def put_back(self, data: st.DataObject, pause_ms: int, counts: bool) -> None:
        held, known = self._any(data)
        done = self._accepted(held, lambda: self.work.put_back(held.lease, pause_ms=pause_ms, counts=counts))
        self.held.remove(held)
        if done is not None:
            known.attempts -= known.begun and not counts
            known.begun = known.asking = False
            known.place = "later" if pause_ms and not known.by else "ready"

    @precondition(lambda self: self.held)
    @rule(data=st.data(), trouble=st.sampled_from(TROUBLES), has_asked=st.booleans())
    def park(self, data: st.DataObject, trouble: Trouble, has_asked: bool) -> None:
        held, known = self._any(data)
        done = self._accepted(held, lambda: self.work.park(held.lease, trouble, has_asked=has_asked))
        self.held.remove(held)
        if done is not None:
            known.attempts -= known.begun
            known.begun = known.asking = False
            known.place, known.cause = ("ready", "") if known.by else ("parked", trouble.cause)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), bucket=st.sampled_from(BUCKETS))
    def wait(self, data: st.DataObject, bucket: str) -> None:
        held, known = self._any(data)
        done = self._accepted(held, lambda: self.work.wait(held.lease, bucket, Size(100, 10), until_ms=0))
        self.held.remove(held)
        if done is not None:
            known.attempts -= known.begun
            known.begun = known.asking = False
            known.place, known.cause = ("ready", "") if known.by else ("throttled", bucket)

    @rule(count=st.integers(1, 4), granted=st.integers(0, 4), dies=st.booleans())
    def turn(self, count: int, granted: int, dies: bool) -> None:
        """Grant places to those whose turn it is; their worker may die before it says so."""
        for bucket in BUCKETS:
            self.run(self.redis.zadd(GROUP.turns, {bucket: 0}, xx=True))
        goes_on = self._may_go_on()
        turn = self.run(self.work.turn(GROUP, count=count))
        called: set[DeliveryId] = set()
        if turn is not None:
            assert len(turn.waiting) <= count
            for each, path in zip(turn.waiting, turn.paths, strict=True):
                known = self.known[each.delivery]
                assert (known.place, known.cause, known.path) == ("throttled", turn.bucket, path)
                assert path not in self.held_routes
            assert {each.delivery for each in turn.waiting} <= goes_on
            if not dies:
                called = {each.delivery for each in turn.waiting[:granted]}
                assert self.run(self.work.call_up(GROUP, turn, Granted(granted, 0))) == len(called)
        waiting = [name for name, known in self.known.items() if known.place == "throttled"]
        ready = self._ready_now(waiting)
        assert called <= set(ready)
        for name in ready:
            assert name in called or self.known[name].path in self.held_routes
            self.known[name].place, self.known[name].cause = "ready", ""

    @precondition(lambda self: self.held)
    @rule(worker=st.sampled_from(WORKERS))
    def renew(self, worker: str) -> None:
        own = [held.lease for held in self.held if held.worker == worker]
        renewed = self.run(self.work.renew(GROUP, own, lease_ms=LONG_MS))
        lost = set(renewed.lost)
        for lease in own:
            known = self.known[lease.delivery]
            is_valid = known.lease == lease and known.place in {"running", "over"}
            if is_valid:
                known.place = "running"
                assert lease.delivery not in lost
                assert renewed.superseded.get(lease.delivery, "") == known.by
            else:
                assert lease.delivery in lost

    # --- what goes wrong ---

    @precondition(lambda self: self.held)
    @rule(data=st.data(), forgets=st.booleans())
    def run_out(self, data: st.DataObject, forgets: bool) -> None:
        """Let a lease run out: its worker was killed, or stands still and will go on later."""
        held, known = self._any(data)
        if known.lease == held.lease and known.place == "running":
            self.run(self.redis.zadd(GROUP.running, {held.lease.delivery: 0}, xx=True))
            self.run(self.redis.delete(GROUP.solo))
            known.place = "over"
        if forgets:
            self.held.remove(held)

    @rule()
    def time_passes(self) -> None:
        """Let everything that waits for a time be due."""
        for name, known in self.known.items():
            if known.place == "later":
                self.run(self.redis.zadd(GROUP.later, {name: 0}, xx=True))
        self.run(self.work.lease(GROUP, worker="nobody", lease_ms=LONG_MS, wanted=0, busy=1))
        self._looked()
        for name in sorted(name for name, known in self.known.items() if known.place == "later"):
            if self.known[name].collects:
                self.known[name].collects = ""
                self._line_up(name)
            else:
                self.known[name].place = "ready"

    @rule(data=st.data())
    def forget_scripts(self, data: st.DataObject) -> None:  # noqa: ARG002 - hypothesis wants it the same for all
        self.run(self.redis.script_flush())

    # --- troubles, routes, people ---

    @rule(trouble=st.sampled_from(TROUBLES), count=st.integers(1, 5))
    def unpark(self, trouble: Trouble, count: int) -> None:
        waiting = sorted(
            name for name, known in self.known.items() if known.place == "parked" and known.cause == trouble.cause
        )
        left = self.run(self.upkeep.unpark(GROUP, trouble.cause, count=count))
        assert left == max(len(waiting) - count, 0)
        for name in self._ready_now(waiting):
            self.known[name].place, self.known[name].cause = "ready", ""

    @rule(path=st.sampled_from(PATHS), holds=st.booleans())
    def hold(self, path: RoutePath, holds: bool) -> None:
        if holds:
            self.run(self.upkeep.hold(GROUP, path, "withheld"))
            self.held_routes.add(path)
        else:
            self.run(self.upkeep.release(GROUP, [path]))
            self.held_routes.discard(path)

    @rule(path=st.sampled_from(PATHS), most=st.integers(0, 2), is_strict=st.booleans())
    def limit(self, path: RoutePath, most: int, is_strict: bool) -> None:
        self.run(self.upkeep.limit(GROUP, {path: Limit(most, holds_lanes=is_strict)}))
        self.limits[path] = most or 1000
        (self.strict.add if is_strict else self.strict.discard)(path)

    @rule()
    def keep(self) -> None:
        """Look after the queue: what holds a lane of a route that is strict no more lets go."""
        self.run(self.upkeep.keep(GROUP, worker="keeper", for_ms=1, cursor=0, routes=100, count=100))
        for (path, _), lane in self.lanes.items():
            if lane.first and self.known[lane.first].place == "dead" and path not in self.strict:
                self._leave(lane.first)

    @precondition(lambda self: any(known.place in _ENDED for known in self.known.values()))
    @rule(data=st.data(), mode=st.sampled_from(["resume", "whole", "sinks"]))
    def replay(self, data: st.DataObject, mode: str) -> None:
        name = data.draw(st.sampled_from(sorted(name for name, known in self.known.items() if known.place in _ENDED)))
        known = self.known[name]
        (said,) = self.run(self.call(scripts.REPLAY, GROUP.prefix, [mode, name]))
        if known.place == "gone":
            assert said == b"unknown"
        elif mode == "sinks" and not known.answer:
            assert said == b"no_answer"
        else:
            assert said == b"ok"
            self._queued_again(name)
            if mode == "whole":
                known.answer, known.is_answered = b"", False

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.known)))
        known = self.known[name]
        (said,) = self.run(self.call(scripts.DISCARD, GROUP.prefix, [name]))
        expected = {"dead": b"ok", "gone": b"unknown"}.get(known.place, b"alive")
        assert said == expected
        if known.place == "dead":
            known.place = "gone"
            self._leave(name)

    # --- what must hold ---

    @invariant()
    def everything_is_in_one_place(self) -> None:
        places: Counter[tuple[str, str]] = Counter()
        for path in PATHS:
            places.update(("ready", name.decode()) for name in self.run(self.redis.zrange(GROUP.ready(path), 0, -1)))
            places.update(("behind", name.decode()) for name in self.run(self.redis.zrange(GROUP.behind(path), 0, -1)))
            places.update(("dead", name.decode()) for name in self.run(self.redis.zrange(GROUP.dead(path), 0, -1)))
            ended = self.run(self.redis.zrange(GROUP.finished("bodies", path), 0, -1))
            places.update(("settled", name.decode()) for name in ended)
        for trouble in TROUBLES:
            waiting = self.run(self.redis.zrange(GROUP.parked(trouble.cause), 0, -1))
            places.update(("parked", name.decode()) for name in waiting)
        for bucket in BUCKETS:
            for path in PATHS:
                waiting = self.run(self.redis.zrange(GROUP.waiting(bucket, path), 0, -1))
                places.update(("throttled", name.decode()) for name in waiting)
        for place, key in (("running", GROUP.running), ("later", GROUP.later), ("suspect", GROUP.suspects)):
            places.update((place, name.decode()) for name in self.run(self.redis.zrange(key, 0, -1)))
        wanted = {
            ("running" if known.place == "over" else known.place, name)
            for name, known in self.known.items()
            if known.place != "gone"
        }
        assert set(places) == wanted
        assert set(places.values()) <= {1}

    @invariant()
    def the_accounts_add_up(self) -> None:
        for path in (None, *PATHS):
            own = [
                name for name, known in self.known.items() if known.place not in _ENDED and path in {None, known.path}
            ]
            key = GROUP.usage if path is None else GROUP.route(path)
            depth, size = self.run(self.redis.hmget(key, "depth", "bytes"))
            lengths = [self.run(self.redis.hstrlen(GROUP.delivery(name), "body")) for name in own]
            for name in own:
                more = self.run(self.redis.lrange(GROUP.collected(name), 0, -1))
                assert len(more) == (self.known[name].events - 1 if self.known[name].collects else 0)
                lengths += [len(event) + 1 for event in more]
            assert (int(depth or 0), int(size or 0)) == (len(own), sum(lengths)), path

    @invariant()
    def lanes_are_in_order(self) -> None:
        for (path, name), lane in self.lanes.items():
            found = self.run(self.redis.zrange(GROUP.lane(path, name), 0, -1, withscores=True))
            waiting = sorted((self.known[each].seq, each) for each in lane.behind)
            wanted = [(0, lane.first), *waiting] if lane.first and name else []
            assert [(score, each.decode()) for each, score in found] == wanted

    @invariant()
    def the_newest_of_each_entity_is_known(self) -> None:
        whose = [(path, whom) for path in PATHS for whom in ENTITIES if whom]
        found = self.run(self.redis.mget([GROUP.newest(path, whom) for path, whom in whose]))
        known = {key: value.decode() for key, value in zip(whose, found, strict=True) if value}
        assert known == {key: f"{name} {self.known[name].seq}" for key, name in self.newest.items()}

    @invariant()
    def routes_with_work_take_turns(self) -> None:
        turns = {path.decode() for path in self.run(self.redis.zrange(GROUP.rotation, 0, -1))}
        ready = {known.path for known in self.known.values() if known.place == "ready"}
        full = {path for path, most in self.limits.items() if self._running(path) >= most}
        assert turns == ready - self.held_routes - full

    @invariant()
    def routes_that_wait_for_a_bucket_take_turns_at_it(self) -> None:
        due = {bucket.decode() for bucket in self.run(self.redis.zrange(GROUP.turns, 0, -1))}
        for bucket in BUCKETS:
            turns = {path.decode() for path in self.run(self.redis.zrange(GROUP.waiting_routes(bucket), 0, -1))}
            waiting = {
                known.path for known in self.known.values() if known.place == "throttled" and known.cause == bucket
            }
            assert turns == waiting
            assert bucket in due or not waiting

    @invariant()
    def what_runs_is_known_of_each_route(self) -> None:
        for path in PATHS:
            running = {name for name, known in self.known.items() if known.path == path and _runs(known)}
            assert {name.decode() for name in self.run(self.redis.smembers(GROUP.active(path)))} == running

    def _fits(self, path: RoutePath, count: int) -> bool:
        queued = [known.path for known in self.known.values() if known.place not in _ENDED]
        return len(queued) + count <= 40 and queued.count(path) + count <= 40 - len(queued)

    def _running(self, path: RoutePath) -> int:
        return sum(known.path == path and _runs(known) for known in self.known.values())

    def _may_go_on(self) -> set[DeliveryId]:
        """Name those that wait for the throttle and could run by their limit; the earliest first."""
        found: set[DeliveryId] = set()
        for path in PATHS:
            own = [(known.seq, name) for name, known in self.known.items() if known.path == path]
            ready = [seq for seq, name in own if self.known[name].place == "ready"]
            free = self.limits.get(path, 1000) - self._running(path)
            for bucket in BUCKETS:
                waiting = sorted(
                    each
                    for each in own
                    if self.known[each[1]].place == "throttled" and self.known[each[1]].cause == bucket
                )
                found.update(
                    name for row, (seq, name) in enumerate(waiting) if row + sum(each < seq for each in ready) < free
                )
        return found

    def _any(self, data: st.DataObject) -> tuple[Held, Known]:
        held = data.draw(st.sampled_from(self.held))
        return held, self.known[held.lease.delivery]

    def _accepted(self, held: Held, call: Callable[[], Awaitable[Any]]) -> Any:
        """Act under a lease; it must be accepted exactly when that lease is the valid one. None when it was refused."""
        known = self.known[held.lease.delivery]
        is_valid = known.lease == held.lease and known.place in {"running", "over"}
        try:
            done = self.run(call())
        except LeaseLost:
            assert not is_valid
            return None
        assert is_valid
        return True if done is None else done

    def _cut_short(self, known: Known) -> None:
        if known.begun:
            known.cuts += 1
        known.place = "suspect" if known.begun and (known.cuts > 1 or not known.asking) else "ready"
        known.begun = known.asking = False

    def _queued_again(self, name: DeliveryId) -> None:
        known = self.known[name]
        known.attempts, known.ends, known.cuts, known.by = 0, 0, 0, ""
        if known.whom:
            self.newest.setdefault((known.path, known.whom), name)
        self._line_up(name)

    def _supersede(self, name: DeliveryId) -> None:
        known = self.known[name]
        if not known.whom:
            return
        older = self.newest.get((known.path, known.whom))
        self.newest[known.path, known.whom] = name
        if older and not self.known[older].is_answered:
            self.known[older].by = name
            self.outdone.append(older)
            if not _runs(self.known[older]):
                known.seq = self.known[older].seq

    def _resign(self, name: DeliveryId) -> None:
        known = self.known[name]
        if self.newest.get((known.path, known.whom)) == name:
            del self.newest[known.path, known.whom]

    def _looked(self) -> None:
        """Note what a look at the queue changes: what leases have run out, what waits though it is superseded."""
        for known in self.known.values():
            if known.place == "over":
                self._cut_short(known)
        for name in self.outdone:
            known = self.known[name]
            if known.by and known.place in {"later", "throttled", "parked"}:
                known.place, known.cause = "ready", ""
            elif known.by and known.place == "behind":
                known.place = "ready"
                self.lanes[known.path, known.lane].behind.remove(name)
        self.outdone = []

    def _next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def _line_up(self, name: DeliveryId) -> None:
        known = self.known[name]
        lane = self.lanes[known.path, known.lane]
        if not known.lane or lane.first in {None, name}:
            known.place, lane.first = "ready", name
        else:
            known.place = "behind"
            lane.behind.add(name)

    def _leave(self, name: DeliveryId) -> None:
        """Leave its lane, which it may have left before."""
        known = self.known[name]
        lane = self.lanes[known.path, known.lane]
        if known.lane and lane.first == name:
            lane.first = min(lane.behind, key=lambda each: (self.known[each].seq, each), default=None)
            if lane.first:
                lane.behind.remove(lane.first)
                self.known[lane.first].place = "ready"

    def _ready_now(self, names: list[DeliveryId]) -> list[DeliveryId]:
        return [
            name for name in names if self.run(self.redis.zscore(GROUP.ready(self.known[name].path), name)) is not None
        ]


def _runs(known: Known) -> bool:
    return known.place in {"running", "over"}


async def _as_coroutine(awaitable: Awaitable[Value]) -> Value:
    return await awaitable


def assert_holds(redis_url: str, *, examples: int) -> None:
    """Run the machine against a Redis, the same way each time."""
    Queue.redis_url = redis_url
    run_state_machine_as_test(
        Queue,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_whatever_happens_every_delivery_is_in_one_place_and_obeys_one_lease(valkey_url: str) -> None:
    assert_holds(valkey_url, examples=60)
