"""Ends that come before Claude is asked count for their route, and say as much as is known by then."""

import json

import pytest
from redis.asyncio import Redis

from eventroute.ids import RouteUid
from eventroute.outcome import DeadReason
from eventroute.runtime.metrics import REGISTRY
from eventroute_worker.answer import Passing, Reply, Standing
from eventroute_worker.attempt import Attempt, Settled
from support.queue import GROUP, admit, lease
from support.runs import FakeClaude, build_runner, sample_delivery

pytestmark = pytest.mark.real

UID = RouteUid("uid-triage")


async def test_one_whose_attempts_were_cut_short_counts_for_its_route(redis: Redis) -> None:
    name = await admit(redis, sample_delivery())
    await redis.hset(GROUP.delivery(name), "attempts", 3)
    end = await build_runner(redis)(Attempt(await lease(redis)))
    assert isinstance(end, Settled)
    assert (end.reason, end.detail, end.route) == (DeadReason.ATTEMPTS, "3 attempts were cut short", UID)


async def test_one_with_a_payload_that_nobody_can_read_says_what_it_was(redis: Redis) -> None:
    await admit(redis, sample_delivery(payload=b'"\xff"'))
    end = await build_runner(redis)(Attempt(await lease(redis)))
    assert isinstance(end, Settled)
    assert (end.reason, end.route) == (DeadReason.DECODE, UID)
    about = end.fields["about"]
    assert isinstance(about, bytes)
    assert json.loads(about) == {
        "provider": "github",
        "event": "pull_request.opened",
        "provider_id": "p-1",
    }


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (Passing(detail="529", after_s=1), "later"),
        (Standing(reason=DeadReason.BILLING, detail="402", whole_key=True), "parked"),
    ],
)
async def test_what_is_no_end_yet_is_counted_by_its_own_word(redis: Redis, reply: Reply, word: str) -> None:
    def count() -> float:
        return REGISTRY.get_sample_value("eventroute_worker_attempts_total", {"end": word}) or 0

    before = count()
    await admit(redis, sample_delivery())
    await build_runner(redis, claude=FakeClaude(reply))(Attempt(await lease(redis)))
    assert count() == before + 1
