"""The account after a disturbed burst: what every acknowledged delivery came to, and what was paid for it.

The proof that no answer was paid for twice goes by ids: the simulator numbers each call and gives the number to its
answer, and a run keeps the first answer that was saved. A call after that one would stand behind it in the simulator's
list, so the saved answer has to be the delivery's last call. Only calls whose answers were not saved may stand before.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute_cli.simulator.journal import Entry
from eventroute_worker.answer import decode_answer
from support.burst import Burst
from support.installation import Installation
from support.queue import GROUP, dead_letters, depth
from support.waiting import until

RESULTS: Final = "results"
SECOND: Final = "second"
"""The streams that the route's answers go to, in this order."""

_SETTLED_S = 40.0  # a killed worker's leases last 15 s
_JOURNAL_ENTRIES = 1000  # more calls than the simulator lists would make the proof a guess
_MARKER = re.compile(r"burst-\d{4}\.")


@dataclass(frozen=True)
class Account:
    """What is left when the queue is empty."""

    outcomes: dict[DeliveryId, str]
    """Of every run that Redis knows."""
    saved: dict[DeliveryId, str]
    """The call whose answer a run has kept."""
    streamed: dict[str, Counter[DeliveryId]]
    """How often each delivery is in each stream."""
    calls: dict[DeliveryId, list[Entry]]
    """All calls of Claude for a delivery, in order."""
    left: list[str]
    """What should be gone from the queue's sets, and dead letters that should not be."""

    def repeated(self) -> dict[DeliveryId, list[Entry]]:
        """Find the deliveries that Claude answered more than once, and the calls whose answers were not saved."""
        answered = {name: [call for call in calls if is_answered(call)] for name, calls in self.calls.items()}
        return {name: calls[:-1] for name, calls in answered.items() if len(calls) > 1}


def is_answered(call: Entry) -> bool:
    """Tell whether a call got a whole answer, to be paid for."""
    return call.given.status == 200 and not call.given.fault


async def settled(installation: Installation, burst: Burst) -> Account:
    """Wait until every delivery has settled, and draw up the account."""
    redis = installation.redis

    async def is_empty() -> bool:
        return await redis.exists(GROUP.usage) > 0 and await depth(redis) == 0

    await until(is_empty, timeout_s=_SETTLED_S)
    runs = [DeliveryId(name) for name in await _names(redis, GROUP.delivery(DeliveryId("*")))]
    records = {name: await redis.hgetall(GROUP.delivery(name)) for name in runs}
    calls = await installation.calls()
    assert len(calls) < _JOURNAL_ENTRIES
    by_delivery: dict[DeliveryId, list[Entry]] = defaultdict(list)
    for call in calls:
        (name,) = set(_MARKER.findall(call.text))
        by_delivery[burst.acknowledged[name]].append(call)
    return Account(
        outcomes={name: record.get(b"outcome", b"").decode() for name, record in records.items()},
        saved={name: _call_of(record[b"answer"]) for name, record in records.items() if b"answer" in record},
        streamed={stream: await _streamed(redis, stream) for stream in (RESULTS, SECOND)},
        calls=by_delivery,
        left=[*await _queued(redis), *await dead_letters(redis)],
    )


def discrepancies(account: Account, burst: Burst) -> list[str]:
    """Say what was lost, what was done twice, and which saved answer was paid for again; empty when all is well."""
    acknowledged = Counter(burst.acknowledged.values())
    due = dict.fromkeys(acknowledged, "succeeded")
    last_calls = {name: calls[-1].request_id for name, calls in account.calls.items()}
    found = [f"{burst.size - len(acknowledged)} events share a delivery"] if len(acknowledged) != burst.size else []
    found += [f"outcome {name}: {account.outcomes.get(name)}" for name in _differing(account.outcomes, due)]
    for stream, streamed in account.streamed.items():
        found += [f"stream {stream}: {name} {streamed[name]} times" for name in _differing(streamed, acknowledged)]
    found += [f"Claude was asked after the answer: {name}" for name in _differing(account.saved, last_calls)]
    return found + [f"left over: {name}" for name in account.left]


def _differing(found: Mapping[DeliveryId, object], due: Mapping[DeliveryId, object]) -> list[DeliveryId]:
    return sorted(name for name in {*found, *due} if found.get(name) != due.get(name))


async def _streamed(redis: Redis, stream: str) -> Counter[DeliveryId]:
    entries = await redis.xrange(GROUP.stream("team-a", stream))
    return Counter(DeliveryId(fields[b"delivery"].decode()) for _, fields in entries)


def _call_of(answer: bytes) -> str:
    return decode_answer(answer).message_id.replace("msg_", "req_")


async def _queued(redis: Redis) -> list[str]:
    sets = (GROUP.running, GROUP.later, GROUP.suspects, GROUP.rotation)
    return [f"{key} {name.decode()}" for key in sets for name in await redis.zrange(key, 0, -1)]


async def _names(redis: Redis, pattern: str) -> list[str]:
    prefix = pattern.removesuffix("*")
    return [name.decode().removeprefix(prefix) async for name in redis.scan_iter(match=pattern, count=1000)]
