"""What the throttle has no place for waits for its turn: in order, at no cost, and wherever its workers end up."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, RoutePath, route_path
from eventroute.models import Models
from eventroute.prompt import Prompt
from eventroute.queue import Group, Trouble, group_of
from eventroute.route_table import ModelCall, RetryRule
from eventroute.runtime import tracing
from eventroute.runtime.scripts import Argument, ClientCaller, RedisAway, Script
from eventroute.secret import Secret
from eventroute.throttle import Quota, Size, Throttle, Told, keys
from eventroute_cli.simulator.api import DEFAULT_KEY, SimulatorSettings
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.limits import LimitChange
from eventroute_cli.simulator.server import Served, serving
from eventroute_worker.answer import Passing, Reply
from eventroute_worker.attempt import Attempt, Settled, Throttled
from eventroute_worker.claude import Claude
from eventroute_worker.pricing import Prices
from eventroute_worker.troubles import Troubles
from eventroute_worker.turns import Turns
from support.queue import GROUP, admit, dead_letters, fields, lease, ready, state, upkeep_of, work_on
from support.runs import PATH, FakeClaude, FakeRoutes, answer, build_runner, sample_delivery, worker_route
from support.waiting import until
from support.worker import running, until_empty

pytestmark = pytest.mark.real

BUCKET = "own:haiku-5-5"
OTHER = route_path("team-b", "other")


class Slow(FakeClaude):
    """Answers when it is told to, and notes of which delivery and how many calls were under way."""

    def __init__(self, *replies: Reply) -> None:
        super().__init__(*replies)
        self.may_answer = asyncio.Semaphore(0)
        self.under_way = self.most = 0

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.may_answer.acquire()
        finally:
            self.under_way -= 1
        return await super().ask(call, prompt, api_key=api_key)


@pytest.fixture
def simulator() -> Iterator[Served]:
    with serving(SimulatorSettings(latency_s=0.02)) as served:
        yield served


def _claude(simulator: Served) -> Claude:
    return Claude(
        api_key=Secret(DEFAULT_KEY.encode()),
        base_url=simulator.url,
        propagate_trace=False,
        prices=Prices(Models.load()),
    )


def _order(claude: FakeClaude) -> list[str]:
    """Tell the numbers of the payloads that were asked about."""
    return [prompt.user.partition('"number":')[2].partition("}")[0] for prompt in claude.asked]


async def _admit_many(redis: Redis, count: int, *, path: RoutePath = PATH, first: int = 1) -> list[DeliveryId]:
    numbers = range(first, first + count)
    return [
        await admit(redis, sample_delivery(f"d-{number}", route=path, payload=b'{"number":%d}' % number))
        for number in numbers
    ]


async def _fill(redis: Redis) -> None:
    """Let another worker's calls take all places."""
    throttle = Throttle(ClientCaller(redis))
    call = 0
    while True:
        call += 1
        refused = await throttle.enter(
            BUCKET,
            DeliveryId(f"d-other-{call}"),
            fence=1,
            size=Size(0, 1),
            lasts_ms=60_000,
        )
        if refused:
            return


async def _empty(redis: Redis) -> None:
    """Let those calls end."""
    await redis.delete(keys.state(BUCKET), keys.places(BUCKET), keys.calls(BUCKET))
    await work_on(redis).hurry(GROUP, BUCKET)


async def test_more_workers_have_no_more_calls_under_way_and_all_are_answered_once(redis: Redis) -> None:
    claude = Slow()
    await _admit_many(redis, 30)
    async with (
        running(redis, build_runner(redis, claude=claude), slots=10),
        running(redis, build_runner(redis, claude=claude), slots=10),
    ):
        await until(lambda: claude.under_way == 5)
        await until(lambda: _throttled(redis, 25))
        assert claude.most == 5
        for _ in range(30):
            claude.may_answer.release()
        await until_empty(redis, timeout_s=10)
    assert sorted(map(int, _order(claude))) == list(range(1, 31))
    assert [(await fields(redis, DeliveryId(f"d-{n}")))["attempts"] for n in range(1, 31)] == ["1"] * 30


