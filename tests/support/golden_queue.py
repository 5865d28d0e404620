"""Golden calls to the queue: situations of each script, and `tests/golden/queue/<script>.yaml` with what came of it.

Each situation ends with one call; the file tells what it returned and all that it changed. The clock stands still.
`PYTHONPATH=tests python -m support.golden_queue` writes the files anew; read the difference before you commit it.
"""

import asyncio
import functools
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from eventroute.delivery import encode_delivery
from eventroute.ids import Claim, ClaimId, DeliveryId, RoutePath, sending_path
from eventroute.outcome import DeadReason
from eventroute.queue import Amount, Candidate, Lease, LeaseLost, Ledger, Limit, Retention, Taken, Trouble, scripts
from eventroute.route_table import INSTALLATION, RateLimit
from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import RedisForbids
from eventroute.throttle import Granted, Size
from support.budgets import DAY_S, OF_ALL, budget
from support.queue import GROUP
from support.runs import PATH, sample_delivery
from support.still_queue import StillQueue
from support.valkey import valkey_server

FOLDER: Final = Path(__file__).parent.parent / "golden" / "queue"

OTHER: Final = RoutePath("team-b/other")
THIRD: Final = RoutePath("team-c/third")
KEY: Final = Trouble(reason="billing", detail="402 billing", key_id="own", model="")
MODEL: Final = Trouble(reason="not_found", detail="404", key_id="own", model="claude-gone")
HAIKU: Final = "own:claude-haiku-5-5"
SONNET: Final = "own:claude-sonnet-5-5"
SIZED: Final = Size(300, 1024)
CALL: Final = Amount(400, 70)
KEPT: Final = Retention(body=60_000, answer=120_000, record=180_000)
LEASE_MS: Final = 15_000
LONG: Final = "d-f1e2d3c4b5a6978889acbdcedf0a"
CLAIMS: Final = (Claim(ClaimId("one"), 600), Claim(ClaimId("two"), 7200))
TOKENS: Final = 64
SIZE: Final = len(encode_delivery(sample_delivery(payload=b"1")))
DEAD_BYTES: Final = 32 * 1024 * 1024
RATE: Final = RateLimit(per_second=2, burst=3)

Situation = Callable[[StillQueue], Awaitable[Any]]
SITUATIONS: Final[dict[str, dict[str, Situation]]] = {}


def _of(script: str, name: str) -> Callable[[Situation], Situation]:
    def note(situation: Situation) -> Situation:
        assert name not in SITUATIONS.setdefault(script, {})
        SITUATIONS[script][name] = situation
        return situation

    return note


async def told(queue: StillQueue, situation: Situation) -> dict[str, Any]:
    """Tell what came of a situation's last call: what it returned, or the script where the call returns nothing."""
    try:
        returned = await situation(queue)
    except RedisForbids as error:
        return {"refused": str(error)}
    return {"returns": queue.told(queue.reply if returned is None else returned), "changes": queue.changes}


@functools.lru_cache
def expected(script: str) -> Any:
    """Read what should come of a script's situations."""
    return yaml.safe_load((FOLDER / f"{script}.yaml").read_text(encoding="utf-8"))


# --- steps on the way to a situation ---


def candidate(
    name: str, *claims: Claim, letter: bool = False, path: RoutePath = PATH, payload: bytes = b"1"
) -> Candidate:
    """Make what asks for admission."""
    dead = (DeadReason.UNPARSABLE, "no JSON") if letter else None
    return Candidate(sample_delivery(name, route=path, payload=payload), claims, dead=dead)


async def admit(queue: StillQueue, *names: str, path: RoutePath = PATH) -> None:
    """Queue deliveries, each by a call of its own."""
    for name in names:
        await queue.admissions().admit(path, [candidate(name, path=path)], rate=None)


async def look(queue: StillQueue, wanted: int = 1, *, busy: int = 0, worker: str = "w", **options: Any) -> Taken:
    """Lease what is ready."""
    return await queue.work.lease(GROUP, worker=worker, lease_ms=LEASE_MS, wanted=wanted, busy=busy, **options)


async def leased(queue: StillQueue, name: str = "d-1", *, path: RoutePath = PATH) -> Lease:
    """Queue a delivery and lease it."""
    await admit(queue, name, path=path)
    taken = await look(queue)
    assert [each.delivery for each in taken.leases] == [name]
    return taken.leases[0]


async def begun(queue: StillQueue, name: str = "d-1", *, path: RoutePath = PATH) -> Lease:
    """Queue a delivery and begin its attempt."""
    lease = await leased(queue, name, path=path)
    await queue.work.begin(lease, traceparent="00-first")
    return lease


async def limited(queue: StillQueue, most: int, *running: str, waiting: Sequence[str] = ()) -> list[Lease]:
    """Let deliveries run of a route that has a limit, while others wait."""
    leases = [await begun(queue, name) for name in running]
    await queue.upkeep.limit(GROUP, {PATH: Limit(most)})
    await admit(queue, *waiting)
    return leases


async def cut_short(queue: StillQueue, name: str = "d-1", *, asks: bool = False) -> None:
    """Let a worker go away in the middle of an attempt, for as long as its lease lives."""
    lease = await begun(queue, name)
    if asks:
        await queue.work.asking(lease)
    queue.now_ms += LEASE_MS


async def suspected(queue: StillQueue) -> None:
    """Let a delivery be a suspect that nobody runs."""
    await cut_short(queue)
    await look(queue, wanted=0)


async def settled(queue: StillQueue, name: str = "d-1", outcome: str = "succeeded", *, kept: Retention = KEPT) -> Lease:
    """Queue a delivery and end it, with an answer and with all that an attempt leaves."""
    await queue.admissions().admit(PATH, [candidate(name)], rate=None, traceparent="00-receipt")
    lease = (await look(queue)).leases[0]
    await queue.work.begin(lease, traceparent="00-first")
    await queue.work.put_back(lease, pause_ms=0, counts=False, error="529")
    lease = (await look(queue)).leases[0]
    await queue.work.begin(lease, traceparent="00-second")
    await queue.work.save(lease, b"an answer")
    await queue.work.mark_sink(lease, "log")
    await queue.work.remember(lease, "route/x", b"entry", seq=1, keep=3, ttl_s=600)
    await settle(queue, lease, outcome, kept=kept)
    return lease


async def settle(queue: StillQueue, lease: Lease, outcome: str = "succeeded", *, kept: Retention = KEPT) -> None:
    """End a delivery."""
    await queue.work.settle(
        lease,
        outcome=outcome,
        reason="sink" if outcome == "dead" else "",
        detail="said",
        retention=kept,
        fields={"about": "what"},
    )


async def parked(queue: StillQueue, name: str, trouble: Trouble = KEY, *, path: RoutePath = PATH) -> None:
    """Queue a delivery and let it wait for a trouble that it did not meet itself."""
    await queue.work.park(await begun(queue, name, path=path), trouble, has_asked=False)


async def lost(call: Awaitable[Any]) -> str:
    """Tell what a worker hears that has lost its lease."""
    try:
        await call
    except LeaseLost as error:
        return f"LeaseLost: {error}"
    return "nothing"


async def overtaken(queue: StillQueue) -> Lease:
    """Let a lease run out, and another worker have the delivery."""
    lease = await leased(queue)
    queue.now_ms += LEASE_MS
    await look(queue, worker="other")
    return lease


async def size_of(queue: StillQueue, name: str) -> int:
    """Count the bytes of a delivery's body."""
    return int(await queue.redis.hstrlen(GROUP.delivery(DeliveryId(name)), "body"))


# --- admit ---


@_of("admit", "the first of its route")
async def _(queue: StillQueue) -> Any:
    return await queue.admissions().admit(PATH, [candidate(LONG, *CLAIMS)], rate=RATE, traceparent="00-receipt")


@_of("admit", "another of a route")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1")
    await admit(queue, "d-2", path=OTHER)
    queue.now_ms += 10
    return await queue.admissions().admit(PATH, [candidate("d-3")], rate=None)


@_of("admit", "a batch of new ones with a dead letter and repeats")
async def _(queue: StillQueue) -> Any:
    one, two = CLAIMS
    await queue.admissions().admit(PATH, [candidate(LONG, one)], rate=None)
    batch = [
        candidate("d-2"),
        candidate("d-3", two),
        candidate("d-4", two),
        candidate("d-5", Claim(ClaimId("three"), 60), one),
        candidate("d-6", letter=True),
    ]
    return await queue.admissions().admit(PATH, batch, rate=None, traceparent="00-receipt")


@_of("admit", "nothing but a repeat when all is full")
async def _(queue: StillQueue) -> Any:
    await queue.admissions().admit(PATH, [candidate(LONG, *CLAIMS)], rate=RATE)
    full = queue.admissions(depth=0, size=1)
    return await full.admit(PATH, [candidate("d-2", *CLAIMS)], rate=RateLimit(per_second=1, burst=0))


@_of("admit", "only a dead letter when there is no room for work")
async def _(queue: StillQueue) -> Any:
    return await queue.admissions(depth=0, size=1).admit(PATH, [candidate("d-1", letter=True)], rate=None)


@_of("admit", "a dead letter again and what repeats it in one batch")
async def _(queue: StillQueue) -> Any:
    await queue.admissions().admit(PATH, [candidate("d-1", *CLAIMS)], rate=None)
    lease = (await look(queue)).leases[0]
    await queue.work.begin(lease, traceparent="00-first")
    await queue.work.save(lease, b"an answer")
    await queue.work.mark_sink(lease, "log")
    await settle(queue, lease, "dead")
    await queue.redis.hset(GROUP.delivery(lease.delivery), mapping={"waits": 2, "due": 1, "stage": "asking"})
    queue.now_ms += 5000
    batch = [candidate("d-2", *CLAIMS, payload=b"12345"), candidate("d-3", *CLAIMS), candidate("d-4", letter=True)]
    return await queue.admissions().admit(PATH, batch, rate=None, traceparent="00-again")


@_of("admit", "a dead letter that repeats a dead letter")
async def _(queue: StillQueue) -> Any:
    await queue.admissions().admit(PATH, [candidate("d-1", *CLAIMS, letter=True)], rate=None)
    return await queue.admissions().admit(PATH, [candidate("d-2", *CLAIMS, letter=True)], rate=None)


@_of("admit", "a third route, which takes the last turn")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1")
    await admit(queue, "e-1", path=OTHER)
    return await queue.admissions().admit(THIRD, [candidate("f-1", path=THIRD)], rate=None)


@_of("admit", "of a route of which as many run as may")
async def _(queue: StillQueue) -> Any:
    await limited(queue, 1, "d-1")
    return await queue.admissions().admit(PATH, [candidate("d-2")], rate=None)


