"""Redis away, silent, or refusing: 503 within a second, and service again by itself. What was acknowledged is kept."""

import asyncio
import time

from support.own_valkey import OwnValkey
from support.probes import probing
from support.queue import GROUP
from support.receipts import receipts
from support.receiving import Receiving, opened, signed
from support.sample_routes import receiver_route
from support.waiting import until


async def assert_refused(receiver: Receiving, *, within_s: float) -> None:
    before, started = receipts(), time.monotonic()
    answer = await receiver.post(opened(99))
    assert time.monotonic() - started < within_s
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (503, b"", "5")
    assert receipts() - before == {("team-a/triage", "unavailable", "redis"): 1}


async def until_accepted(receiver: Receiving, number: int) -> str:
    """Post until it is accepted, as a provider does; returns the delivery id."""

    async def is_accepted() -> bool:
        return (await receiver.post(opened(number))).status_code == 200

    await until(is_accepted)
    return str((await receiver.post(opened(number))).json()["delivery"])


async def test_killed_senders_hear_503_at_once_and_are_served_after_a_restart(
    fragile: OwnValkey, fragile_receiver: Receiving
) -> None:
    await fragile_receiver.serve(receiver_route())
    await until_accepted(fragile_receiver, 1)
    fragile.kill()
    await assert_refused(fragile_receiver, within_s=1)
    await assert_refused(fragile_receiver, within_s=0.5)
    fragile.restart()
    await until_accepted(fragile_receiver, 2)
    assert len(await fragile_receiver.queued()) == 2


async def test_killed_under_load_nothing_acknowledged_is_lost(fragile: OwnValkey, fragile_receiver: Receiving) -> None:
    await fragile_receiver.serve(receiver_route())
    acknowledged: set[str] = set()

    async def send(number: int) -> None:
        answer = await fragile_receiver.post(opened(number))
        if answer.status_code == 200:
            acknowledged.add(answer.json()["delivery"])

    sending = [asyncio.create_task(send(number)) for number in range(300)]
    await until(lambda: len(acknowledged) >= 20)
    fragile.kill()
    await asyncio.gather(*sending)
    fragile.restart()
    await until(lambda: fragile_receiver.receiver.link.is_up)
    queued = await fragile_receiver.queued()
    assert acknowledged <= set(queued)
    for delivery in queued:
        assert await fragile_receiver.redis.hexists(GROUP.delivery(delivery), "body")
    for number in range(300):
        await fragile_receiver.post(opened(number))
    assert len(await fragile_receiver.queued()) == 300  # the repeats met the claims


async def test_silent_senders_hear_503_within_a_second_and_what_it_did_take_is_a_repeat_later(
    fragile: OwnValkey, fragile_receiver: Receiving
) -> None:
    await fragile_receiver.serve(receiver_route())
    with fragile.frozen():
        await assert_refused(fragile_receiver, within_s=1)
        await assert_refused(fragile_receiver, within_s=0.5)  # known to be away by now
    delivery = await until_accepted(fragile_receiver, 99)
    assert await fragile_receiver.queued() == [delivery]


async def test_a_dead_letter_that_cannot_be_kept_is_not_acknowledged(
    fragile: OwnValkey, fragile_receiver: Receiving
) -> None:
    await fragile_receiver.serve(receiver_route())
    fragile.kill()
    answer = await fragile_receiver.post(signed("github", b"{", event="push", delivery="gh-1"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_what_needs_no_redis_is_answered_without_it(fragile: OwnValkey, fragile_receiver: Receiving) -> None:
    await fragile_receiver.serve(receiver_route(), receiver_route("slack", name="chat"))
    fragile.kill()
    assert (await fragile_receiver.post(opened(secret="forged-by-somebody-else"))).status_code == 401
    assert (await fragile_receiver.post(opened(), name="unheard-of")).status_code == 404
    challenge = signed("slack", {"type": "url_verification", "challenge": "3eZb"})
    assert (await fragile_receiver.post(challenge, name="chat")).json() == {"challenge": "3eZb"}


async def test_the_table_in_memory_survives_a_redis_that_lost_everything(fragile_receiver: Receiving) -> None:
    await fragile_receiver.serve(receiver_route())
    await fragile_receiver.redis.flushall()
    assert (await fragile_receiver.post(opened())).json()["status"] == "queued"


async def test_the_probes_tell_and_the_receiver_stays_ready_to_say_503(
    fragile: OwnValkey, fragile_receiver: Receiving
) -> None:
    await fragile_receiver.serve(receiver_route())
    async with probing(fragile_receiver) as probes:
        fragile.kill()
        await until(lambda: not fragile_receiver.receiver.link.is_up)
        ready, load = await probes.get("/readyz"), await probes.get("/load")
        assert (ready.status_code, ready.json()["redis"]) == (200, False)
        assert (load.status_code, load.json()) == (503, {"unavailable": "redis"})
        assert (await probes.get("/livez")).status_code == 200


async def test_routes_published_after_a_restart_arrive(fragile: OwnValkey, fragile_receiver: Receiving) -> None:
    await fragile_receiver.serve(receiver_route())
    fragile.kill()
    fragile.restart()
    for number in range(3):
        await fragile_receiver.serve(receiver_route(), receiver_route(name=f"later-{number}"))
    await until(lambda: fragile_receiver.receiver.link.is_up)
    assert (await fragile_receiver.post(opened(), name="later-2")).status_code == 200
    assert (await fragile_receiver.post(opened(), name="later-1")).status_code == 503  # deleted a short while ago
    assert (await fragile_receiver.post(opened(), name="later-3")).status_code == 404


async def test_a_server_that_became_a_replica_refuses_and_serves_again_as_primary(
    fragile_receiver: Receiving,
) -> None:
    await fragile_receiver.serve(receiver_route())
    await fragile_receiver.redis.replicaof("127.0.0.1", "1")
    await assert_refused(fragile_receiver, within_s=1)
    await fragile_receiver.redis.replicaof("NO", "ONE")
    await until_accepted(fragile_receiver, 1)
