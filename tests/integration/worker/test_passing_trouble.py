"""A trouble that passes costs a delivery nothing but time, until its deadline, by Redis' clock."""

import random
import time

import pytest
from redis.asyncio import Redis

from eventroute.models import Models
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import scripts
from eventroute.route_table import ModelCall, RetryRule
from eventroute.runtime.scripts import ClientCaller
from eventroute.secret import Secret
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.server import Served
from eventroute_worker.answer import Failed, Passing, Reply
from eventroute_worker.attempt import Attempt, End, Later, Settled
from eventroute_worker.claude import Claude
from eventroute_worker.pricing import Prices
from support.queue import GROUP, admit, end, fields, lease, work_on
from support.runs import FakeClaude, FakeRoutes, build_runner, prompt_rule, sample_delivery, worker_route
from support.worker import running, until_empty

pytestmark = pytest.mark.real

NAME = sample_delivery().id
ONE_ATTEMPT = worker_route(
    retry=RetryRule(attempts=1, deadline_s=3600),
    prompts=(prompt_rule(model=ModelCall(name="claude-haiku-5-5", max_tokens=64, timeout_s=0.5, thinking="disabled")),),
)


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the longest pause that the jitter allows."""
    monkeypatch.setattr(random, "uniform", lambda _, most: most)


@pytest.fixture
def shortest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the shortest pause that the jitter allows."""
    monkeypatch.setattr(random, "uniform", lambda least, _: least)


async def _attempt(redis: Redis, claude: FakeClaude, routes: FakeRoutes | None = None) -> End:
    """Run the next attempt and put the delivery back as the worker does, without the pause."""
    taken = await lease(redis)
    found = await build_runner(redis, claude=claude, routes=routes)(Attempt(taken))
    if isinstance(found, Later):
        await work_on(redis).put_back(taken, pause_ms=0, counts=found.counts, error=found.detail)
    return found


async def _run(redis: Redis, simulator: Served, *faults: Fault, base_url: str | None = None) -> dict[str, str]:
    """Let the real client meet the faults on a route that allows one attempt."""
    simulator.simulator.faults.add(faults)
    await admit(redis, sample_delivery())
    async with Claude(
        api_key=Secret(DEFAULT_KEY.encode()),
        base_url=base_url or simulator.url,
        propagate_trace=False,
        prices=Prices(Models.load()),
    ) as claude:
        runner = build_runner(redis, claude=claude, routes=FakeRoutes(ONE_ATTEMPT))
        async with running(redis, runner):
            await until_empty(redis, timeout_s=10)
    return await fields(redis, NAME)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind=FaultKind.OVERLOADED, times=3, retry_after_s=0),
        Fault(kind=FaultKind.RATE_LIMIT, times=3, retry_after_s=0),
        Fault(kind=FaultKind.API_ERROR, times=8),
        Fault(kind=FaultKind.UNAVAILABLE, times=8),
        Fault(kind=FaultKind.CUT, times=8),
        Fault(kind=FaultKind.CUT_BODY, times=8),
    ],
    ids=lambda fault: fault.kind.name.lower(),
)
@pytest.mark.usefixtures("shortest")
async def test_what_the_api_or_the_network_does_costs_no_attempt(redis: Redis, simulator: Served, fault: Fault) -> None:
    found = await _run(redis, simulator, fault)
    assert (found["outcome"], found["attempts"]) == ("succeeded", "1")
    assert len(simulator.simulator.journal.entries()) == (fault.times or 0) + 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(Fault(kind=FaultKind.HANG), "timeout"), (Fault(kind=FaultKind.MALFORMED), "attempts")],
    ids=["timed out", "unreadable"],
)
@pytest.mark.usefixtures("shortest")
async def test_what_is_the_attempts_own_doing_costs_one(
    redis: Redis, simulator: Served, fault: Fault, reason: str
) -> None:
    found = await _run(redis, simulator, fault)
    assert (found["outcome"], found["reason"], found["attempts"]) == ("dead", reason, "1")


async def test_nobody_listening_costs_no_attempt(redis: Redis) -> None:
    await admit(redis, sample_delivery())
    async with Claude(
        api_key=Secret(b"k"), base_url="http://127.0.0.1:9", propagate_trace=False, prices=Prices(Models.load())
    ) as claude:
        taken = await lease(redis)
        found = await build_runner(redis, claude=claude, routes=FakeRoutes(ONE_ATTEMPT))(Attempt(taken))
    assert isinstance(found, Later)
    assert not found.counts


