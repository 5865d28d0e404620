"""What stays in Redis after a delivery has ended: its record for a while, and nothing in the queue's sets."""

import pytest
from redis.asyncio import Redis

from eventroute.outcome import DeadReason, RunOutcome
from eventroute_worker.attempt import DEFAULT_RETENTION, Attempt, End, Later, Settled, dead
from support.queue import GROUP, admit_job, dead_letters, depth, fields, lease, lease_again, settle, work_on
from support.runs import PATH
from support.worker import DONE, Recorder, record, running, until_empty

pytestmark = pytest.mark.real

DAY_MS = 86_400_000


async def test_the_record_of_a_settled_delivery_expires_and_nothing_else_is_left(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    before = await redis.hget(GROUP.usage, "bytes")
    async with running(redis, Recorder(Settled(outcome=RunOutcome.SUCCEEDED, fields={"about": "42"}))):
        await until_empty(redis)
    assert DEFAULT_RETENTION.record - 60_000 < await redis.pttl(GROUP.delivery(name)) <= DEFAULT_RETENTION.record
    found = await record(redis, name)
    assert int(found["finished"]) >= int(found["at"])
    assert {key: found.get(key) for key in ("state", "outcome", "reason", "detail", "about", "fence")} == {
        "state": "settled",
        "outcome": "succeeded",
        "reason": None,
        "detail": "",
        "about": "42",
        "fence": "1",
    }
    assert await redis.exists(GROUP.ready(PATH), GROUP.rotation, GROUP.later, GROUP.running, GROUP.dead(PATH)) == 0
    assert await redis.zrange(GROUP.finished("bodies", PATH), 0, -1) == [b"d-1"]
    assert int(before or 0) > 0
    for key in (GROUP.usage, GROUP.route(PATH)):
        assert await redis.hmget(key, "depth", "bytes") == [b"0", b"0"]


async def test_a_dead_letter_is_listed_and_keeps_its_payload_for_a_month(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    async with running(redis, Recorder(dead(DeadReason.BILLING, "no credit"))):
        await until_empty(redis)
    assert await dead_letters(redis) == [name]
    assert 30 * DAY_MS < await redis.pttl(GROUP.delivery(name)) <= 31 * DAY_MS
    found = await record(redis, name)
    assert (found["state"], found["reason"], found["detail"]) == ("dead", "billing", "no credit")
    assert int(await redis.hget(GROUP.route(PATH), "dead_bytes")) == len(found["body"]) > 0
    assert await depth(redis) == 0


async def test_what_was_noted_on_the_way_is_gone_with_the_end(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    taken = await lease(redis)
    await work_on(redis).begin(taken, traceparent="")
    await work_on(redis).asking(taken)
    again = await lease_again(redis, name)
    await work_on(redis).begin(again, traceparent="")
    await work_on(redis).put_back(again, pause_ms=0, counts=False, error="529")
    before = await fields(redis, name)
    assert (before["cuts"], before["waits"], before["last_error"]) == ("1", "1", "529")
    await settle(redis, await lease(redis))
    assert not {"cuts", "waits", "last_error", "stage", "due", "reason"} & (await fields(redis, name)).keys()


async def test_nothing_expires_before_it_has_settled(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    seen: list[int] = []

    async def handler(_: Attempt) -> End:
        seen.append(await redis.pttl(GROUP.delivery(name)))
        return Later(delay_s=0) if len(seen) == 1 else dead(DeadReason.RENDER, "")

    async with running(redis, handler):
        await until_empty(redis)
    assert seen == [-1, -1]


async def test_only_attempts_that_count_are_counted(redis: Redis) -> None:
    counts = [True, False, False, True]
    attempts: list[int] = []

    async def handler(attempt: Attempt) -> End:
        attempts.append((await work_on(redis).begin(attempt.lease, traceparent="")).attempts)
        return Later(delay_s=0, counts=counts.pop(0)) if counts else DONE

    name = await admit_job(redis, "d-1")
    async with running(redis, handler):
        await until_empty(redis)
    assert attempts == [1, 2, 2, 2, 3]
    assert (await fields(redis, name))["attempts"] == "3"
