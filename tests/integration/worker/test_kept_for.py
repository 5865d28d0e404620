"""How long what has ended is kept: as the route says, where it says so, and else as the installation does."""

import pytest
from redis.asyncio import Redis

from eventroute.outcome import DeadReason
from eventroute.queue import Retention
from eventroute.route_table import RetentionRule
from eventroute_worker.answer import GivenUp
from eventroute_worker.attempt import Attempt, Settled
from support.queue import GROUP, admit, lease
from support.runs import PATH, FakeClaude, FakeRoutes, build_runner, prompt_rule, sample_delivery, worker_route
from support.worker import running, until_empty

pytestmark = pytest.mark.real

INSTALLATION = Retention(body=3_600_000, answer=86_400_000, record=604_800_000)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (RetentionRule(), INSTALLATION),
        (RetentionRule(payload_s=60), Retention(60_000, 86_400_000, 604_800_000)),
        (RetentionRule(answer_s=7200), Retention(3_600_000, 7_200_000, 604_800_000)),
        (RetentionRule(payload_s=0, answer_s=0, record_s=90_000), Retention(0, 0, 90_000_000)),
        # Each at least as long as the one before: a body is of no use without its record.
        (RetentionRule(payload_s=200_000), Retention(200_000_000, 200_000_000, 604_800_000)),
        (RetentionRule(record_s=60), Retention(3_600_000, 86_400_000, 86_400_000)),
    ],
)
async def test_the_routes_word_goes_before_the_installations(
    redis: Redis, rule: RetentionRule, kept: Retention
) -> None:
    await admit(redis, sample_delivery())
    runner = build_runner(redis, routes=FakeRoutes(worker_route(retention=rule)), retention=INSTALLATION)
    end = await runner(Attempt(await lease(redis)))
    assert isinstance(end, Settled)
    assert end.retention == kept


async def test_it_is_so_for_what_ends_without_an_answer_too(redis: Redis) -> None:
    rule = RetentionRule(payload_s=5)
    for name, prompts in (("d-1", (prompt_rule(events=("push",)),)), ("d-2", (prompt_rule(),))):
        await admit(redis, sample_delivery(name))
        claude = FakeClaude(GivenUp(reason=DeadReason.TOO_LARGE, detail="413"))
        routes = FakeRoutes(worker_route(retention=rule, prompts=prompts))
        end = await build_runner(redis, claude=claude, routes=routes, retention=INSTALLATION)(
            Attempt(await lease(redis))
        )
        assert isinstance(end, Settled)
        assert end.retention == INSTALLATION._replace(body=5000)


async def test_the_queue_is_told_of_it(redis: Redis) -> None:
    routes = FakeRoutes(worker_route(retention=RetentionRule(payload_s=60, answer_s=120, record_s=180)))
    name = await admit(redis, sample_delivery())
    async with running(redis, build_runner(redis, routes=routes)):
        await until_empty(redis)
    kept = await redis.hmget(GROUP.route(PATH), "keep_bodies", "keep_answers", "keep_records")
    assert kept == [b"60000", b"120000", b"180000"]
    assert 170_000 < await redis.pttl(GROUP.delivery(name)) <= 180_000