async def _throttled(redis: Redis, count: int) -> bool:
    return (await upkeep_of(redis).load(GROUP)).throttled == count


async def test_what_waits_goes_in_the_order_of_acceptance(redis: Redis) -> None:
    await _fill(redis)
    claude = FakeClaude()
    names = await _admit_many(redis, 20)
    async with running(redis, build_runner(redis, claude=claude), slots=10):
        await until(lambda: _throttled(redis, 20))
    await redis.hset(keys.state(BUCKET), "limit", 1)
    async with running(redis, build_runner(redis, claude=claude), slots=1):
        await _empty(redis)
        await until_empty(redis, timeout_s=10)
    assert _order(claude) == [name.removeprefix("d-") for name in names]


async def test_routes_that_wait_for_the_same_bucket_take_turns(redis: Redis) -> None:
    await _fill(redis)
    claude = FakeClaude()
    routes = FakeRoutes(worker_route(), worker_route(path=OTHER))
    await _admit_many(redis, 10)
    await _admit_many(redis, 3, path=OTHER, first=101)
    async with running(redis, build_runner(redis, claude=claude, routes=routes), slots=13):
        await until(lambda: _throttled(redis, 13))
    async with running(redis, build_runner(redis, claude=claude, routes=routes), slots=1):
        await _empty(redis)
        await until_empty(redis, timeout_s=10)
    assert sorted(_order(claude)[:6], key=int) == ["1", "2", "3", "101", "102", "103"]