@_of("admit", "of a route of which one more may run")
async def _(queue: StillQueue) -> Any:
    await limited(queue, 2, "d-1")
    return await queue.admissions().admit(PATH, [candidate("d-2")], rate=None)


@_of("admit", "of a route that is held")
async def _(queue: StillQueue) -> Any:
    await queue.upkeep.hold(GROUP, PATH, "withheld")
    return await queue.admissions().admit(PATH, [candidate("d-1")], rate=None)


async def _limits(queue: StillQueue, *, own: int, all_: int, depth: int, size: int, batch: int = 1) -> Any:
    """Ask for admission where a route has some of what is queued, in deliveries of one size."""
    await admit(queue, *(f"d-{number}" for number in range(own)))
    await admit(queue, *(f"e-{number}" for number in range(all_ - own)), path=OTHER)
    one = await size_of(queue, "d-0" if own else "e-0") if all_ else 0
    admissions = queue.admissions(depth=depth, size=size * one // 100)
    return await admissions.admit(PATH, [candidate(f"f-{number}") for number in range(batch)], rate=None)


def _limit(name: str, **options: int) -> None:
    async def situation(queue: StillQueue) -> Any:
        returned = await _limits(queue, **options)
        queue.changes = {} if not queue.changes else {"usage": queue.changes["usage"]}
        return returned

    _of("admit", name)(situation)


_limit("the last one that the queue has room for", own=0, all_=4, depth=5, size=0)
_limit("one more than the queue has room for", own=0, all_=5, depth=5, size=0)
_limit("a batch that the queue has room for", own=0, all_=2, depth=4, size=0, batch=2)
_limit("a batch larger than what is left", own=0, all_=3, depth=4, size=0, batch=2)
_limit("a batch larger than a route may have", own=1, all_=1, depth=4, size=0, batch=3)
_limit("a batch as large as a route may have", own=1, all_=1, depth=4, size=0, batch=2)
_limit("as many as are left free", own=2, all_=2, depth=5, size=0)
_limit("more than are left free", own=2, all_=3, depth=5, size=0)
_limit("the last bytes that there are", own=0, all_=3, depth=99, size=400)
_limit("more bytes than there are", own=0, all_=3, depth=99, size=399)
_limit("as many bytes as are left free", own=1, all_=1, depth=99, size=300)
_limit("more bytes than are left free", own=1, all_=1, depth=99, size=299)
_limit("any bytes", own=3, all_=3, depth=99, size=0)


@_of("admit", "one byte is a limit too")
async def _(queue: StillQueue) -> Any:
    return await queue.admissions(size=1).admit(PATH, [candidate("d-1")], rate=None)


@_of("admit", "work beside dead letters above their bound")
async def _(queue: StillQueue) -> Any:
    await queue.redis.hset(GROUP.route(PATH), "dead_bytes", 2**40)
    return await queue.admissions().admit(PATH, [candidate("d-1")], rate=None)


async def _rated(queue: StillQueue, rate: RateLimit, batch: int, *, ago_ms: int, tokens: float) -> Any:
    await queue.redis.hset(GROUP.route(PATH), mapping={"tokens": tokens, "filled": queue.now_ms - ago_ms})
    candidates = [candidate(f"d-{number}") for number in range(batch)]
    return await queue.admissions().admit(PATH, candidates, rate=rate)


def _rate(name: str, rate: RateLimit = RATE, batch: int = 1, *, ago_ms: int = 0, tokens: float) -> None:
    async def situation(queue: StillQueue) -> Any:
        returned = await _rated(queue, rate, batch, ago_ms=ago_ms, tokens=tokens)
        queue.changes = {key: queue.changes[key] for key in queue.changes if key.startswith("route:")}
        return returned

    _of("admit", name)(situation)


_rate("the last token", tokens=1)
_rate("not quite a token", tokens=0.75)
_rate("a token that has just come", ago_ms=500, tokens=0)
_rate("a token that comes in a millisecond", ago_ms=499, tokens=0)
_rate("one of a full bucket", ago_ms=60_000, tokens=0)
_rate("all of a full bucket", batch=3, ago_ms=60_000, tokens=0)
_rate("more than a bucket holds", batch=5, ago_ms=60_000, tokens=0)
_rate("more than is in the bucket", batch=3, tokens=1)
_rate("one a second", RateLimit(per_second=1, burst=1), tokens=0, ago_ms=750)
_rate("a part of a millisecond", RateLimit(per_second=3, burst=1), tokens=0)
_rate("less than one a second", RateLimit(per_second=0.5, burst=1), tokens=0, ago_ms=1000)
_rate("a clock that was set back while the bucket is empty", ago_ms=-5000, tokens=0)
_rate("a clock that was set back while there are tokens", ago_ms=-5000, tokens=2)


async def _admit_raw(queue: StillQueue, *items: str | int, depth: int = 9, size: int = 0) -> Any:
    return await queue(scripts.ADMIT, GROUP.prefix, [PATH, depth, size, 0, 0, "", 0, 0, *items])


@_of("admit", "one of each kind in the script's own words")
async def _(queue: StillQueue) -> Any:
    await _admit_raw(queue, "d-1", "x", "", "", "", "", 1, "one", 600)
    dead = ("d-2", "x", "unparsable", "one", "", "", 1, "two", 600)  # its detail is no claim
    await _admit_raw(queue, *dead)
    work = ("d-3", "x", "", "", "", "", 0)
    repeats = [("d-4", "x", "", "", "", "", 1, "one", 1), ("d-5", "x", "", "", "", "", 1, "two", 1)]
    return await _admit_raw(queue, *repeats[0], *dead, *repeats[1], *work)


@_of("admit", "a detail that is named like a claim")
async def _(queue: StillQueue) -> Any:
    await _admit_raw(queue, "d-1", "x", "", "", "", "", 1, "one", 600)
    return await _admit_raw(queue, "d-2", "x", "unparsable", "one", "", "", 1, "two", 600)


@_of("admit", "a full queue in the script's own words")
async def _(queue: StillQueue) -> Any:
    return await _admit_raw(queue, "d-1", "x", "", "", "", "", 0, depth=0)


@_of("admit", "a byte of work when a route has all the bytes that there are")
async def _(queue: StillQueue) -> Any:
    await queue.redis.hset(GROUP.route(PATH), mapping={"depth": 1, "bytes": 1})
    return await _admit_raw(queue, "d-1", "x", "", "", "", "", 0, size=1)


@_of("admit", "a dead letter when more is queued than may be by now")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1", "d-2")
    return await _admit_raw(queue, "d-3", "x", "unparsable", "no JSON", "", "", 0, depth=1)


@_of("admit", "the last byte of dead letters")
async def _(queue: StillQueue) -> Any:
    await queue.redis.hset(GROUP.route(PATH), "dead_bytes", DEAD_BYTES - 1)
    return await _admit_raw(queue, "d-1", "x", "unparsable", "no JSON", "", "", 0)


@_of("admit", "a byte more than the last one of dead letters")
async def _(queue: StillQueue) -> Any:
    await queue.redis.hset(GROUP.route(PATH), "dead_bytes", DEAD_BYTES)
    return await _admit_raw(queue, "d-1", "x", "unparsable", "no JSON", "", "", 0)


@_of("admit", "no rate any more")
async def _(queue: StillQueue) -> Any:
    await queue.redis.hset(GROUP.route(PATH), mapping={"tokens": 0, "filled": queue.now_ms})
    return await queue.admissions().admit(PATH, [candidate("d-1")], rate=None)


# --- lease, begin ---


@_of("lease", "the next one")
async def _(queue: StillQueue) -> Any:
    await queue.admissions().admit(PATH, [candidate("d-1"), candidate("d-2")], rate=None, traceparent="00-receipt")
    queue.now_ms += 7
    return await look(queue)


@_of("lease", "the last one")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1")
    return await look(queue)


@_of("lease", "of an empty queue")
async def _(queue: StillQueue) -> Any:
    await queue.redis.lpush(GROUP.wake, "1", "1")
    return await look(queue)


@_of("lease", "as many as wanted the routes taking turns")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1", "d-2", "d-3")
    await admit(queue, "e-1", "e-2", path=OTHER)
    return await look(queue, wanted=4)


@_of("lease", "all that there is")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1", "d-2")
    await admit(queue, "e-1", path=OTHER)
    return await look(queue, wanted=9)


@_of("lease", "none wanted")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1")
    return await look(queue, wanted=0)


@_of("lease", "none of crowded routes")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1")
    await admit(queue, "e-1", path=OTHER)
    await admit(queue, "f-1", path=THIRD)
    return await look(queue, wanted=2, crowded=[PATH, OTHER])


@_of("lease", "nothing but crowded routes")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1")
    await admit(queue, "e-1", path=OTHER)
    return await look(queue, wanted=2, crowded=[PATH, OTHER])


@_of("lease", "a route that takes turns with nothing ready")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1", "d-2")
    await queue.redis.zadd(GROUP.rotation, {OTHER: 0.5})
    return await look(queue)


@_of("lease", "what is due now and nothing that is due later")
async def _(queue: StillQueue) -> Any:
    await queue.admissions().admit(PATH, [candidate("d-1"), candidate("d-2")], rate=None)
    for lease, pause_ms in zip((await look(queue, wanted=2)).leases, (5000, 5001), strict=True):
        await queue.work.put_back(lease, pause_ms=pause_ms, counts=True, error="500")
    queue.now_ms += 5000
    await queue.redis.delete(GROUP.wake)
    return await look(queue, wanted=0)


@_of("lease", "what is due in its order beside what is ready")
async def _(queue: StillQueue) -> Any:
    await queue.work.put_back(await begun(queue), pause_ms=5000, counts=True, error="500")
    await admit(queue, "d-2")
    queue.now_ms += 5001
    return await look(queue)


@_of("lease", "what is due without a record")
async def _(queue: StillQueue) -> Any:
    await queue.redis.zadd(GROUP.later, {"d-1": queue.now_ms})
    return await look(queue)


@_of("lease", "a lease that runs out before its attempt begins")
async def _(queue: StillQueue) -> Any:
    await leased(queue)
    queue.now_ms += LEASE_MS
    return await look(queue, wanted=0)


@_of("lease", "a lease that has a millisecond left")
async def _(queue: StillQueue) -> Any:
    await leased(queue)
    queue.now_ms += LEASE_MS - 1
    return await look(queue)


@_of("lease", "an attempt that was cut short before it asked")
async def _(queue: StillQueue) -> Any:
    await cut_short(queue)
    await queue.redis.delete(GROUP.wake)
    return await look(queue, wanted=0)


@_of("lease", "an attempt that was cut short while it asked")
async def _(queue: StillQueue) -> Any:
    await cut_short(queue, asks=True)
    return await look(queue, wanted=0)


@_of("lease", "a second attempt that was cut short while it asked")
async def _(queue: StillQueue) -> Any:
    await cut_short(queue, asks=True)
    again = (await look(queue)).leases[0]
    await queue.work.begin(again, traceparent="00-second")
    await queue.work.asking(again)
    queue.now_ms += LEASE_MS
    return await look(queue, wanted=0)


@_of("lease", "what runs without a record")
async def _(queue: StillQueue) -> Any:
    await queue.redis.zadd(GROUP.running, {"d-1": queue.now_ms})
    return await look(queue)


@_of("lease", "a suspect to an idle worker")
async def _(queue: StillQueue) -> Any:
    await suspected(queue)
    await admit(queue, "d-2")
    return await look(queue, wanted=3)


@_of("lease", "a suspect seen by a busy worker")
async def _(queue: StillQueue) -> Any:
    await suspected(queue)
    await admit(queue, "d-2")
    return await look(queue, wanted=3, busy=1)


@_of("lease", "a suspect seen by the worker that drained for it")
async def _(queue: StillQueue) -> Any:
    await suspected(queue)
    await look(queue, busy=1)
    return await look(queue)


@_of("lease", "others while a suspect is for another worker")
async def _(queue: StillQueue) -> Any:
    await suspected(queue)
    await look(queue, worker="other", busy=1)
    await admit(queue, "d-2")
    return await look(queue)


@_of("lease", "a suspect by a worker that wants nothing")
async def _(queue: StillQueue) -> Any:
    await suspected(queue)
    return await look(queue, wanted=0)


@_of("lease", "the first of two suspects")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1", "d-2")
    leases = (await look(queue, wanted=2)).leases
    for lease in leases:
        await queue.work.begin(lease, traceparent="")
    await queue.work.renew(GROUP, leases[:1], lease_ms=LEASE_MS + 5)
    for passed_ms in (LEASE_MS, 5):
        queue.now_ms += passed_ms
        await look(queue, wanted=0)
    return await look(queue)


@_of("lease", "a suspect without a record")
async def _(queue: StillQueue) -> Any:
    await queue.redis.zadd(GROUP.suspects, {"d-1": 1})
    return await look(queue)


@_of("lease", "a suspect that killed again")
async def _(queue: StillQueue) -> Any:
    await suspected(queue)
    alone = (await look(queue)).leases[0]
    await queue.work.begin(alone, traceparent="00-second")
    queue.now_ms += LEASE_MS
    return await look(queue, wanted=0)


@_of("lease", "as many of a route as may run")
async def _(queue: StillQueue) -> Any:
    await limited(queue, 2, waiting=("d-1", "d-2", "d-3"))
    await admit(queue, "e-1", "e-2", "e-3", path=OTHER)
    return await look(queue, wanted=5)


@_of("lease", "one of a route of which two more may run")
async def _(queue: StillQueue) -> Any:
    await limited(queue, 2, waiting=("d-1", "d-2"))
    return await look(queue)


@_of("lease", "none of a route that has its turn and no room")
async def _(queue: StillQueue) -> Any:
    await limited(queue, 1, "d-1", waiting=("d-2",))
    await queue.redis.zadd(GROUP.rotation, {PATH: 1})
    return await look(queue)


@_of("lease", "a lease that runs out of a route of which as many run as may")
async def _(queue: StillQueue) -> Any:
    leases = await limited(queue, 2, "d-1", "d-2", waiting=("d-3", "d-4"))
    queue.now_ms += LEASE_MS
    await queue.work.renew(GROUP, leases[1:], lease_ms=LEASE_MS)
    return await look(queue, wanted=0)


async def _two_suspects(queue: StillQueue) -> None:
    await begun(queue, "d-1")
    await begun(queue, "e-1", path=OTHER)
    await queue.upkeep.limit(GROUP, {PATH: Limit(1)})
    queue.now_ms += LEASE_MS
    await look(queue, wanted=0)
    await admit(queue, "d-2")
    await look(queue, worker="other", wanted=0)
    await queue.redis.sadd(GROUP.active(PATH), "d-2")


@_of("lease", "the first suspect whose route has room")
async def _(queue: StillQueue) -> Any:
    await _two_suspects(queue)
    return await look(queue)


@_of("lease", "no suspect whose route has no room")
async def _(queue: StillQueue) -> Any:
    await _two_suspects(queue)
    await queue.upkeep.limit(GROUP, {OTHER: Limit(1)})
    await queue.redis.sadd(GROUP.active(OTHER), "e-2")
    return await look(queue)


@_of("lease", "what is due before a lease runs out")
async def _(queue: StillQueue) -> Any:
    await queue.work.put_back(await leased(queue), pause_ms=5000, counts=True)
    await leased(queue, "d-2")
    return await look(queue)


@_of("lease", "a lease that runs out before something is due")
async def _(queue: StillQueue) -> Any:
    await queue.work.put_back(await leased(queue), pause_ms=50_000, counts=True)
    await leased(queue, "d-2")
    return await look(queue)


@_of("lease", "nothing but what is due later")
async def _(queue: StillQueue) -> Any:
    await queue.work.put_back(await leased(queue), pause_ms=50_000, counts=True)
    return await look(queue)


@_of("lease", "the first of all that is due later and of all that runs")
async def _(queue: StillQueue) -> Any:
    for name, pause_ms in (("d-1", 60_000), ("d-2", 50_000), ("d-3", 70_000)):
        await queue.work.put_back(await leased(queue, name), pause_ms=pause_ms, counts=True)
    for number in (4, 5, 6):
        await leased(queue, f"d-{number}")
        queue.now_ms += 5
    return await look(queue)


@_of("lease", "the first of all that is due later")
async def _(queue: StillQueue) -> Any:
    for name, pause_ms in (("d-1", 60_000), ("d-2", 50_000), ("d-3", 70_000)):
        await queue.work.put_back(await leased(queue, name), pause_ms=pause_ms, counts=True)
    return await look(queue)


@_of("begin", "a first attempt")
async def _(queue: StillQueue) -> Any:
    lease = await leased(queue)
    queue.now_ms += 3
    return await queue.work.begin(lease, traceparent="00-first")


@_of("begin", "a later attempt without a trace of its own")
async def _(queue: StillQueue) -> Any:
    await queue.work.put_back(await begun(queue), pause_ms=0, counts=True, error="500")
    lease = (await look(queue)).leases[0]
    return await queue.work.begin(lease, traceparent="")


@_of("begin", "of a route that was released")
async def _(queue: StillQueue) -> Any:
    await queue.upkeep.hold(GROUP, PATH, "withheld")
    queue.now_ms += 5
    await queue.upkeep.release(GROUP, [PATH])
    return await queue.work.begin(await leased(queue), traceparent="")


@_of("begin", "a probe")
async def _(queue: StillQueue) -> Any:
    await parked(queue, "d-1")
    await queue.upkeep.probe(GROUP, KEY.cause, every_ms=0)
    return await queue.work.begin((await look(queue)).leases[0], traceparent="00-probe")


@_of("begin", "a lost lease")
async def _(queue: StillQueue) -> Any:
    return await lost(queue.work.begin(await overtaken(queue), traceparent="00-late"))


# --- what a worker writes while it runs ---


@_of("note", "that it asks")
async def _(queue: StillQueue) -> Any:
    return await queue.work.asking(await begun(queue))


@_of("note", "that a sink is done")
async def _(queue: StillQueue) -> Any:
    return await queue.work.mark_sink(await begun(queue), "log")


@_of("note", "several fields")
async def _(queue: StillQueue) -> Any:
    return await queue.work.note(await begun(queue), colour="blue", shape=2)


@_of("note", "a lost lease")
async def _(queue: StillQueue) -> Any:
    return await lost(queue.work.note(await overtaken(queue), colour="blue"))


@_of("save", "an answer")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    await queue.redis.hset(GROUP.delivery(lease.delivery), "waits", 3)
    queue.now_ms += 9
    return await queue.work.save(lease, b"an answer")


@_of("save", "an answer after the lease ran out")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    queue.now_ms += LEASE_MS
    await look(queue, wanted=0)
    return await lost(queue.work.save(lease, b"an answer"))


@_of("save", "an answer that another worker is getting too")
async def _(queue: StillQueue) -> Any:
    return await lost(queue.work.save(await overtaken(queue), b"an answer"))


@_of("save", "an answer after the end")
async def _(queue: StillQueue) -> Any:
    return await lost(queue.work.save(await settled(queue), b"another answer"))


@_of("save", "an answer of a dead letter")
async def _(queue: StillQueue) -> Any:
    return await lost(queue.work.save(await settled(queue, outcome="dead"), b"another answer"))


@_of("remember", "the first of an entity")
async def _(queue: StillQueue) -> Any:
    return await queue.work.remember(await begun(queue), "route/x", b"entry", seq=7, keep=3, ttl_s=600)


@_of("remember", "more than are kept")
async def _(queue: StillQueue) -> Any:
    for number in (1, 3, 4):
        lease = await begun(queue, f"d-{number}")
        await queue.work.remember(lease, "route/x", b"entry %d" % number, seq=number, keep=3, ttl_s=600)
    return await queue.work.remember(await begun(queue, "d-9"), "route/x", b"entry 2", seq=2, keep=2, ttl_s=900)


@_of("remember", "anew what was concluded before")
async def _(queue: StillQueue) -> Any:
    for number in (1, 2, 3):
        lease = await begun(queue, f"d-{number}")
        await queue.work.remember(lease, "route/x", b"entry %d" % number, seq=number, keep=5, ttl_s=600)
    return await queue.work.remember(await begun(queue, "d-4"), "route/x", b"anew", seq=2, keep=5, ttl_s=600)


@_of("remember", "once")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    await queue.work.remember(lease, "route/x", b"entry", seq=1, keep=3, ttl_s=600)
    return await queue.work.remember(lease, "route/x", b"another", seq=1, keep=3, ttl_s=900)


@_of("remember", "a lost lease")
async def _(queue: StillQueue) -> Any:
    lease = await overtaken(queue)
    return await lost(queue.work.remember(lease, "route/x", b"entry", seq=7, keep=3, ttl_s=600))


@_of("place", "nowhere yet")
async def _(queue: StillQueue) -> Any:
    return await queue.work.place(await begun(queue), "of-ann")


@_of("place", "where it was told of last")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    await queue.work.place(lease, "of-ann", b"here", ttl_s=600)
    await queue.work.place(lease, "of-bob", b"there", ttl_s=600)
    await queue.work.place(lease, "of-ann", b"elsewhere", ttl_s=900)
    return await queue.work.place(lease, "of-ann")


@_of("place", "somewhere else than before")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    await queue.work.place(lease, "of-ann", b"here", ttl_s=600)
    return await queue.work.place(lease, "of-ann", b"elsewhere", ttl_s=900)


@_of("place", "a lost lease")
async def _(queue: StillQueue) -> Any:
    lease = await overtaken(queue)
    return await lost(queue.work.place(lease, "of-ann", b"here", ttl_s=600))


PACE = {"interval_ms": 1000, "kept_ms": 5000}


@_of("pace", "a destination that is free")
async def _(queue: StillQueue) -> Any:
    return await queue.work.pace(await begun(queue), "there", **PACE)


@_of("pace", "the third in a moment")
async def _(queue: StillQueue) -> Any:
    for number in (1, 2):
        await queue.work.pace(await begun(queue, f"d-{number}"), "there", **PACE)
    return await queue.work.pace(await begun(queue, "d-3"), "there", **PACE)


@_of("pace", "its own time has come")
async def _(queue: StillQueue) -> Any:
    await queue.work.pace(await begun(queue), "there", **PACE)
    lease = await begun(queue, "d-2")
    await queue.work.pace(lease, "there", **PACE)
    queue.now_ms += 1001
    return await queue.work.pace(lease, "there", **PACE)


@_of("pace", "its own time was long ago")
async def _(queue: StillQueue) -> Any:
    await queue.work.pace(await begun(queue), "there", **PACE)
    lease = await begun(queue, "d-2")
    await queue.work.pace(lease, "there", **PACE)
    queue.now_ms += 6001
    return await queue.work.pace(lease, "there", **PACE)


@_of("pace", "its own time has come, and the destination wants to be left alone")
async def _(queue: StillQueue) -> Any:
    first, lease = await begun(queue), await begun(queue, "d-2")
    for each in (first, lease):
        await queue.work.pace(each, "there", **PACE)
    await queue.work.spare(first, "there", ms=30_000)
    queue.now_ms += 1001
    return await queue.work.pace(lease, "there", **PACE)


@_of("pace", "any number, which wants to be left alone")
async def _(queue: StillQueue) -> Any:
    await queue.work.spare(await begun(queue, "d-2"), "there", ms=30_000)
    return await queue.work.pace(await begun(queue), "there", interval_ms=0, kept_ms=5000)


@_of("pace", "any number, which is free")
async def _(queue: StillQueue) -> Any:
    return await queue.work.pace(await begun(queue), "there", interval_ms=0, kept_ms=5000)


@_of("pace", "a lost lease")
async def _(queue: StillQueue) -> Any:
    return await lost(queue.work.pace(await overtaken(queue), "there", **PACE))


@_of("spare", "for longer than before")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    await queue.work.spare(lease, "there", ms=10_000)
    return await queue.work.spare(lease, "there", ms=30_000)


@_of("spare", "for less long than before")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    await queue.work.spare(lease, "there", ms=30_000)
    return await queue.work.spare(lease, "there", ms=10_000)


@_of("spare", "a lost lease")
async def _(queue: StillQueue) -> Any:
    return await lost(queue.work.spare(await overtaken(queue), "there", ms=10_000))


@_of("stream", "an answer")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    entry = {"delivery": "d-1", "text": "All is well."}
    return await queue.work.add_to_stream(lease, "results", "team-a/results", entry, max_entries=100)


@_of("stream", "once")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    await queue.work.add_to_stream(lease, "results", "team-a/results", {"text": "one"}, max_entries=100)
    return await queue.work.add_to_stream(lease, "results", "team-a/results", {"text": "two"}, max_entries=100)


@_of("stream", "for each sink")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    await queue.work.add_to_stream(lease, "results", "team-a/results", {"text": "one"}, max_entries=100)
    return await queue.work.add_to_stream(lease, "more", "team-a/results", {"text": "two"}, max_entries=100)


@_of("stream", "a lost lease")
async def _(queue: StillQueue) -> Any:
    lease = await overtaken(queue)
    return await lost(queue.work.add_to_stream(lease, "s", "team-a/results", {"text": "late"}, max_entries=9))


# --- hand_over ---

ANSWER: Final = b'{"text":"All is well."}'


async def answered(queue: StillQueue) -> Lease:
    """Begin an attempt that has its answer."""
    lease = await begun(queue)
    await queue.work.save(lease, ANSWER)
    return lease


async def unmark(queue: StillQueue, lease: Lease) -> None:
    """Let every sink be told again, as a replay does."""
    await queue.redis.hdel(GROUP.delivery(lease.delivery), "sink:own")


async def handed_over(queue: StillQueue, *, outcome: str) -> Lease:
    """Begin an attempt whose answer was handed over and sent, with this outcome."""
    lease = await answered(queue)
    await queue.work.hand_over(lease, ANSWER, ["own"])
    sending = (await look(queue, 0, sendings=1)).leases[0]
    await settle(queue, sending, outcome)
    return lease


@_of("hand_over", "to two sinks")
async def _(queue: StillQueue) -> Any:
    lease = await answered(queue)
    return await queue.work.hand_over(lease, ANSWER, ["own", "team"])


@_of("hand_over", "twice, before it was sent")
async def _(queue: StillQueue) -> Any:
    lease = await answered(queue)
    await queue.work.hand_over(lease, ANSWER, ["own"])
    return await queue.work.hand_over(lease, ANSWER, ["own"])


@_of("hand_over", "anew, as what was sent is a dead letter")
async def _(queue: StillQueue) -> Any:
    lease = await handed_over(queue, outcome="dead")
    await unmark(queue, lease)
    return await queue.work.hand_over(lease, ANSWER, ["own"])


@_of("hand_over", "anew, as it was sent")
async def _(queue: StillQueue) -> Any:
    lease = await handed_over(queue, outcome="sent")
    await unmark(queue, lease)
    return await queue.work.hand_over(lease, ANSWER, ["own"])


@_of("hand_over", "twice, as its reply was lost, and it was sent meanwhile")
async def _(queue: StillQueue) -> Any:
    lease = await handed_over(queue, outcome="sent")
    return await queue.work.hand_over(lease, ANSWER, ["own"])


@_of("hand_over", "another answer, as the former one waits")
async def _(queue: StillQueue) -> Any:
    lease = await answered(queue)
    await queue.work.hand_over(lease, ANSWER, ["own"])
    await unmark(queue, lease)
    return await queue.work.hand_over(lease, b'{"text":"All is well by now."}', ["own"])


@_of("hand_over", "another answer, as the former one is being sent")
async def _(queue: StillQueue) -> Any:
    lease = await answered(queue)
    await queue.work.hand_over(lease, ANSWER, ["own"])
    await look(queue, 0, sendings=1)
    await unmark(queue, lease)
    return await queue.work.hand_over(lease, b'{"text":"All is well by now."}', ["own"])


@_of("hand_over", "to a sink that is held")
async def _(queue: StillQueue) -> Any:
    lease = await answered(queue)
    await queue.upkeep.hold(GROUP, sending_path(lease.path, "own"), "suspended")
    return await queue.work.hand_over(lease, ANSWER, ["own"])


@_of("hand_over", "a lost lease")
async def _(queue: StillQueue) -> Any:
    lease = await overtaken(queue)
    return await lost(queue.work.hand_over(lease, ANSWER, ["own"]))


# --- renew ---


@_of("renew", "some that are held and some that are lost")
async def _(queue: StillQueue) -> Any:
    gone = await overtaken(queue)
    leases = [await leased(queue, "d-2"), await leased(queue, "d-3")]
    queue.now_ms += LEASE_MS + 5  # nobody has looked since
    return await queue.work.renew(GROUP, [leases[0], gone, leases[1]], lease_ms=20_000)


@_of("renew", "one that runs alone")
async def _(queue: StillQueue) -> Any:
    await suspected(queue)
    alone = (await look(queue)).leases[0]
    queue.now_ms += 5000
    return await queue.work.renew(GROUP, [alone], lease_ms=20_000)


@_of("renew", "none")
async def _(queue: StillQueue) -> Any:
    await leased(queue)
    return await queue.work.renew(GROUP, [], lease_ms=20_000)


# --- ends ---


@_of("put_back", "at once after an attempt that counts")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    queue.now_ms += 5
    return await queue.work.put_back(lease, pause_ms=0, counts=True, error="500")


@_of("put_back", "for later after an attempt that counts not")
async def _(queue: StillQueue) -> Any:
    return await queue.work.put_back(await begun(queue), pause_ms=30_000, counts=False, error="529")


@_of("put_back", "for a millisecond")
async def _(queue: StillQueue) -> Any:
    return await queue.work.put_back(await begun(queue), pause_ms=1, counts=True)


@_of("put_back", "what had not begun")
async def _(queue: StillQueue) -> Any:
    lease = await leased(queue)
    await queue.redis.delete(GROUP.wake)
    return await queue.work.put_back(lease, pause_ms=0, counts=False)


@_of("put_back", "what runs alone")
async def _(queue: StillQueue) -> Any:
    await suspected(queue)
    return await queue.work.put_back((await look(queue)).leases[0], pause_ms=0, counts=False)


@_of("put_back", "of a held route")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    await queue.upkeep.hold(GROUP, PATH, "withheld")
    return await queue.work.put_back(lease, pause_ms=0, counts=False)


@_of("put_back", "of a route of which as many run as may while others wait")
async def _(queue: StillQueue) -> Any:
    lease, _other = await limited(queue, 2, "d-1", "d-2", waiting=("d-3", "d-4"))
    return await queue.work.put_back(lease, pause_ms=30_000, counts=True)


@_of("put_back", "of a route that has a limit while nothing waits")
async def _(queue: StillQueue) -> Any:
    (lease,) = await limited(queue, 1, "d-1")
    return await queue.work.put_back(lease, pause_ms=30_000, counts=True)


@_of("put_back", "of a route that has a limit and takes turns")
async def _(queue: StillQueue) -> Any:
    (lease,) = await limited(queue, 2, "d-1", waiting=("d-2",))
    return await queue.work.put_back(lease, pause_ms=30_000, counts=True)


@_of("put_back", "of a route that has lost its turn and has no limit")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    await admit(queue, "d-2")
    await queue.redis.delete(GROUP.rotation)
    return await queue.work.put_back(lease, pause_ms=30_000, counts=True)


@_of("put_back", "while workers have more tokens than they make sense of")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    await queue.redis.lpush(GROUP.wake, *["1"] * TOKENS)
    return await queue.work.put_back(lease, pause_ms=0, counts=True)


@_of("put_back", "a lost lease")
async def _(queue: StillQueue) -> Any:
    return await lost(queue.work.put_back(await overtaken(queue), pause_ms=0, counts=True, error="late"))


@_of("park", "what has met the trouble itself")
async def _(queue: StillQueue) -> Any:
    return await queue.work.park(await begun(queue), KEY, has_asked=True)


@_of("park", "what needs so much of a budget")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    return await queue.work.park(lease, KEY, has_asked=False, need=CALL)


@_of("park", "another for the same cause")
async def _(queue: StillQueue) -> Any:
    await parked(queue, "d-1")
    await parked(queue, "d-2", path=OTHER)
    lease = await begun(queue, "d-3")
    return await queue.work.park(lease, msgspec.structs.replace(KEY, detail="said later"), has_asked=False)


@_of("park", "what had not begun")
async def _(queue: StillQueue) -> Any:
    return await queue.work.park(await leased(queue), MODEL, has_asked=False)


@_of("park", "what was put back before")
async def _(queue: StillQueue) -> Any:
    await queue.work.put_back(await begun(queue), pause_ms=0, counts=True, error="500")
    lease = (await look(queue)).leases[0]
    await queue.work.begin(lease, traceparent="")
    return await queue.work.park(lease, KEY, has_asked=True)


@_of("park", "what runs alone")
async def _(queue: StillQueue) -> Any:
    await suspected(queue)
    return await queue.work.park((await look(queue)).leases[0], KEY, has_asked=False)


@_of("park", "of a route of which as many run as may while another waits")
async def _(queue: StillQueue) -> Any:
    (lease,) = await limited(queue, 1, "d-1", waiting=("d-2",))
    return await queue.work.park(lease, KEY, has_asked=False)


@_of("park", "a lost lease")
async def _(queue: StillQueue) -> Any:
    return await lost(queue.work.park(await overtaken(queue), KEY, has_asked=True))


@_of("settle", "with an answer")
async def _(queue: StillQueue) -> Any:
    await settled(queue)


@_of("settle", "as a dead letter")
async def _(queue: StillQueue) -> Any:
    await settled(queue, outcome="dead")


@_of("settle", "as a dead letter of which nothing is told")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    return await queue.work.settle(lease, outcome="dead", reason="decode", detail="", retention=KEPT, fields={})


async def _bounded(queue: StillQueue, *, beside: int) -> Lease:
    """Let a delivery run whose route has two dead letters, and an account that leaves so much room."""
    for name in ("d-1", "d-2"):
        await settled(queue, name, "dead")
        queue.now_ms += 1
    lease = await begun(queue, "d-3")
    await queue.redis.hset(GROUP.route(PATH), "dead_bytes", DEAD_BYTES - beside)
    return lease


@_of("settle", "as the last dead letter that there is room for")
async def _(queue: StillQueue) -> Any:
    lease = await _bounded(queue, beside=SIZE)
    return await settle(queue, lease, "dead")


@_of("settle", "as a dead letter for which the oldest makes room")
async def _(queue: StillQueue) -> Any:
    lease = await _bounded(queue, beside=1)
    return await settle(queue, lease, "dead")


@_of("settle", "as a dead letter where the account says more than there is")
async def _(queue: StillQueue) -> Any:
    lease = await _bounded(queue, beside=-DEAD_BYTES)
    return await settle(queue, lease, "dead")


@_of("settle", "what has waited and has a reason from before")
async def _(queue: StillQueue) -> Any:
    await queue.work.put_back(await begun(queue), pause_ms=0, counts=False, error="529")
    lease = (await look(queue)).leases[0]
    await queue.redis.hset(GROUP.delivery(lease.delivery), "reason", "sink")
    return await settle(queue, lease)


@_of("settle", "after it was cut short")
async def _(queue: StillQueue) -> Any:
    await suspected(queue)
    lease = (await look(queue)).leases[0]
    await queue.work.begin(lease, traceparent="")
    return await settle(queue, lease)


@_of("settle", "as a dead letter after it was cut short")
async def _(queue: StillQueue) -> Any:
    await suspected(queue)
    lease = (await look(queue)).leases[0]
    await queue.work.begin(lease, traceparent="")
    return await settle(queue, lease, "dead")


@_of("settle", "what was a dead letter once")
async def _(queue: StillQueue) -> Any:
    name = (await settled(queue, outcome="dead")).delivery
    await queue(scripts.REPLAY, GROUP.prefix, ["resume", name])
    lease = (await look(queue)).leases[0]
    return await settle(queue, lease)


@_of("settle", "and nothing is kept")
async def _(queue: StillQueue) -> Any:
    await settled(queue, kept=Retention(0, 0, 0))


@_of("settle", "and only the record is kept")
async def _(queue: StillQueue) -> Any:
    await settled(queue, kept=Retention(0, 0, 180_000))


@_of("settle", "and others shed what is over")
async def _(queue: StillQueue) -> Any:
    for number in range(3):
        await settled(queue, f"d-{number}")
        queue.now_ms += 60_000
    await settled(queue, "d-9")


@_of("settle", "of a route of which as many run as may while another waits")
async def _(queue: StillQueue) -> Any:
    (lease,) = await limited(queue, 1, "d-1", waiting=("d-2",))
    return await settle(queue, lease)


@_of("settle", "of a held route")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    await queue.upkeep.hold(GROUP, PATH, "withheld")
    return await settle(queue, lease)


@_of("settle", "a lost lease")
async def _(queue: StillQueue) -> Any:
    return await lost(settle(queue, await overtaken(queue), "dead"))


# --- upkeep ---


@_of("hold", "a route with something ready")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1")
    await admit(queue, "e-1", path=OTHER)
    return await queue.upkeep.hold(GROUP, PATH, "withheld", "no Secret")


@_of("hold", "in the script's own words")
async def _(queue: StillQueue) -> Any:
    return await queue(scripts.HOLD, GROUP.prefix, [PATH, "withheld", ""])


@_of("hold", "once more for the same reason")
async def _(queue: StillQueue) -> Any:
    await queue.upkeep.hold(GROUP, PATH, "withheld", "no Secret")
    queue.now_ms += 5
    return await queue.upkeep.hold(GROUP, PATH, "withheld", "said anew")


@_of("hold", "for another reason")
async def _(queue: StillQueue) -> Any:
    await queue.upkeep.hold(GROUP, PATH, "withheld", "no Secret")
    queue.now_ms += 5
    return await queue.upkeep.hold(GROUP, PATH, "deleted")


@_of("limit", "some routes, and another one no more")
async def _(queue: StillQueue) -> Any:
    await queue.upkeep.limit(GROUP, {OTHER: Limit(7)})
    return await queue.upkeep.limit(GROUP, {PATH: Limit(3), OTHER: Limit(), THIRD: Limit(1)})


@_of("limit", "no route")
async def _(queue: StillQueue) -> Any:
    await limited(queue, 1)
    queue.changes = {}
    return await queue.upkeep.limit(GROUP, {})


@_of("limit", "a route that has room by that")
async def _(queue: StillQueue) -> Any:
    await limited(queue, 1, "d-1", waiting=("d-2", "d-3"))
    return await queue.upkeep.limit(GROUP, {PATH: Limit(2)})


@_of("limit", "a route that had no room, and any by now")
async def _(queue: StillQueue) -> Any:
    await limited(queue, 1, "d-1", waiting=("d-2",))
    return await queue.upkeep.limit(GROUP, {PATH: Limit()})


@_of("limit", "a route of which more run than may")
async def _(queue: StillQueue) -> Any:
    await limited(queue, 2, "d-1", "d-2", waiting=("d-3",))
    return await queue.upkeep.limit(GROUP, {PATH: Limit(1)})


@_of("limit", "a route that is held")
async def _(queue: StillQueue) -> Any:
    await limited(queue, 1, "d-1", waiting=("d-2",))
    await queue.upkeep.hold(GROUP, PATH, "withheld")
    return await queue.upkeep.limit(GROUP, {PATH: Limit(2)})


@_of("release", "routes of which some are held")
async def _(queue: StillQueue) -> Any:
    for path in (PATH, OTHER):
        await queue.upkeep.hold(GROUP, path, "withheld")
    await admit(queue, "d-1", "d-2")
    queue.now_ms += 5
    return await queue.upkeep.release(GROUP, [PATH, RoutePath("team-c/never"), OTHER])


@_of("release", "a route with one ready")
async def _(queue: StillQueue) -> Any:
    await queue.upkeep.hold(GROUP, PATH, "withheld")
    await admit(queue, "d-1")
    return await queue.upkeep.release(GROUP, [PATH])


@_of("release", "nothing")
async def _(queue: StillQueue) -> Any:
    queue.changes = {}
    return await queue.upkeep.release(GROUP, [])


async def _forsaken(queue: StillQueue, *, waits_ms: int, reason: str = "deleted", count: int = 9) -> Any:
    await admit(queue, "d-1", "d-2", "d-3")
    await queue.upkeep.hold(GROUP, PATH, reason)
    queue.now_ms += waits_ms
    return await queue.upkeep.forsake(GROUP, PATH, after_ms=60_000, count=count)


@_of("forsake", "all that is left")
async def _(queue: StillQueue) -> Any:
    return await _forsaken(queue, waits_ms=60_000)


@_of("forsake", "some at a time")
async def _(queue: StillQueue) -> Any:
    return await _forsaken(queue, waits_ms=60_000, count=2)


@_of("forsake", "too early")
async def _(queue: StillQueue) -> Any:
    return await _forsaken(queue, waits_ms=59_999)


@_of("forsake", "what is held for another reason")
async def _(queue: StillQueue) -> Any:
    return await _forsaken(queue, waits_ms=60_000, reason="withheld")


@_of("forsake", "what is not held")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1")
    return await queue.upkeep.forsake(GROUP, PATH, after_ms=0, count=9)


@_of("forsake", "a route of which nothing is left")
async def _(queue: StillQueue) -> Any:
    await _forsaken(queue, waits_ms=60_000)
    return await queue.upkeep.forsake(GROUP, PATH, after_ms=60_000, count=9)


@_of("forsake", "a route of which one still runs")
async def _(queue: StillQueue) -> Any:
    await leased(queue)
    await queue.upkeep.hold(GROUP, PATH, "deleted")
    return await queue.upkeep.forsake(GROUP, PATH, after_ms=0, count=9)


@_of("forsake", "a route that never had anything")
async def _(queue: StillQueue) -> Any:
    await queue.upkeep.hold(GROUP, PATH, "deleted")
    return await queue.upkeep.forsake(GROUP, PATH, after_ms=0, count=9)


@_of("forsake", "what takes the room of older dead letters")
async def _(queue: StillQueue) -> Any:
    await settled(queue, "d-1", "dead")
    await admit(queue, "d-2")
    await queue.redis.hset(GROUP.route(PATH), "dead_bytes", DEAD_BYTES)
    await queue.upkeep.hold(GROUP, PATH, "deleted")
    return await queue.upkeep.forsake(GROUP, PATH, after_ms=0, count=9)


@_of("forsake", "what had been tried")
async def _(queue: StillQueue) -> Any:
    lease = await begun(queue)
    await queue.work.put_back(lease, pause_ms=0, counts=False, error="529")
    await queue.redis.hset(GROUP.delivery(lease.delivery), mapping={"cuts": 1, "stage": "begun"})
    await queue.upkeep.hold(GROUP, PATH, "deleted")
    return await queue.upkeep.forsake(GROUP, PATH, after_ms=0, count=9)


async def _parked_and_forsaken(queue: StillQueue, *, calls: int = 1) -> Any:
    for name, path in (("d-1", PATH), ("e-1", OTHER), ("d-2", PATH), ("d-3", PATH)):
        await parked(queue, name, path=path)
    await parked(queue, "d-4", MODEL)
    await queue.upkeep.hold(GROUP, PATH, "deleted")
    found = [await queue.upkeep.forsake(GROUP, PATH, after_ms=0, count=2) for _ in range(calls)]
    return found[-1]


@_of("forsake", "the first of what is parked")
async def _(queue: StillQueue) -> Any:
    return await _parked_and_forsaken(queue)


@_of("forsake", "the next of what is parked")
async def _(queue: StillQueue) -> Any:
    return await _parked_and_forsaken(queue, calls=2)


@_of("forsake", "the last of what is parked")
async def _(queue: StillQueue) -> Any:
    return await _parked_and_forsaken(queue, calls=3)


async def _keep(queue: StillQueue, *, worker: str = "w", cursor: int = 0, count: int = 10) -> Any:
    return await queue.upkeep.keep(GROUP, worker=worker, for_ms=5000, cursor=cursor, routes=100, count=count)


@_of("keep", "of an orderly queue")
async def _(queue: StillQueue) -> Any:
    await settled(queue)
    await settled(queue, "d-2", "dead")
    await admit(queue, "d-3")
    return await _keep(queue)


@_of("keep", "of an empty queue")
async def _(queue: StillQueue) -> Any:
    return await _keep(queue)


@_of("keep", "while another worker does")
async def _(queue: StillQueue) -> Any:
    await _keep(queue)
    return await _keep(queue, worker="other")


@_of("keep", "by the same worker")
async def _(queue: StillQueue) -> Any:
    await _keep(queue)
    await queue.redis.pexpire(GROUP.keeper, 100)
    return await _keep(queue)


def _shed_at(age_ms: int) -> None:
    async def situation(queue: StillQueue) -> Any:
        await settled(queue)
        queue.now_ms += age_ms
        return await _keep(queue)

    _of("keep", f"what ended {age_ms} ms ago")(situation)


for _age_ms in (59_999, 60_000, 119_999, 120_000, 179_999, 180_000):
    _shed_at(_age_ms)


@_of("keep", "answers whose bodies went before")
async def _(queue: StillQueue) -> Any:
    await settled(queue)
    queue.now_ms += 60_000
    await _keep(queue)
    queue.now_ms += 60_000
    return await _keep(queue)


@_of("keep", "records whose answers went before")
async def _(queue: StillQueue) -> Any:
    await settled(queue)
    for _ in range(2):
        queue.now_ms += 60_000
        await _keep(queue)
    queue.now_ms += 60_000
    return await _keep(queue)


@_of("keep", "so much of each phase")
async def _(queue: StillQueue) -> Any:
    for number in range(3):
        await settled(queue, f"d-{number}")
        queue.now_ms += 1
    queue.now_ms += 60_000
    return await _keep(queue, count=2)


async def _dead_for(queue: StillQueue, age_ms: int, *names: str, count: int = 10) -> Any:
    for name in names:
        await settled(queue, name, "dead")
    queue.now_ms += age_ms
    return await _keep(queue, count=count)


@_of("keep", "dead letters of a month")
async def _(queue: StillQueue) -> Any:
    return await _dead_for(queue, 30 * 86_400_000, "d-1", "d-2")


@_of("keep", "dead letters of almost a month")
async def _(queue: StillQueue) -> Any:
    return await _dead_for(queue, 30 * 86_400_000 - 1, "d-1")


@_of("keep", "some dead letters at a time")
async def _(queue: StillQueue) -> Any:
    return await _dead_for(queue, 30 * 86_400_000, "d-1", "d-2", "d-3", count=2)


@_of("keep", "dead letters of which receivers made too many")
async def _(queue: StillQueue) -> Any:
    for name in ("d-1", "d-2"):
        await settled(queue, name, "dead")
        queue.now_ms += 1
    await queue.redis.hset(GROUP.route(PATH), "dead_bytes", DEAD_BYTES + 1)
    return await _keep(queue)


@_of("keep", "what runs no more and whose record somebody has removed")
async def _(queue: StillQueue) -> Any:
    await begun(queue, "d-1")
    await queue.redis.sadd(GROUP.active(PATH), "d-gone")
    return await _keep(queue)


@_of("keep", "a route that had no room for what runs no more")
async def _(queue: StillQueue) -> Any:
    await limited(queue, 1, waiting=("d-1",))
    await queue.redis.sadd(GROUP.active(PATH), "d-gone")
    await queue.redis.delete(GROUP.rotation)
    return await _keep(queue)


@_of("keep", "a route that had lost its turn")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1")
    await queue.redis.delete(GROUP.rotation)
    return await _keep(queue)


@_of("keep", "a held route that has lost no turn")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1")
    await queue.upkeep.hold(GROUP, PATH, "withheld")
    return await _keep(queue)


@_of("relieve", "bodies that are old enough")
async def _(queue: StillQueue) -> Any:
    await settled(queue)
    queue.now_ms += 500
    await settled(queue, "d-2")
    queue.now_ms += 500
    return await queue.upkeep.relieve(GROUP, PATH, "bodies", older_ms=1000, count=10)


@_of("relieve", "some bodies")
async def _(queue: StillQueue) -> Any:
    for number in range(3):
        await settled(queue, f"d-{number}")
        queue.now_ms += 1
    return await queue.upkeep.relieve(GROUP, PATH, "bodies", older_ms=0, count=2)


@_of("relieve", "no bodies")
async def _(queue: StillQueue) -> Any:
    return await queue.upkeep.relieve(GROUP, PATH, "bodies", older_ms=0, count=2)


@_of("relieve", "answers")
async def _(queue: StillQueue) -> Any:
    await settled(queue)
    await queue.upkeep.relieve(GROUP, PATH, "bodies", older_ms=0, count=2)
    return await queue.upkeep.relieve(GROUP, PATH, "answers", older_ms=0, count=2)


@_of("relieve", "records")
async def _(queue: StillQueue) -> Any:
    await settled(queue, kept=Retention(0, 0, 180_000))
    return await queue.upkeep.relieve(GROUP, PATH, "records", older_ms=0, count=2)


@_of("relieve", "a body whose record is over")
async def _(queue: StillQueue) -> Any:
    await settled(queue)
    queue.now_ms += 200_000
    return await queue.upkeep.relieve(GROUP, PATH, "bodies", older_ms=0, count=2)


@_of("relieve", "a body without a record")
async def _(queue: StillQueue) -> Any:
    await queue.redis.zadd(GROUP.finished("bodies", PATH), {"d-1": queue.now_ms})
    return await queue.upkeep.relieve(GROUP, PATH, "bodies", older_ms=0, count=2)


@_of("relieve", "a body of what was replayed")
async def _(queue: StillQueue) -> Any:
    name = (await settled(queue, outcome="dead")).delivery
    await queue(scripts.REPLAY, GROUP.prefix, ["resume", name])
    await settle(queue, (await look(queue)).leases[0])
    return await queue.upkeep.relieve(GROUP, PATH, "bodies", older_ms=0, count=2)


# --- throttled ---


async def throttled(
    queue: StillQueue, *names: str, bucket: str = HAIKU, path: RoutePath = PATH, until_ms: int = 0
) -> None:
    """Let deliveries wait for a place at a bucket."""
    for name in names:
        await queue.work.wait(await begun(queue, name, path=path), bucket, SIZED, until_ms=until_ms)


@_of("wait", "for a bucket that has no place for a while")
async def _(queue: StillQueue) -> Any:
    return await queue.work.wait(await begun(queue), HAIKU, SIZED, until_ms=queue.now_ms + 700)


@_of("wait", "for a bucket that may have a place now, after the API has refused")
async def _(queue: StillQueue) -> Any:
    return await queue.work.wait(await begun(queue), HAIKU, SIZED, until_ms=0, error="429 rate_limit_error")


@_of("wait", "of one before others, that comes later and knows of an earlier time")
async def _(queue: StillQueue) -> Any:
    first = await begun(queue, "d-1")
    await throttled(queue, "d-2", until_ms=queue.now_ms + 700)
    return await queue.work.wait(first, HAIKU, SIZED, until_ms=queue.now_ms + 500)


@_of("wait", "that knows of a later time than others")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", path=OTHER, until_ms=queue.now_ms + 700)
    return await queue.work.wait(await begun(queue, "d-2"), HAIKU, SIZED, until_ms=queue.now_ms + 900)


@_of("wait", "without an attempt")
async def _(queue: StillQueue) -> Any:
    return await queue.work.wait(await leased(queue), HAIKU, SIZED, until_ms=0)


@_of("wait", "of the last that its route may run at once")
async def _(queue: StillQueue) -> Any:
    lease, *_ = await limited(queue, 1, "d-1", waiting=["d-2"])
    return await queue.work.wait(lease, HAIKU, SIZED, until_ms=0)


@_of("wait", "of a lease that another worker has")
async def _(queue: StillQueue) -> Any:
    return await lost(queue.work.wait(await overtaken(queue), HAIKU, SIZED, until_ms=0))


@_of("turn", "when nobody waits")
async def _(queue: StillQueue) -> Any:
    return await queue.work.turn(GROUP, count=5)


@_of("turn", "before it is time")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", until_ms=queue.now_ms + 1)
    return await queue.work.turn(GROUP, count=5)


@_of("turn", "of routes that take turns, each in its order")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", "d-2", "d-3")
    await throttled(queue, "e-1", "e-2", path=OTHER)
    await throttled(queue, "f-1", path=THIRD)
    return await queue.work.turn(GROUP, count=5)


@_of("turn", "of all that wait")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", "d-2")
    return await queue.work.turn(GROUP, count=2)


@_of("turn", "of the bucket that is due first")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", until_ms=queue.now_ms + 20)
    await throttled(queue, "e-1", path=OTHER, bucket=SONNET, until_ms=queue.now_ms + 10)
    queue.now_ms += 20
    return await queue.work.turn(GROUP, count=5)


@_of("turn", "a moment after another worker was told of it")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1")
    await queue.work.turn(GROUP, count=5)
    queue.now_ms += 49
    return await queue.work.turn(GROUP, count=5)


@_of("turn", "when that worker has done nothing about it")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1")
    await queue.work.turn(GROUP, count=5)
    queue.now_ms += 50
    return await queue.work.turn(GROUP, count=5)


@_of("turn", "of a route that is held, before another one")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", "d-2")
    await throttled(queue, "e-1", path=OTHER)
    await queue.upkeep.hold(GROUP, PATH, "withheld")
    return await queue.work.turn(GROUP, count=5)


@_of("turn", "of nothing but a route that is held")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1")
    await queue.upkeep.hold(GROUP, PATH, "withheld")
    return await queue.work.turn(GROUP, count=5)


@_of("turn", "of more than a route may run at once")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", "d-2", "d-3")
    await queue.upkeep.limit(GROUP, {PATH: Limit(2)})
    return await queue.work.turn(GROUP, count=5)


@_of("turn", "of a route that runs as many as may")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1")
    await limited(queue, 1, "d-2")
    return await queue.work.turn(GROUP, count=5)


@_of("call_up", "of the first of two routes")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", "d-2")
    await throttled(queue, "e-1", path=OTHER)
    turn = await queue.work.turn(GROUP, count=5)
    await queue.redis.delete(GROUP.wake)
    assert turn
    return await queue.work.call_up(GROUP, turn, Granted(1, queue.now_ms + 900))


@_of("call_up", "of all that wait")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", "d-2")
    turn = await queue.work.turn(GROUP, count=5)
    await queue.redis.delete(GROUP.wake)
    assert turn
    return await queue.work.call_up(GROUP, turn, Granted(2, queue.now_ms))


@_of("call_up", "of nobody, as there is no place")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1")
    turn = await queue.work.turn(GROUP, count=5)
    await queue.redis.delete(GROUP.wake)
    assert turn
    return await queue.work.call_up(GROUP, turn, Granted(0, queue.now_ms + 900))


@_of("call_up", "again, as the reply got lost")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", "d-2")
    turn = await queue.work.turn(GROUP, count=5)
    assert turn
    await queue.work.call_up(GROUP, turn, Granted(1, queue.now_ms + 900))
    await queue.redis.delete(GROUP.wake)
    return await queue.work.call_up(GROUP, turn, Granted(1, queue.now_ms + 900))


@_of("want", "of a route that asked by another bucket before")
async def _(queue: StillQueue) -> Any:
    await queue.work.want(GROUP, PATH, SONNET)
    return await queue.work.want(GROUP, PATH, HAIKU)


@_of("hurry", "for a bucket that others wait for")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", until_ms=queue.now_ms + 900)
    await queue.redis.delete(GROUP.wake)
    return await queue.work.hurry(GROUP, HAIKU)


@_of("hurry", "for a bucket that is due")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1")
    await queue.redis.delete(GROUP.wake)
    queue.now_ms += 5
    return await queue.work.hurry(GROUP, HAIKU)


@_of("hurry", "for a bucket that nobody waits for")
async def _(queue: StillQueue) -> Any:
    return await queue.work.hurry(GROUP, HAIKU)


@_of("lease", "while a bucket of the throttle is due")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1")
    return await look(queue)


@_of("lease", "while a bucket of the throttle is due soon")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", until_ms=queue.now_ms + 700)
    return await look(queue)


@_of("load", "of what waits, and of what is ready whose route has asked or waited")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", "d-2")
    await queue.work.want(GROUP, PATH, HAIKU)
    await queue.work.want(GROUP, OTHER, SONNET)
    await begun(queue, "e-1", path=OTHER)
    await admit(queue, "d-3")
    await admit(queue, "e-2", "e-3", path=OTHER)
    await admit(queue, "f-1", path=THIRD)
    return await queue(scripts.LOAD, GROUP.prefix, [])


# --- parked ---


async def _three_parked(queue: StillQueue) -> None:
    await parked(queue, "d-1")
    await parked(queue, "e-1", path=OTHER)
    await parked(queue, "d-2")


@_of("unpark", "all of what is mended")
async def _(queue: StillQueue) -> Any:
    await _three_parked(queue)
    await parked(queue, "d-3", MODEL)
    queue.now_ms += 50
    return await queue.upkeep.unpark(GROUP, KEY.cause, count=3)


@_of("unpark", "some of what is mended")
async def _(queue: StillQueue) -> Any:
    await _three_parked(queue)
    return await queue.upkeep.unpark(GROUP, KEY.cause, count=2)


@_of("unpark", "what had been probed")
async def _(queue: StillQueue) -> Any:
    await queue.work.park(await begun(queue), KEY, has_asked=True)
    return await queue.upkeep.unpark(GROUP, KEY.cause, count=2)


@_of("unpark", "of a route that is held")
async def _(queue: StillQueue) -> Any:
    await parked(queue, "d-1")
    await queue.upkeep.hold(GROUP, PATH, "withheld")
    return await queue.upkeep.unpark(GROUP, KEY.cause, count=2)


@_of("unpark", "what has no record")
async def _(queue: StillQueue) -> Any:
    await parked(queue, "d-1")
    await queue.redis.delete(GROUP.delivery(DeliveryId("d-1")))
    return await queue.upkeep.unpark(GROUP, KEY.cause, count=2)


@_of("unpark", "one as a probe")
async def _(queue: StillQueue) -> Any:
    await _three_parked(queue)
    return await queue.upkeep.probe(GROUP, KEY.cause, every_ms=60_000)


@_of("unpark", "a probe too early")
async def _(queue: StillQueue) -> Any:
    await _three_parked(queue)
    await queue.upkeep.probe(GROUP, KEY.cause, every_ms=60_000)
    queue.now_ms += 59_999
    return await queue.upkeep.probe(GROUP, KEY.cause, every_ms=60_000)


@_of("unpark", "a probe in time")
async def _(queue: StillQueue) -> Any:
    await _three_parked(queue)
    await queue.upkeep.probe(GROUP, KEY.cause, every_ms=60_000)
    queue.now_ms += 60_000
    return await queue.upkeep.probe(GROUP, KEY.cause, every_ms=60_000)


@_of("unpark", "a probe of a route that takes turns")
async def _(queue: StillQueue) -> Any:
    await _three_parked(queue)
    await queue.upkeep.hold(GROUP, PATH, "withheld")
    return await queue.upkeep.probe(GROUP, KEY.cause, every_ms=0)


@_of("unpark", "a probe where no route takes turns")
async def _(queue: StillQueue) -> Any:
    await parked(queue, "d-1")
    await queue.upkeep.hold(GROUP, PATH, "withheld")
    return await queue.upkeep.probe(GROUP, KEY.cause, every_ms=0)


@_of("unpark", "a probe that has no record")
async def _(queue: StillQueue) -> Any:
    await parked(queue, "d-1")
    await queue.redis.delete(GROUP.delivery(DeliveryId("d-1")))
    return await queue.upkeep.probe(GROUP, KEY.cause, every_ms=0)


@_of("unpark", "the last one as a probe")
async def _(queue: StillQueue) -> Any:
    await parked(queue, "d-1")
    return await queue.upkeep.probe(GROUP, KEY.cause, every_ms=0)


@_of("unpark", "a probe of nothing")
async def _(queue: StillQueue) -> Any:
    return await queue.upkeep.probe(GROUP, KEY.cause, every_ms=0)


@_of("unpark", "told in the script's own words")
async def _(queue: StillQueue) -> Any:
    await _three_parked(queue)
    await queue.upkeep.probe(GROUP, KEY.cause, every_ms=60_000)
    return await queue(scripts.UNPARK, GROUP.prefix, [KEY.cause, 1, 60_000])


# --- people ---


async def _replay(queue: StillQueue, mode: str, *names: str) -> Any:
    queue.now_ms += 5
    return await queue(scripts.REPLAY, GROUP.prefix, [mode, *names])


def _replay_of(mode: str, outcome: str) -> None:
    async def situation(queue: StillQueue) -> Any:
        name = (await settled(queue, outcome=outcome)).delivery
        await queue.redis.hset(GROUP.delivery(name), mapping={"waits": 2, "stage": "asking", "last_error": "500"})
        return await _replay(queue, mode, name)

    _of("replay", f"{mode} what ended as {outcome}")(situation)


for _mode in ("resume", "whole", "sinks"):
    for _outcome in ("succeeded", "dead"):
        _replay_of(_mode, _outcome)


@_of("replay", "a second time")
async def _(queue: StillQueue) -> Any:
    name = (await settled(queue)).delivery
    await _replay(queue, "resume", name)
    await settle(queue, (await look(queue)).leases[0])
    return await _replay(queue, "resume", name)


@_of("replay", "what cannot be")
async def _(queue: StillQueue) -> Any:
    bare = (await settled(queue, "d-bare")).delivery
    await queue.upkeep.relieve(GROUP, PATH, "bodies", older_ms=0, count=1)
    answerless = (await settled(queue, "d-answerless")).delivery
    await queue.redis.hdel(GROUP.delivery(answerless), "answer")
    await leased(queue, "d-running")
    await admit(queue, "d-ready")
    return await _replay(queue, "sinks", "d-nobody", bare, answerless, "d-running", "d-ready")


@_of("replay", "what has no answer as a whole")
async def _(queue: StillQueue) -> Any:
    lease = await leased(queue)
    await settle(queue, lease, "dead")
    return await _replay(queue, "whole", lease.delivery)


@_of("replay", "several of a held route")
async def _(queue: StillQueue) -> Any:
    names = [(await settled(queue, name, "dead")).delivery for name in ("d-1", "d-2")]
    await queue.upkeep.hold(GROUP, PATH, "withheld")
    return await _replay(queue, "resume", *names)


@_of("discard", "what may and what may not")
async def _(queue: StillQueue) -> Any:
    await settled(queue, "d-dead", "dead")
    await settled(queue, "d-other", "dead")
    await settled(queue, "d-settled")
    await admit(queue, "d-ready")
    return await queue(scripts.DISCARD, GROUP.prefix, ["d-dead", "d-settled", "d-ready", "d-nobody", "d-dead"])


@_of("glance", "at all that is told of one")
async def _(queue: StillQueue) -> Any:
    lease = await settled(queue, outcome="dead")
    await queue.redis.hset(
        GROUP.delivery(lease.delivery), mapping={"since": 5, "waits": 6, "due": 7, "cause": "own:*", "replays": 8}
    )
    return await queue(scripts.GLANCE, GROUP.prefix, [lease.delivery])


@_of("glance", "at one that waits one without headers and nobody")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "d-1")
    delivery = sample_delivery("d-2", headers={"x-github-event": "push"})
    await queue.admissions().admit(PATH, [Candidate(delivery, ())], rate=None)
    await queue.redis.hset(GROUP.delivery(DeliveryId("d-3")), "body", "unreadable")
    return await queue(scripts.GLANCE, GROUP.prefix, ["d-1", "d-2", "d-3", "d-nobody"])


