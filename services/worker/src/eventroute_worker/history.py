"""What is remembered about an entity: its latest conclusions, per route or per namespace, each delivery's once."""

import hashlib
from typing import Final

import msgspec
from redis.asyncio import Redis

from eventroute import keys
from eventroute.delivery import Delivery
from eventroute.prompt import HistoryEntry
from eventroute.route_table import HistoryRule
from eventroute_worker import scripts
from eventroute_worker.answer import Answer

CONCLUSION_CHARACTERS: Final = 500
"""Of an answer that go into the history: with ten entries injected, some 1,500 tokens of every prompt. Arbitrary."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(HistoryEntry)


class History:
    """Reads and writes the histories of entities."""

    def __init__(self, redis: Redis) -> None:
        """Take a client."""
        self._redis = redis
        self._remember = scripts.load(redis, "remember")

    async def recall(self, rule: HistoryRule, delivery: Delivery, entity: str) -> list[HistoryEntry]:
        """Read the latest entries, as many as the route injects, oldest first."""
        if rule.inject == 0:
            return []
        stored = await self._redis.lrange(_key(rule, delivery, entity), 0, rule.inject - 1)
        return [_decoder.decode(entry) for entry in reversed(stored)]

    async def remember(self, rule: HistoryRule, delivery: Delivery, entity: str, answer: Answer) -> None:
        """Add an answer; does nothing when this delivery's is there already."""
        entry = HistoryEntry(
            event=delivery.event, time_ms=delivery.received_ms, conclusion=answer.text[:CONCLUSION_CHARACTERS]
        )
        await self._remember(
            [keys.run(delivery.id), _key(rule, delivery, entity)], [_encoder.encode(entry), rule.keep, rule.ttl_s]
        )


def _key(rule: HistoryRule, delivery: Delivery, entity: str) -> str:
    namespace, _, _ = delivery.route.partition("/")
    scope = delivery.route_uid if rule.scope == "route" else f"ns/{namespace}"
    return keys.history(scope, hashlib.blake2b(entity.encode(), digest_size=16).hexdigest())
