"""When Redis may take no more memory, a delivery is refused as a whole: nothing half-written, nothing acknowledged."""

from redis.asyncio import Redis

from eventroute.route_table import RECEIVER
from eventroute.runtime.tables import heartbeats
from support.full_redis import no_memory
from support.probes import probing
from support.receipts import receipts
from support.receiving import Receiving, opened, receiving, signed
from support.sample_routes import receiver_route
from support.waiting import until


async def test_a_delivery_is_refused_whole_and_admitted_when_there_is_memory_again(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    stored, before = set(await receiver.redis.keys("*")), receipts()
    async with no_memory(receiver.redis):
        answer = await receiver.post(opened())
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (503, b"", "5")
    assert receipts() - before == {("team-a/triage", "unavailable", "memory"): 1}
    assert set(await receiver.redis.keys("*")) == stored
    assert (await receiver.post(opened())).json()["status"] == "queued"


async def test_a_dead_letter_that_cannot_be_kept_is_not_acknowledged_either(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    unreadable = signed("github", b"{", delivery="gh-1", event="push")
    before = receipts()
    async with no_memory(receiver.redis):
        assert (await receiver.post(unreadable)).status_code == 503
    assert receipts() - before == {("team-a/triage", "unavailable", "memory"): 1}
    assert (await receiver.post(unreadable)).status_code == 422


async def test_the_queue_can_still_be_counted(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    await receiver.post(opened())
    async with no_memory(receiver.redis), probing(receiver) as probes:
        assert (await probes.get("/load")).json() == {"load": 1, "throttled": 0, "deferred": 0, "held": 0}


async def test_a_receiver_that_starts_meanwhile_follows_its_table_and_says_so(valkey_url: str, redis: Redis) -> None:
    async with no_memory(redis), receiving(valkey_url, redis) as receiver:
        await receiver.serve(receiver_route(suspend="drop"))
        assert (await receiver.post(opened())).status_code == 200
        version = receiver.receiver.table.version

        async def is_told() -> bool:
            return [beat.version for beat in await heartbeats(redis, RECEIVER)] == [version]

        await until(is_told)