@_of("glance", "at one that failed, one that has ended and a dead letter of a receiver")
async def _(queue: StillQueue) -> Any:
    await queue.work.put_back(await begun(queue), pause_ms=50_000, counts=True, error="500")
    await settled(queue, "d-2")
    await queue.admissions().admit(PATH, [candidate("d-3", letter=True)], rate=None)
    return await queue(scripts.GLANCE, GROUP.prefix, ["d-1", "d-2", "d-3"])


@_of("glance", "at as many as are cheap")
async def _(queue: StillQueue) -> Any:
    for number in range(4):
        await queue.redis.hset(GROUP.delivery(DeliveryId(f"d-{number}")), "body", b"x" * (2 * 1024 * 1024))
    return len(await queue(scripts.GLANCE, GROUP.prefix, [f"d-{number}" for number in range(4)]))


@_of("stop", "an installation that runs")
async def _(queue: StillQueue) -> Any:
    return await queue(scripts.STOP, GROUP.prefix, ["ada", "too dear"])


@_of("stop", "one that is stopped already")
async def _(queue: StillQueue) -> Any:
    await queue(scripts.STOP, GROUP.prefix, ["ada", "too dear"])
    return await queue(scripts.STOP, GROUP.prefix, ["bob", ""])


@_of("start", "one that is stopped")
async def _(queue: StillQueue) -> Any:
    await queue(scripts.STOP, GROUP.prefix, ["ada", "too dear"])
    queue.now_ms += 5
    return await queue(scripts.START, GROUP.prefix, ["bob"])


