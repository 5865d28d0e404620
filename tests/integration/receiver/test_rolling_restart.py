"""Receivers replaced under load: a provider that repeats what was not acknowledged loses and doubles nothing."""

import asyncio
import contextlib
from pathlib import Path

import httpx
from redis.asyncio import Redis

from eventroute.sealed import SealKey, new_key_text
from support.queue import ready
from support.raw_http import exchange, whole
from support.receiver_process import OnTheWire, ReceiverProcess, receiver_process
from support.receiving import opened
from support.sample_routes import receiver_route

EVENTS = 400


class Provider:
    """Sends each event until it is acknowledged, to whichever receiver its turn meets."""

    def __init__(self, client: httpx.AsyncClient, receivers: list[ReceiverProcess]) -> None:
        self._client = client
        self._receivers = receivers
        self.acknowledged: dict[int, str] = {}
        self.repeats = 0

    async def deliver(self, number: int) -> None:
        request = opened(number)
        for attempt in range(200):
            receiver = self._receivers[(number + attempt) % len(self._receivers)]
            url = f"{receiver.url}/hooks/team-a/triage"
            try:
                answer = await self._client.post(url, headers=request.headers, content=request.body)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == 200:
                self.acknowledged[number] = answer.json()["delivery"]
                return
            self.repeats += 1
            await asyncio.sleep(0.02)
        raise AssertionError(f"event {number} was never acknowledged")


async def test_nothing_acknowledged_is_lost_and_nothing_is_queued_twice(
    tmp_path: Path, valkey_url: str, redis: Redis
) -> None:
    key = new_key_text()

    def start(name: str) -> contextlib.AbstractContextManager[ReceiverProcess]:
        return receiver_process(tmp_path, valkey_url, key, name=name)

    with contextlib.ExitStack() as processes:
        receivers = [processes.enter_context(start(name)) for name in ("one", "two")]
        await OnTheWire(receivers[0], redis, SealKey.from_text(key)).serve(receiver_route())
        for receiver in receivers:
            await receiver.until_warm()
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=8), timeout=10) as client:
            provider = Provider(client, receivers)
            sending = asyncio.create_task(send_all(provider))
            for index, name in enumerate(("three", "four")):
                await asyncio.sleep(0.3)
                old = receivers[index]
                old.terminate()
                replacement = await asyncio.to_thread(processes.enter_context, start(name))
                receivers[index] = replacement
                await asyncio.to_thread(old.process.wait, 10)
            await sending
    queued = await ready(redis)
    assert len(provider.acknowledged) == EVENTS
    assert sorted(provider.acknowledged.values()) == sorted(queued)
    assert provider.repeats > 0  # the restarts were felt


async def send_all(provider: Provider) -> None:
    """Eight at a time, for as long as the restarts take."""
    numbers = iter(range(EVENTS))

    async def one_after_the_other() -> None:
        for number in numbers:
            await provider.deliver(number)
            await asyncio.sleep(0.02)

    await asyncio.gather(*(one_after_the_other() for _ in range(8)))


async def test_copies_that_reach_two_receivers_at_once_make_one_job(
    tmp_path: Path, valkey_url: str, redis: Redis
) -> None:
    key = new_key_text()
    with (
        receiver_process(tmp_path, valkey_url, key, name="one") as one,
        receiver_process(tmp_path, valkey_url, key, name="two") as two,
    ):
        wire = OnTheWire(one, redis, SealKey.from_text(key))
        await wire.serve(receiver_route())
        await two.until_warm()
        copies = [exchange(receiver.port, whole(opened())) for _ in range(25) for receiver in (one, two)]
        answers = await asyncio.gather(*copies)
        assert {answer.status for answer in answers} == {200}
        assert len(await wire.queued()) == 1
