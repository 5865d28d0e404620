"""What is remembered about an entity: its latest conclusions, per route or per namespace, each delivery's once.

Entries stand in the order of receipt, whichever was answered first: an event is told of what came before it.
"""

import hashlib
from typing import Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from eventroute.delivery import Delivery
from eventroute.prompt import HistoryEntry
from eventroute.queue import Lease, Work
from eventroute.route_table import HistoryRule
from eventroute.runtime.scripts import told
from eventroute_worker.answer import Answer

CONCLUSION_CHARACTERS: Final = 500
"""Of an answer that go into the history: with ten entries injected, some 1,500 tokens of every prompt. Arbitrary."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(HistoryEntry)


class History:
    """Reads and writes the histories of entities."""

    def __init__(self, redis: Redis, work: Work) -> None:
        """Take a client, and the calls to the queue."""
        self._redis = redis
        self._work = work

    async def recall(
        self, rule: HistoryRule, delivery: Delivery, entity: str, *, lease: Lease, seq: int
    ) -> list[HistoryEntry]:
        """Read the latest entries before this delivery, as many as the route injects, oldest first."""
        if rule.inject == 0:
            return []
        key = lease.group.history(_scope(rule, delivery, entity))
        try:
            stored = await self._redis.zrevrangebyscore(key, f"({seq}", "-inf", start=0, num=rule.inject)
        except (RedisError, OSError) as error:
            raise told(error) from error
        # Two deliveries may have come to one conclusion at the same time: the id in front tells their entries apart.
        return [_decoder.decode(entry.partition(b" ")[2]) for entry in reversed(stored)]

    async def remember(
        self, rule: HistoryRule, delivery: Delivery, entity: str, answer: Answer, *, lease: Lease, seq: int
    ) -> None:
        """Add an answer; does nothing when this delivery's is there already."""
        entry = HistoryEntry(
            event=delivery.event, time_ms=delivery.received_ms, conclusion=answer.text[:CONCLUSION_CHARACTERS]
        )
        await self._work.remember(
            lease,
            _scope(rule, delivery, entity),
            delivery.id.encode() + b" " + _encoder.encode(entry),
            seq=seq,
            keep=rule.keep,
            ttl_s=rule.ttl_s,
        )


def _scope(rule: HistoryRule, delivery: Delivery, entity: str) -> str:
    namespace, _, _ = delivery.route.partition("/")
    scope = f"route/{delivery.route}" if rule.scope == "route" else f"ns/{namespace}"
    return f"{scope}:{hashlib.blake2b(entity.encode(), digest_size=16).hexdigest()}"