@_of("start", "one that runs")
async def _(queue: StillQueue) -> Any:
    return await queue(scripts.START, GROUP.prefix, ["bob"])


@_of("stop", "one that was started again")
async def _(queue: StillQueue) -> Any:
    await queue(scripts.STOP, GROUP.prefix, ["ada", "too dear"])
    await queue(scripts.START, GROUP.prefix, ["bob"])
    return await queue(scripts.STOP, GROUP.prefix, ["bob", ""])


@_of("load", "of a stopped installation")
async def _(queue: StillQueue) -> Any:
    await queue(scripts.STOP, GROUP.prefix, ["ada", ""])
    return await queue(scripts.LOAD, GROUP.prefix, [])


@_of("load", "of some in each state")
async def _(queue: StillQueue) -> Any:
    await suspected(queue)
    await parked_beside(queue)
    names = [f"d-{number}" for number in range(10, 16)]
    await admit(queue, *names)
    await admit(queue, "e-1", "e-2", path=OTHER)
    await queue.upkeep.hold(GROUP, OTHER, "withheld")
    await admit(queue, "f-1", "f-2", path=THIRD)
    for pause_ms in (5000, 5001, 5001):
        lease = (await look(queue, worker="other")).leases[0]
        await queue.work.put_back(lease, pause_ms=pause_ms, counts=True)
    await look(queue, worker="other")
    queue.now_ms += 5000
    return await queue.upkeep.load(GROUP)