async def test_it_costs_no_attempt_no_slot_and_no_call_and_its_span_says_so(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", lambda: provider.get_tracer("test"))
    await _fill(redis)
    claude = FakeClaude()
    name = await admit(redis, sample_delivery())
    async with running(redis, build_runner(redis, claude=claude), slots=1) as worker:
        await until(lambda: _throttled(redis, 1))
        await until(lambda: not worker.tasks)
    known = await fields(redis, name)
    assert (known["state"], known["attempts"], known["cause"]) == ("throttled", "0", BUCKET)
    assert "waits" not in known
    assert claude.asked == []
    (span,) = exporter.get_finished_spans()
    assert (span.name, (span.attributes or {})[tracing.OUTCOME]) == ("process eventroute", "throttled")


@pytest.mark.parametrize("kind", [FaultKind.RATE_LIMIT, FaultKind.OVERLOADED])
async def test_what_the_api_refuses_for_now_waits_for_its_turn_at_no_cost(
    redis: Redis, simulator: Served, kind: FaultKind
) -> None:
    simulator.simulator.faults.add([Fault(kind=kind, times=2, retry_after_s=0.3)])
    name = await admit(redis, sample_delivery())
    routes = FakeRoutes(worker_route(retry=RetryRule(attempts=1, deadline_s=3600)))
    async with _claude(simulator) as claude, running(redis, build_runner(redis, claude=claude, routes=routes)):
        await until_empty(redis, timeout_s=10)
    known = await fields(redis, name)
    assert (known["outcome"], known["attempts"]) == ("succeeded", "1")
    calls = [entry.received_ns / 1e9 for entry in simulator.simulator.journal.entries()]
    assert len(calls) == 3
    assert min(calls[1] - calls[0], calls[2] - calls[1]) >= 0.3


async def test_retry_after_holds_for_all_workers(redis: Redis, simulator: Served) -> None:
    simulator.simulator.faults.add([Fault(kind=FaultKind.RATE_LIMIT, retry_after_s=1)])
    await _admit_many(redis, 1)
    async with _claude(simulator) as claude:
        runner = build_runner(redis, claude=claude)
        async with running(redis, runner, slots=5), running(redis, runner, slots=5):
            await until(lambda: _throttled(redis, 1))
            await _admit_many(redis, 8, first=2)
            await until_empty(redis, timeout_s=10)
    first, *others = [entry.received_ns / 1e9 for entry in simulator.simulator.journal.entries()]
    assert len(others) == 9
    assert min(others) - first >= 1


async def test_a_limit_of_the_api_is_used_up_and_not_exceeded(redis: Redis, simulator: Served) -> None:
    simulator.simulator.change_limits(LimitChange(requests=1200))
    await _admit_many(redis, 1)
    async with _claude(simulator) as claude:
        runner = build_runner(redis, claude=claude)
        async with running(redis, runner, slots=10), running(redis, runner, slots=10):
            await until_empty(redis)
            simulator.simulator.change_limits(LimitChange(requests=600))
            simulator.simulator.change_limits(LimitChange(requests=1200))
            await _admit_many(redis, 640, first=2)
            await until_empty(redis, timeout_s=30)
    entries = simulator.simulator.journal.entries()
    assert len([entry for entry in entries if entry.given.status == 200]) == 641
    assert len(entries) - 641 <= 0.02 * len(entries)
    assert await dead_letters(redis) == []


async def test_what_waited_past_its_deadline_is_a_dead_letter_when_its_turn_comes(redis: Redis) -> None:
    await _fill(redis)
    claude = FakeClaude()
    name = await admit(redis, sample_delivery())
    runner = build_runner(redis, claude=claude)
    async with running(redis, runner):
        await until(lambda: _throttled(redis, 1))
        await redis.hset(GROUP.delivery(name), "at", 1)
        await _empty(redis)
        await until_empty(redis)
    known = await fields(redis, name)
    assert (known["outcome"], known["reason"]) == ("dead", "deadline")
    assert claude.asked == []


async def test_a_worker_that_dies_after_it_was_granted_places_keeps_nobody_waiting(redis: Redis) -> None:
    await _fill(redis)
    claude = FakeClaude()
    names = await _admit_many(redis, 3)
    async with running(redis, build_runner(redis, claude=claude)):
        await until(lambda: _throttled(redis, 3))
    await _empty(redis)
    turn = await work_on(redis).turn(GROUP, count=5)
    assert turn
    granted = await Throttle(ClientCaller(redis)).grant(turn.bucket, turn.waiting, has_more=False)
    assert granted.places == 3
    assert await ready(redis) == []
    async with running(redis, build_runner(redis, claude=claude)):
        await until_empty(redis)
    assert [(await fields(redis, name))["outcome"] for name in names] == ["succeeded"] * 3
    assert len(claude.asked) == 3


async def test_an_answer_is_saved_before_its_place_is_given_back(redis: Redis) -> None:
    """A Redis that is away just then costs the place for a while, and not the answer."""
    real = ClientCaller(redis)

    async def call(script: Script, key: str, args: Sequence[Argument]) -> object:
        if script.name == "leave":
            raise RedisAway("LOST", "away")
        return await real(script, key, args)

    claude = FakeClaude()
    name = await admit(redis, sample_delivery())
    runner = build_runner(redis, claude=claude, call=call)
    async with running(redis, runner):
        await until_empty(redis)
    assert (await fields(redis, name))["outcome"] == "succeeded"
    assert len(claude.asked) == 1
    assert await redis.zcard(keys.places(BUCKET)) == 1


async def test_a_call_that_is_broken_off_gives_its_place_back(redis: Redis) -> None:
    claude = Slow()
    await admit(redis, sample_delivery())
    async with running(redis, build_runner(redis, claude=claude)):
        await until(lambda: claude.under_way == 1)
        assert await redis.zcard(keys.places(BUCKET)) == 1
    assert await redis.zcard(keys.places(BUCKET)) == 0


async def test_those_of_all_groups_share_a_bucket(redis: Redis) -> None:
    groups = [Group(0), Group(1)]
    paths = {group_of(path, 2): path for path in (route_path(f"team-{letter}", "x") for letter in "abcdef")}
    work = work_on(redis)
    await _fill(redis)
    turns = Turns(work, Throttle(ClientCaller(redis)), groups=groups)
    for number, group in enumerate(groups):
        await redis.hset(group.delivery(DeliveryId(f"d-{number}")), mapping={"path": paths[group], "seq": 1})
        await redis.zadd(group.ready(paths[group]), {f"d-{number}": 1})
        await redis.zadd(group.rotation, {paths[group]: 1})
        taken = await work.lease(group, worker="w", lease_ms=15_000, wanted=1, busy=0)
        await work.wait(taken.leases[0], BUCKET, Size(100, 10), until_ms=0)
        await turns.serve(group, 5)
        assert (await work.lease(group, worker="w", lease_ms=15_000, wanted=1, busy=0)).leases == []
    await redis.delete(keys.state(BUCKET), keys.places(BUCKET), keys.calls(BUCKET))
    for group in groups:
        await work.hurry(group, BUCKET)
        assert (await work.lease(group, worker="w", lease_ms=15_000, wanted=0, busy=0)).has_turn
        await turns.serve(group, 5)
        assert len((await work.lease(group, worker="w", lease_ms=15_000, wanted=1, busy=0)).leases) == 1
    assert await redis.zcard(keys.places(BUCKET)) == 2


async def test_a_storm_counts_for_no_more_than_the_throttle_admits(redis: Redis) -> None:
    upkeep = upkeep_of(redis)
    claude = Slow(answer(told=Told(requests=Quota(60, 12))))
    await _admit_many(redis, 40)
    assert (await upkeep.load(GROUP)).workable == 40, "nothing is known of the route yet"
    async with running(redis, build_runner(redis, claude=claude), slots=10):
        await until(lambda: _throttled(redis, 35))
        claude.may_answer.release()
        await until(lambda: len(claude.asked) == 1)

        async def has_grown() -> bool:
            load = await upkeep.load(GROUP)
            return (load.running, load.throttled, load.held) == (6, 33, 0)

        await until(has_grown)
        load = await upkeep.load(GROUP)
        assert 6 + 3 <= load.workable <= 6 + 12
        await _admit_many(redis, 500, first=101)
        assert (await upkeep.load(GROUP)).workable <= 20, "and of what comes now"


async def test_the_attempt_says_what_the_api_said(redis: Redis) -> None:
    await admit(redis, sample_delivery())
    end = await build_runner(redis, claude=FakeClaude(Passing(detail="429 rate_limit_error", status=429)))(
        Attempt(await lease(redis))
    )
    assert isinstance(end, Throttled)
    assert (end.bucket, end.detail) == (BUCKET, "429 rate_limit_error")
    assert await state(redis, sample_delivery().id) == "running"


async def _granted(redis: Redis, *names: str) -> None:
    """Let deliveries of several routes wait for the throttle, and grant the first one a place."""
    await redis.hset(keys.state(BUCKET), "limit", 1)
    for name, path in zip(names, (PATH, OTHER), strict=False):
        await admit(redis, sample_delivery(name, route=path))
        await work_on(redis).wait(await lease(redis), BUCKET, Size(100, 10), until_ms=0)
    await Turns(work_on(redis), Throttle(ClientCaller(redis)), groups=[GROUP]).serve(GROUP, 5)
    assert await ready(redis) == [names[0]]


def _failing(troubles: Troubles, why: str) -> FakeRoutes:
    """Let the attempt end before its call."""
    match why:
        case "deadline":
            return FakeRoutes(worker_route(retry=RetryRule(attempts=3, deadline_s=-1)))
        case "trouble":
            troubles.meet(Trouble(reason="billing", detail="402", key_id="own"))
        case "no route":
            return FakeRoutes(worker_route(path=OTHER))
        case "no prompt":
            return FakeRoutes(worker_route(prompts=()))
        case "another key":
            return FakeRoutes(worker_route(api_key=Secret(b"theirs")))
    return FakeRoutes(worker_route())


@pytest.mark.parametrize("why", ["deadline", "trouble", "no route", "no prompt", "another key"])
async def test_a_granted_place_that_its_attempt_does_not_take_is_the_next_ones_at_once(redis: Redis, why: str) -> None:
    await _granted(redis, "d-1", "d-2")
    troubles = Troubles()
    runner = build_runner(redis, routes=_failing(troubles, why), troubles=troubles)
    taken = await lease(redis)
    assert taken.delivery == "d-1"
    await runner(Attempt(taken))
    assert await redis.zcard(keys.places(BUCKET)) == 0
    assert (await work_on(redis).lease(GROUP, worker="w", lease_ms=1, wanted=0, busy=0)).has_turn, "somebody looks"
    await Turns(work_on(redis), Throttle(ClientCaller(redis)), groups=[GROUP]).serve(GROUP, 5)
    assert await redis.zrange(keys.places(BUCKET), 0, -1) == [b"d-2"]


async def test_a_granted_place_is_taken_by_its_call_and_given_back_once(redis: Redis) -> None:
    await _granted(redis, "d-1")
    calls: list[str] = []
    real = ClientCaller(redis)

    async def call(script: Script, key: str, args: Sequence[Argument]) -> object:
        calls.append(script.name)
        return await real(script, key, args)

    taken = await lease(redis)
    assert taken.granted == BUCKET
    assert "granted" not in await fields(redis, taken.delivery), "it is this attempt's"
    await build_runner(redis, call=call)(Attempt(taken))
    assert calls.count("leave") == 1
    assert await redis.zcard(keys.places(BUCKET)) == 0


async def test_a_place_that_cannot_be_given_back_ends_by_itself_and_the_attempt_as_it_did(redis: Redis) -> None:
    await _granted(redis, "d-1")
    real = ClientCaller(redis)

    async def call(script: Script, key: str, args: Sequence[Argument]) -> object:
        if script.name == "leave":
            raise RedisAway("LOST", "away")
        return await real(script, key, args)

    end = await build_runner(redis, call=call, routes=_failing(Troubles(), "deadline"))(Attempt(await lease(redis)))
    assert isinstance(end, Settled)
    assert end.reason == "deadline"
    assert await redis.zcard(keys.places(BUCKET)) == 1


@pytest.mark.parametrize("is_granted", [False, True])
@pytest.mark.parametrize("way", ["never arrives", "gets no reply", "is cancelled"])
async def test_a_place_of_which_the_attempt_did_not_hear_is_for_others_at_once(
    redis: Redis, way: str, *, is_granted: bool
) -> None:
    real, is_reached = ClientCaller(redis), asyncio.Event()

    async def call(script: Script, key: str, args: Sequence[Argument]) -> object:
        if script.name != "enter":
            return await real(script, key, args)
        if way != "never arrives":
            await real(script, key, args)
            assert await redis.zcard(keys.places(BUCKET)) == 1
        is_reached.set()
        if way == "is cancelled":
            await asyncio.Event().wait()
        raise RedisAway("LOST", "no answer")

    if is_granted:
        await _granted(redis, "d-1")
    else:
        await admit(redis, sample_delivery())
    claude = FakeClaude()
    task = asyncio.ensure_future(build_runner(redis, claude=claude, call=call)(Attempt(await lease(redis))))
    await is_reached.wait()
    if way == "is cancelled":
        task.cancel()
    with pytest.raises((RedisAway, asyncio.CancelledError)):
        await task
    assert (await redis.zcard(keys.places(BUCKET)), claude.asked) == (0, [])


async def test_what_a_held_route_has_waiting_is_granted_nothing(redis: Redis) -> None:
    await admit(redis, sample_delivery())
    await work_on(redis).wait(await lease(redis), BUCKET, Size(100, 10), until_ms=0)
    await upkeep_of(redis).hold(GROUP, PATH, "withheld")
    assert await work_on(redis).turn(GROUP, count=5) is None
    await upkeep_of(redis).release(GROUP, [PATH])
    assert not (await lease(redis)).granted
