"""Admission by plain commands: what the receiver's script leaves in Redis for the worker."""

import time

from redis.asyncio import Redis

from eventroute import keys
from eventroute.delivery import Delivery, encode_delivery, encode_job
from eventroute.ids import DeliveryId


async def admit(redis: Redis, delivery: Delivery, *, traceparent: str = "", due_in_s: float = 0) -> None:
    """Queue a delivery."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.set(keys.delivery(delivery.id), encode_delivery(delivery))
        _queue(pipe, delivery.id, traceparent, due_in_s)
        await pipe.execute()


async def admit_job(redis: Redis, name: str, *, traceparent: str = "", due_in_s: float = 0) -> DeliveryId:
    """Queue a job whose delivery nobody reads."""
    delivery = DeliveryId(name)
    async with redis.pipeline(transaction=True) as pipe:
        _queue(pipe, delivery, traceparent, due_in_s)
        await pipe.execute()
    return delivery


def _queue(pipe: Redis, name: DeliveryId, traceparent: str, due_in_s: float) -> None:
    now_ms = time.time_ns() // 1_000_000
    pipe.set(keys.job(name), encode_job(name, traceparent=traceparent, now_ms=now_ms))
    pipe.zadd(keys.QUEUE, {name: now_ms + int(due_in_s * 1000)})
    pipe.lpush(keys.WAKE, "1")
    pipe.ltrim(keys.WAKE, 0, keys.WAKE_TOKENS - 1)