async def parked_beside(queue: StillQueue) -> None:
    """Park one while a suspect waits."""
    await look(queue, busy=1)  # the suspect is for this worker
    await admit(queue, "d-9")
    lease = (await look(queue, worker="other")).leases[0]
    await queue.work.park(lease, KEY, has_asked=False)


@_of("load", "of two held routes, one of them without deliveries")
async def _(queue: StillQueue) -> Any:
    await admit(queue, "e-1", "e-2", path=OTHER)
    for path in (OTHER, THIRD):
        await queue.upkeep.hold(GROUP, path, "suspended")
    return await queue(scripts.LOAD, GROUP.prefix, [])


@_of("load", "of routes that wait at one bucket")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1", "d-2")
    await throttled(queue, "e-1", path=OTHER)
    return await queue(scripts.LOAD, GROUP.prefix, [])


@_of("turn", "beside a route of which more are ready than may run")
async def _(queue: StillQueue) -> Any:
    await throttled(queue, "d-1")
    await throttled(queue, "e-1", path=OTHER)
    await queue.upkeep.limit(GROUP, {PATH: Limit(1)})
    await admit(queue, "d-2", "d-3")
    return await queue(scripts.TURN, GROUP.prefix, [5])


@_of("load", "of an empty queue")
async def _(queue: StillQueue) -> Any:
    return await queue(scripts.LOAD, GROUP.prefix, [])


