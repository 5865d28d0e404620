"""A run's record in Redis: what an attempt finds there, and what it saves so that the next one need not repeat it.

The hash `keys.run`: `answer` (the checkpoint), `sink:<position>` (done), `remembered` (in the history),
`last_traceparent`, `last_error` (why the latest attempt ended without an answer), and from the moment of settling
`outcome`, `reason`, `detail`, `attempts`, `finished_ms` and what the pipeline says of the delivery.
"""

import asyncio
import time
from typing import Final, NamedTuple

from redis.asyncio import Redis

from eventroute import keys
from eventroute.ids import DeliveryId
from eventroute.runtime.redis import CONNECTION_ERRORS
from eventroute_worker import scripts
from eventroute_worker.answer import Answer, decode_answer, encode_answer

_SAVE_S: Final = 60.0  # an answer has been paid for: worth waiting for a Redis that restarts
_SAVE_PAUSE_S: Final = 0.5


class Begun(NamedTuple):
    """What an attempt starts from."""

    delivery: bytes | None
    answer: Answer | None
    sinks_done: frozenset[int]
    last_traceparent: str


class Records:
    """Reads and writes the records of runs."""

    def __init__(self, redis: Redis) -> None:
        """Take a client."""
        self._begin = scripts.load(redis, "begin")
        self._save_answer = scripts.load(redis, "save_answer")
        self._note = scripts.load(redis, "note")

    async def begin(self, delivery: DeliveryId, *, traceparent: str) -> Begun:
        """Read everything that an attempt needs, in one round trip, and leave its trace context for the next one."""
        stored, flat = await self._begin([keys.delivery(delivery), keys.run(delivery)], [traceparent])
        fields: dict[bytes, bytes] = dict(zip(flat[::2], flat[1::2], strict=True))
        answer = fields.get(b"answer")
        return Begun(
            delivery=stored,
            answer=None if answer is None else decode_answer(answer),
            sinks_done=frozenset(int(name[5:]) for name in fields if name.startswith(b"sink:")),
            last_traceparent=fields.get(b"last_traceparent", b"").decode(),
        )

    async def save_answer(self, delivery: DeliveryId, answer: Answer) -> Answer:
        """Save an answer, trying for a while; returns the one that counts: another worker's, if that was first."""
        give_up = time.monotonic() + _SAVE_S
        while True:
            try:
                return decode_answer(await self._save_answer([keys.run(delivery)], [encode_answer(answer)]))
            except CONNECTION_ERRORS:
                if time.monotonic() > give_up:
                    raise
                await asyncio.sleep(_SAVE_PAUSE_S)

    async def note_error(self, delivery: DeliveryId, detail: str) -> None:
        """Say why the attempt ended without an answer, for whoever looks before the next one."""
        await self._note([keys.run(delivery)], ["last_error", detail])

    async def mark_sink(self, delivery: DeliveryId, position: int) -> None:
        """Note that a sink has the answer."""
        await self._note([keys.run(delivery)], [sink_mark(position), "1"])


def sink_mark(position: int) -> str:
    """Name the field that says that a sink is done."""
    return f"sink:{position}"
