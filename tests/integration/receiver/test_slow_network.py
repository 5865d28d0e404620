"""A slow network to Redis: a huge delivery is admitted although it takes its time, and others do not wait for it."""

import asyncio

from redis.asyncio import Redis

from eventroute.runtime.link import RedisLink
from support.receiving import opened, pull_request, receiving, signed
from support.sample_routes import receiver_route
from support.slow_link import throttled
from support.waiting import until

MIB = 1 << 20


async def test_a_huge_delivery_is_admitted_and_small_ones_are_answered_meanwhile(valkey_url: str, redis: Redis) -> None:
    async with (
        throttled(valkey_url, bytes_per_s=10_000_000) as url,
        receiving(url, redis, max_queue_bytes=100 * MIB) as receiver,
    ):
        await receiver.serve(receiver_route(), receiver_route(name="large", max_body_bytes=25 * MIB))
        payload = {**pull_request(), "text": "x" * 24_000_000}  # 2.4 s
        request = signed("github", payload, event="pull_request", delivery="gh-large")
        sending = asyncio.create_task(receiver.post(request, "large"))
        assert isinstance(receiver.receiver.link, RedisLink)
        large = receiver.receiver.link._large
        await until(lambda: large.wire is not None and bool(large.wire._waiting))
        for number in range(20):
            assert (await receiver.post(opened(number))).json()["status"] == "queued"
        assert not sending.done()
        answer = await sending
        assert (answer.status_code, answer.json()["status"]) == (200, "queued")
        assert (await receiver.post(request, "large")).json()["status"] == "duplicate"
        assert len(await receiver.queued()) == 21