async def reserved(queue: StillQueue, name: str = "d-1", *, for_ms: int = 60_000) -> Lease:
    """Let a worker begin an attempt, and reserve what its call may cost."""
    lease = await begun(queue, name)
    assert await Ledger(queue).reserve(lease, OF_ALL, CALL, for_ms=for_ms) is None
    return lease


@_of("reserve", "in all budgets")
async def _(queue: StillQueue) -> Any:
    return await Ledger(queue).reserve(await begun(queue), OF_ALL, CALL, for_ms=60_000)


@_of("reserve", "a second call")
async def _(queue: StillQueue) -> Any:
    await reserved(queue)
    return await Ledger(queue).reserve(await begun(queue, "d-2"), OF_ALL, CALL, for_ms=60_000)


@_of("reserve", "the same again")
async def _(queue: StillQueue) -> Any:
    return await Ledger(queue).reserve(await reserved(queue), OF_ALL, CALL, for_ms=60_000)


@_of("reserve", "without room in the last budget")
async def _(queue: StillQueue) -> Any:
    rules = (*OF_ALL[:2], budget(INSTALLATION, tokens=69))
    full = await Ledger(queue).reserve(await begun(queue), rules, CALL, for_ms=60_000)
    return full and (full.rule.scope, full.ends_ms)