@pytest.mark.usefixtures("longest")
async def test_the_pause_doubles_with_each_wait_and_begins_anew_after_an_answer(redis: Redis) -> None:
    claude = FakeClaude(*[Passing(detail="529")] * 11)
    await admit(redis, sample_delivery())
    delays = []
    for waits in range(11):
        found = await _attempt(redis, claude)
        assert isinstance(found, Later)
        delays.append(found.delay_s)
        after = await fields(redis, NAME)
        assert (after["attempts"], after["waits"], after["last_error"]) == ("0", str(waits + 1), "529")
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    await redis.set(GROUP.stream("team-a", "results"), "no stream")
    found = await _attempt(redis, claude)
    assert isinstance(found, Later)
    await _attempt(redis, claude)
    assert (await fields(redis, NAME))["waits"] == "2", "an answer is progress: the sinks' waits count from there"


@pytest.mark.usefixtures("longest")
async def test_a_wait_that_is_asked_for_comes_on_top(redis: Redis) -> None:
    claude = FakeClaude(*[Passing(detail="429", after_s=30)] * 3)
    await admit(redis, sample_delivery())
    ends = [await _attempt(redis, claude) for _ in range(3)]
    assert [each.delay_s for each in ends if isinstance(each, Later)] == [31, 32, 34]


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.usefixtures("shortest")
async def test_only_what_the_delivery_does_itself_uses_up_its_attempts(redis: Redis, attempts: int) -> None:
    routes = FakeRoutes(worker_route(retry=RetryRule(attempts=attempts, deadline_s=3600)))
    replies: list[Reply] = [Passing(detail="529"), Failed(detail="unreadable")] * attempts
    claude = FakeClaude(*replies)
    await admit(redis, sample_delivery())
    ends = [await _attempt(redis, claude, routes) for _ in replies]
    assert [each.counts for each in ends[:-1] if isinstance(each, Later)] == ([False, True] * attempts)[:-1]
    last = ends[-1]
    assert isinstance(last, Settled)
    assert last.reason is DeadReason.ATTEMPTS


@pytest.mark.parametrize("clock_s", [-600, 0, 600])
@pytest.mark.parametrize(("age_s", "is_over"), [(0, False), (50, False), (61, True)])
@pytest.mark.usefixtures("shortest")
async def test_the_deadline_is_by_redis_clock_whatever_the_workers_says(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, clock_s: int, age_s: int, *, is_over: bool
) -> None:
    routes = FakeRoutes(worker_route(retry=RetryRule(attempts=1, deadline_s=60)))
    claude = FakeClaude(Passing(detail="529"))
    await admit(redis, sample_delivery())
    await redis.hincrby(GROUP.delivery(NAME), "at", -1000 * age_s)
    real, real_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: real() + clock_s)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + clock_s * 10**9)
    found = await _attempt(redis, claude, routes)
    if is_over:
        assert isinstance(found, Settled)
        assert (found.outcome, found.reason) == (RunOutcome.DEAD, DeadReason.DEADLINE)
        assert claude.asked == []
    else:
        assert isinstance(found, Later)
        assert len(claude.asked) == 1


@pytest.mark.usefixtures("longest")
async def test_a_pause_that_would_pass_the_deadline_is_not_begun(redis: Redis) -> None:
    routes = FakeRoutes(worker_route(retry=RetryRule(attempts=1, deadline_s=10)))
    claude = FakeClaude(*[Passing(detail="529 overloaded")] * 20)
    await admit(redis, sample_delivery())
    ends = [await _attempt(redis, claude, routes)]
    while isinstance(ends[-1], Later):
        ends.append(await _attempt(redis, claude, routes))
    assert [each.delay_s for each in ends if isinstance(each, Later)] == [1, 2, 4, 8]
    last = ends[-1]
    assert isinstance(last, Settled)
    assert last.reason is DeadReason.DEADLINE
    assert "529 overloaded" in last.detail


@pytest.mark.usefixtures("shortest")
async def test_a_replay_has_its_whole_deadline(redis: Redis) -> None:
    routes = FakeRoutes(worker_route(retry=RetryRule(attempts=1, deadline_s=60)))
    await end(redis, NAME, "dead")
    await redis.hset(GROUP.delivery(NAME), "at", 1)
    await redis.hdel(GROUP.delivery(NAME), "answer")
    await ClientCaller(redis)(scripts.REPLAY, GROUP.prefix, ["resume", NAME])
    assert isinstance(await _attempt(redis, FakeClaude(Passing(detail="529")), routes), Later)
    await redis.hincrby(GROUP.delivery(NAME), "since", -61_000)
    found = await _attempt(redis, FakeClaude(Passing(detail="529")), routes)
    assert isinstance(found, Settled)
    assert found.reason is DeadReason.DEADLINE