@_of("reserve", "without a lease")
async def _(queue: StillQueue) -> Any:
    return await lost(Ledger(queue).reserve(await overtaken(queue), OF_ALL, CALL, for_ms=60_000))


@_of("reserve", "for a delivery of another group")
async def _(queue: StillQueue) -> Any:
    args: list[str | int] = ["d-1", 1, "", 400, 70, 60_000, INSTALLATION, 3_600_000, 400, ""]
    return await queue(scripts.RESERVE, GROUP.prefix, args)


@_of("pay", "what a call has cost")
async def _(queue: StillQueue) -> Any:
    return await Ledger(queue).pay(await reserved(queue), OF_ALL, Amount(150, 30))


@_of("pay", "nobody knows how much")
async def _(queue: StillQueue) -> Any:
    return await Ledger(queue).pay(await reserved(queue), OF_ALL, None)


@_of("pay", "after the period has turned")
async def _(queue: StillQueue) -> Any:
    lease = await reserved(queue)
    queue.now_ms += DAY_S * 1000
    return await Ledger(queue).pay(lease, OF_ALL, Amount(150, 30))


@_of("pay", "a second time")
async def _(queue: StillQueue) -> Any:
    lease = await reserved(queue)
    await Ledger(queue).pay(lease, OF_ALL, Amount(150, 30))
    return await Ledger(queue).pay(lease, OF_ALL, Amount(150, 30))


@_of("lapse", "of a worker that was killed, and of one that was not")
async def _(queue: StillQueue) -> Any:
    await reserved(queue)
    alive = await reserved(queue, "d-2", for_ms=0)
    await queue.work.renew(GROUP, [alive], lease_ms=120_000)
    queue.now_ms += 60_000
    await look(queue, wanted=0)
    return await Ledger(queue).lapse(GROUP)


@_of("lapse", "too early")
async def _(queue: StillQueue) -> Any:
    await reserved(queue)
    queue.now_ms += LEASE_MS
    await look(queue, wanted=0)
    queue.now_ms += 60_000 - LEASE_MS - 1
    return await Ledger(queue).lapse(GROUP)


@_of("account", "of new budgets")
async def _(queue: StillQueue) -> Any:
    return await Ledger(queue).account(GROUP, [OF_ALL[0], budget("team-a", micro_usd=None, tokens=5, period_s=3600)])


@_of("account", "of one that is nearly spent, and of no others")
async def _(queue: StillQueue) -> Any:
    await Ledger(queue).account(GROUP, OF_ALL[1:])
    await Ledger(queue).pay(await reserved(queue), OF_ALL, Amount(400, 70))
    return await Ledger(queue).account(GROUP, [budget(micro_usd=500)], are_all=True)


@_of("account", "of one whose period has turned")
async def _(queue: StillQueue) -> Any:
    await reserved(queue, "d-2")
    await Ledger(queue).pay(await reserved(queue), OF_ALL, Amount(400, 70))
    await Ledger(queue).account(GROUP, [budget(micro_usd=500)])
    queue.now_ms += DAY_S * 1000
    return await Ledger(queue).account(GROUP, [budget(micro_usd=500)])


async def wanting(queue: StillQueue, *names: str) -> None:
    """Park deliveries for a budget."""
    for name in names:
        trouble = Trouble(reason="budget", detail="spent", budget=PATH)
        await queue.work.park(await begun(queue, name), trouble, has_asked=True, need=CALL)


@_of("afford", "one of two")
async def _(queue: StillQueue) -> Any:
    await wanting(queue, "d-1", "d-2")
    return await Ledger(queue).afford(GROUP, budget(), (799, None), count=9)


@_of("afford", "all")
async def _(queue: StillQueue) -> Any:
    await wanting(queue, "d-1", "d-2")
    return await Ledger(queue).afford(GROUP, budget(), (800, 140), count=9)


@_of("afford", "none")
async def _(queue: StillQueue) -> Any:
    await wanting(queue, "d-1")
    return await Ledger(queue).afford(GROUP, budget(), (None, 69), count=9)


@_of("afford", "what needs more than the whole budget, before another one")
async def _(queue: StillQueue) -> Any:
    await wanting(queue, "d-1", "d-2")
    await queue.redis.hset(GROUP.delivery(DeliveryId("d-1")), "need", "1001 70")
    return await Ledger(queue).afford(GROUP, budget(), (400, None), count=9)


@_of("afford", "what is of a held route, before another one")
async def _(queue: StillQueue) -> Any:
    await wanting(queue, "d-1")
    await queue.upkeep.hold(GROUP, PATH, "suspended")
    trouble = Trouble(reason="budget", detail="spent", budget=PATH)
    await queue.work.park(await begun(queue, "e-1", path=OTHER), trouble, has_asked=True, need=CALL)
    return await Ledger(queue).afford(GROUP, budget(), (400, None), count=9)


@_of("park", "for a budget that another one has met before")
async def _(queue: StillQueue) -> Any:
    await wanting(queue, "d-1")
    trouble = Trouble(reason="budget", detail="spent anew", budget=PATH)
    return await queue.work.park(await begun(queue, "d-2"), trouble, has_asked=True, need=CALL)


async def _write() -> None:
    with tempfile.TemporaryDirectory() as folder, valkey_server(Path(folder)) as url:
        for script, situations in SITUATIONS.items():
            found = {}
            for name, situation in situations.items():
                client = connect(url)
                await client.flushall()
                found[name] = await told(StillQueue(client), situation)
                await client.aclose()
            text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
            FOLDER.mkdir(exist_ok=True)
            (FOLDER / f"{script}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(_write())
