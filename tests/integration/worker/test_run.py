"""A delivery's way to its outcome: what Claude is asked, what the answer becomes, and how runs end without one."""

import dataclasses
import re
import threading
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.delivery import Delivery
from eventroute.ids import DeliveryId, RouteUid, route_path
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import Trouble
from eventroute.route_table import LogSink, ModelCall, RetryRule, StreamSink
from eventroute.secret import Secret
from eventroute.template import Frame, Rendered, Template
from eventroute_worker.answer import Failed, GivenUp, Passing, Standing, Usage, decode_answer, encode_answer
from eventroute_worker.attempt import Attempt, End, Later, Parked, Settled
from support.queue import GROUP, admit, fields, lease, lease_again, state
from support.runs import (
    HISTORY,
    PATH,
    STREAM,
    FakeClaude,
    FakeRoutes,
    answer,
    build_runner,
    prompt_rule,
    results,
    sample_delivery,
    worker_route,
)
from support.worker import running, until_empty

pytestmark = pytest.mark.real

NAME = DeliveryId("d-1")


async def _run(
    redis: Redis,
    *,
    claude: FakeClaude | None = None,
    routes: FakeRoutes | None = None,
    delivery: Delivery | None = None,
    number: int = 1,
) -> End:
    """Admit a delivery unless it is queued, and run its attempt of this number."""
    delivery = delivery or sample_delivery()
    if await state(redis, delivery.id) == "gone":
        await admit(redis, delivery)
        taken = await lease(redis)
    else:
        taken = await lease_again(redis, delivery.id)
    if number > 1:
        await redis.hset(GROUP.delivery(delivery.id), "attempts", number - 1)
    return await build_runner(redis, claude=claude, routes=routes)(Attempt(taken))


def _dead(end: End) -> tuple[str, str]:
    assert isinstance(end, Settled)
    assert end.outcome is RunOutcome.DEAD
    return end.reason, end.detail


def _settled(end: End) -> tuple[str, str]:
    assert isinstance(end, Settled)
    return end.outcome, end.detail


async def test_an_answer_is_saved_and_sent_to_the_sinks(redis: Redis) -> None:
    claude = FakeClaude()
    end = await _run(redis, claude=claude)
    assert _settled(end) == (RunOutcome.SUCCEEDED, "")
    assert len(claude.asked) == 1
    assert '{"number":7}' in claude.asked[0].user
    saved = await redis.hget(GROUP.delivery(NAME), "answer")
    assert saved is not None
    assert decode_answer(saved).text == "Answer 1."
    assert decode_answer(saved).usage == Usage(input=10, output=5)
    [entry] = await results(redis)
    assert entry["text"] == "Answer 1."
    assert entry["idempotency_key"] == "d-1:results"
    assert entry["cost_usd"] == "0.000035"


async def test_the_record_says_what_the_run_was_about(redis: Redis) -> None:
    end = await _run(redis, routes=FakeRoutes(worker_route(prompts=(prompt_rule(user="{{ payload.gone }}"),))))
    assert isinstance(end, Settled)
    about = msgspec.json.decode(cast("bytes", end.fields["about"]))
    assert (about["provider"], about["event"], about["provider_id"]) == ("github", "pull_request.opened", "p-1")
    assert (about["model"], about["input_tokens"], about["output_tokens"]) == ("claude-haiku-5-5", 10, 5)
    assert about["cost_usd"] == "0.000035"
    assert about["missing_fields"] == ["payload.gone"]
    assert "entity" not in about


@pytest.mark.parametrize(
    ("reply", "outcome", "sent"),
    [
        (answer(outcome=RunOutcome.TRUNCATED, stop_reason="max_tokens"), RunOutcome.TRUNCATED, 1),
        (answer(outcome=RunOutcome.REFUSED, stop_reason="refusal"), RunOutcome.REFUSED, 0),
        (answer("", outcome=RunOutcome.NO_TEXT, reason="empty", stop_reason="tool_use"), RunOutcome.NO_TEXT, 0),
        (answer("", outcome=RunOutcome.NO_TEXT, reason="thinking_only"), RunOutcome.NO_TEXT, 0),
    ],
)
async def test_only_an_answer_with_something_to_say_goes_to_sinks(
    redis: Redis, reply: Any, outcome: RunOutcome, sent: int
) -> None:
    end = await _run(redis, claude=FakeClaude(reply))
    assert _settled(end)[0] is outcome
    assert _settled(end)[1]
    assert isinstance(end, Settled)
    assert (end.reason, end.detail.count("thinking took all 5 tokens")) == (
        reply.reason,
        reply.reason[:8] == "thinking",
    )
    assert len(await results(redis)) == sent


async def test_the_routes_own_key_is_used(redis: Redis) -> None:
    claude = FakeClaude()
    await _run(redis, claude=claude, routes=FakeRoutes(worker_route(api_key=Secret(b"k"))))
    assert claude.keys == [Secret(b"k")]


# --- routes ---


async def test_a_route_that_is_gone_is_held_with_what_waits(redis: Redis) -> None:
    routes = FakeRoutes()
    assert await _run(redis, routes=routes) == Later(delay_s=0, counts=False)
    assert routes.refreshed == 1
    held = msgspec.json.decode(await redis.hget(GROUP.held, PATH))
    assert held["reason"] == "deleted"
    assert "attempts" not in await fields(redis, NAME)


async def test_a_route_that_cannot_be_read_is_held_until_it_can(redis: Redis) -> None:
    broken = FakeRoutes()
    broken.broken.add(PATH)
    assert await _run(redis, routes=broken) == Later(delay_s=0, counts=False)
    assert msgspec.json.decode(await redis.hget(GROUP.held, PATH))["reason"] == "withheld"


async def test_a_route_made_anew_takes_over_its_predecessors_deliveries(redis: Redis) -> None:
    routes = FakeRoutes(worker_route(uid=RouteUid("uid-new")))
    end = await _run(redis, routes=routes)
    assert isinstance(end, Settled)
    assert (end.outcome, end.route) == (RunOutcome.SUCCEEDED, "uid-new")


async def test_a_newer_generation_is_read_once_before_the_run(redis: Redis) -> None:
    claude = FakeClaude()
    routes = FakeRoutes(worker_route(prompts=(prompt_rule(system="old"),)))
    routes.after_refresh = [worker_route(generation=2, prompts=(prompt_rule(system="new"),))]
    await _run(redis, claude=claude, routes=routes, delivery=sample_delivery(generation=2))
    assert [prompt.system for prompt in claude.asked] == ["new"]
    assert routes.refreshed == 1


async def test_a_known_generation_reads_nothing(redis: Redis) -> None:
    routes = FakeRoutes(worker_route(generation=5))
    await _run(redis, routes=routes)
    assert routes.refreshed == 0


async def test_a_cold_table_is_waited_for_at_no_cost(redis: Redis) -> None:
    end = await _run(redis, routes=FakeRoutes(version=None))
    assert isinstance(end, Later)
    assert not end.counts
    assert end.delay_s > 0
    assert not await redis.exists(GROUP.held)
    assert "attempts" not in await fields(redis, NAME)


# --- prompts ---


async def test_an_event_that_no_prompt_is_for_is_discarded(redis: Redis) -> None:
    claude = FakeClaude()
    rules = (prompt_rule(events=("push",)), prompt_rule(when="payload.gone == 1"))
    end = await _run(redis, claude=claude, routes=FakeRoutes(worker_route(prompts=rules)))
    outcome, detail = _settled(end)
    assert outcome is RunOutcome.DISCARDED
    assert detail == "no_prompt; prompts[1].when: missing_field"
    assert claude.asked == []


async def test_a_template_that_fails_is_a_dead_letter(redis: Redis) -> None:
    loop = "{% for i in (1..100000) %}{% for j in (1..100000) %}x{% endfor %}{% endfor %}"
    end = await _run(redis, routes=FakeRoutes(worker_route(prompts=(prompt_rule(user=loop),))))
    assert _dead(end)[0] is DeadReason.RENDER


async def test_the_entity_is_there_for_the_template_and_in_the_record(redis: Redis) -> None:
    claude = FakeClaude()
    rule = prompt_rule(user="about {{ entity }} in {{ route.name }}")
    routes = FakeRoutes(worker_route(entity="'the ' + payload.who", prompts=(rule,)))
    end = await _run(redis, claude=claude, routes=routes, delivery=sample_delivery(payload=b'{"who":"boss"}'))
    assert re.search(r"about <(data-\w+)>the boss</\1> in triage$", claude.asked[0].user)
    assert claude.asked[0].system.startswith("Summarize.")
    assert isinstance(end, Settled)
    assert msgspec.json.decode(cast("bytes", end.fields["about"]))["entity"] == "the boss"


# --- what is missing or unreadable ---


async def test_a_missing_delivery_is_a_dead_letter(redis: Redis) -> None:
    await admit(redis, sample_delivery())
    await redis.hdel(GROUP.delivery(NAME), "body")
    assert _dead(await build_runner(redis)(Attempt(await lease(redis)))) == (
        DeadReason.DECODE,
        "the delivery is missing",
    )


@pytest.mark.parametrize("stored", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"provider":7}'])
async def test_an_unreadable_delivery_is_a_dead_letter(redis: Redis, stored: bytes) -> None:
    await admit(redis, sample_delivery())
    await redis.hset(GROUP.delivery(NAME), "body", stored)
    reason, detail = _dead(await build_runner(redis)(Attempt(await lease(redis))))
    assert reason is DeadReason.DECODE
    assert detail.startswith("the delivery is unreadable")


@pytest.mark.parametrize("payload", [b'"\xff"', b"[" * 100_000 + b"]" * 100_000])
async def test_an_unreadable_payload_is_a_dead_letter(redis: Redis, payload: bytes) -> None:
    reason, detail = _dead(await _run(redis, delivery=sample_delivery(payload=payload)))
    assert reason is DeadReason.DECODE
    assert "unreadable" in detail


# --- Claude fails ---


async def test_a_lasting_trouble_is_a_dead_letter_with_its_reason(redis: Redis) -> None:
    claude = FakeClaude(GivenUp(reason=DeadReason.TOO_LARGE, detail="413"))
    assert _dead(await _run(redis, claude=claude)) == (DeadReason.TOO_LARGE, "413")


async def test_the_log_of_a_dead_letter_names_delivery_route_and_reason(
    redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    await admit(redis, sample_delivery())
    claude = FakeClaude(GivenUp(reason=DeadReason.TOO_LARGE, detail="413 no"))
    async with running(redis, build_runner(redis, claude=claude)):
        await until_empty(redis)
    lines = [line for line in capsys.readouterr().out.splitlines() if "dead_letter" in line or "attempt_ended" in line]
    assert len(lines) == 2
    for line in lines:
        assert [word in line for word in ("d-1", sample_delivery().route, "too_large", "413 no")] == [True] * 4


async def test_a_passing_trouble_is_tried_later(redis: Redis) -> None:
    end = await _run(redis, claude=FakeClaude(Passing(detail="529 overloaded")))
    assert isinstance(end, Later)
    assert not end.counts
    assert 0 <= end.delay_s <= 1
    assert end.detail == "529 overloaded"


async def test_a_failed_attempt_is_repeated_and_counts(redis: Redis) -> None:
    end = await _run(redis, claude=FakeClaude(Failed(detail="no answer within 5 s", timed_out=True)))
    assert isinstance(end, Later)
    assert end.counts
    assert end.detail == "no answer within 5 s"


@pytest.mark.parametrize(("whole_key", "model"), [(True, ""), (False, "claude-haiku-5-5")])
async def test_a_standing_trouble_parks_the_delivery_whatever_attempt_it_is(
    redis: Redis, *, whole_key: bool, model: str
) -> None:
    reply = Standing(reason=DeadReason.BILLING, detail="402", whole_key=whole_key)
    end = await _run(redis, claude=FakeClaude(reply), number=3)
    trouble = Trouble(reason="billing", detail="402", key_id="own", model=model)
    assert end == Parked(trouble=trouble, has_asked=True)


async def test_the_wait_that_the_api_asks_for_is_obeyed(redis: Redis) -> None:
    end = await _run(redis, claude=FakeClaude(Passing(detail="429", after_s=40)))
    assert isinstance(end, Later)
    assert 40 <= end.delay_s <= 41


@pytest.mark.parametrize(("timed_out", "reason"), [(False, DeadReason.ATTEMPTS), (True, DeadReason.TIMEOUT)])
async def test_the_last_attempt_ends_the_delivery(redis: Redis, *, timed_out: bool, reason: DeadReason) -> None:
    end = await _run(redis, claude=FakeClaude(Failed(detail="x", timed_out=timed_out)), number=3)
    assert _dead(end)[0] is reason


@pytest.mark.parametrize("after_s", [3601, float("inf")])
async def test_a_wait_beyond_the_deadline_is_not_begun(redis: Redis, after_s: float) -> None:
    end = await _run(redis, claude=FakeClaude(Passing(detail="429", after_s=after_s)))
    assert _dead(end)[0] is DeadReason.DEADLINE


async def test_nothing_is_asked_after_the_deadline(redis: Redis) -> None:
    claude = FakeClaude()
    await admit(redis, sample_delivery())
    await redis.hincrby(GROUP.delivery(NAME), "at", -3_601_000)
    end = await build_runner(redis, claude=claude)(Attempt(await lease(redis)))
    assert _dead(end)[0] is DeadReason.DEADLINE
    assert claude.asked == []


async def test_a_delivery_that_keeps_killing_its_worker_is_given_up(redis: Redis) -> None:
    claude = FakeClaude()
    unread = sample_delivery(payload=b'"\xff"')  # what kills it may be the payload: it is not even looked at
    end = await _run(redis, claude=claude, delivery=unread, number=4)
    assert _dead(end) == (DeadReason.ATTEMPTS, "3 attempts were cut short")
    assert claude.asked == []


# --- sinks ---


async def test_a_failing_sink_is_tried_again_without_asking_again(redis: Redis) -> None:
    key = GROUP.stream("team-a", "results")
    await redis.set(key, "no stream")
    claude = FakeClaude()
    assert isinstance(await _run(redis, claude=claude), Later)
    await redis.delete(key)
    assert _settled(await _run(redis, claude=claude, number=2))[0] is RunOutcome.SUCCEEDED
    assert len(claude.asked) == 1
    assert len(await results(redis)) == 1


async def test_a_failing_sink_keeps_the_answer_from_no_other_and_from_none_twice(redis: Redis) -> None:
    await redis.set(GROUP.stream("team-a", "bad"), "no stream")
    routes = FakeRoutes(worker_route(sinks=(StreamSink(name="broken", stream="bad", max_entries=9), STREAM)))
    for _ in range(3):
        end = await _run(redis, routes=routes)
        assert isinstance(end, Later)
        assert not end.counts
        assert end.detail.startswith("sink broken: stream team-a/bad: WRONGTYPE")
    assert [entry["idempotency_key"] for entry in await results(redis)] == ["d-1:results"]


async def test_an_answer_is_delivered_even_after_the_last_attempt_was_cut_short(redis: Redis) -> None:
    await admit(redis, sample_delivery())
    await redis.hset(GROUP.delivery(NAME), "answer", encode_answer(answer()))
    await redis.hset(GROUP.delivery(NAME), "attempts", 3)
    assert _settled(await build_runner(redis)(Attempt(await lease(redis))))[0] is RunOutcome.SUCCEEDED
    assert _dead(await _run(redis, number=12))[0] is DeadReason.ATTEMPTS


async def test_a_log_sink_writes_one_line(redis: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    routes = FakeRoutes(worker_route(sinks=(LogSink(name="log"),)))
    for _ in range(2):
        await _run(redis, routes=routes)
    lines = [line for line in capsys.readouterr().out.splitlines() if "idempotency_key" in line]
    assert len(lines) == 1
    assert "Answer 1." in lines[0]
    assert "d-1:log" in lines[0]


# --- history ---


async def test_what_was_concluded_before_is_told_oldest_first(redis: Redis) -> None:
    claude = FakeClaude()
    routes = FakeRoutes(worker_route(entity="payload.who", history=HISTORY))
    for name in ("d-1", "d-2", "d-3", "d-4"):
        await _run(redis, claude=claude, routes=routes, delivery=sample_delivery(name, payload=b'{"who":"ada"}'))
    await _run(redis, claude=claude, routes=routes, delivery=sample_delivery("d-5", payload=b'{"who":"bob"}'))
    assert "Answer" not in claude.asked[0].user
    told = claude.asked[3].user
    assert "Answer 1." not in told
    assert told.index("Answer 2.") < told.index("Answer 3.")
    assert "Answer" not in claude.asked[4].user


async def test_a_history_is_bounded_and_expires(redis: Redis) -> None:
    routes = FakeRoutes(worker_route(entity="payload.who", history=HISTORY))
    claude = FakeClaude(*[answer("x" * 2000) for _ in range(5)])
    for number in range(5):
        await _run(redis, claude=claude, routes=routes, delivery=sample_delivery(f"d-{number}", payload=b'{"who":1}'))
    [key] = [key async for key in redis.scan_iter(GROUP.history("*"))]
    assert await redis.zcard(key) == HISTORY.keep
    assert HISTORY.ttl_s - 60 < await redis.ttl(key) <= HISTORY.ttl_s
    assert all(len(entry) < 700 for entry in await redis.zrange(key, 0, -1))


async def test_histories_of_namespaces_and_routes_are_apart(redis: Redis) -> None:
    shared = msgspec.structs.replace(HISTORY, scope="namespace")
    for name, rule in (("one", HISTORY), ("two", HISTORY), ("three", shared), ("four", shared)):
        path = route_path("team-a", name)
        routes = FakeRoutes(worker_route(path=path, entity="payload.who", history=rule))
        await _run(redis, routes=routes, delivery=sample_delivery(f"d-{name}", route=path, payload=b'{"who":"ada:*"}'))
    scopes = {
        key.decode().partition(":history:")[2].rpartition(":")[0]: key
        async for key in redis.scan_iter(GROUP.history("*"))
    }
    lengths = {scope: await redis.zcard(key) for scope, key in scopes.items()}
    assert lengths == {"route/team-a/one": 1, "route/team-a/two": 1, "ns/team-a": 2}


@pytest.mark.parametrize("payload", [b"{}", b'{"who":null}', b'{"who":""}', b'{"who":{"a":1}}'])
async def test_an_event_about_nobody_is_answered_without_history(redis: Redis, payload: bytes) -> None:
    routes = FakeRoutes(worker_route(entity="payload.who", history=HISTORY))
    end = await _run(redis, routes=routes, delivery=sample_delivery(payload=payload))
    assert _settled(end)[0] is RunOutcome.SUCCEEDED
    assert [key async for key in redis.scan_iter(GROUP.history("*"))] == []


async def test_a_rule_may_keep_a_history_without_telling_it(redis: Redis) -> None:
    claude = FakeClaude()
    silent = msgspec.structs.replace(HISTORY, inject=0)
    routes = FakeRoutes(worker_route(entity="payload.who", history=silent))
    for name in ("d-1", "d-2"):
        await _run(redis, claude=claude, routes=routes, delivery=sample_delivery(name, payload=b'{"who":"ada"}'))
    assert "Answer 1." not in claude.asked[1].user


async def test_a_route_may_allow_one_attempt_only(redis: Redis) -> None:
    routes = FakeRoutes(worker_route(retry=RetryRule(attempts=1, deadline_s=60)))
    end = await _run(redis, routes=routes, claude=FakeClaude(Failed(detail="x")))
    assert _dead(end)[0] is DeadReason.ATTEMPTS


async def test_each_prompt_has_its_own_model(redis: Redis) -> None:
    asked: list[str] = []

    class Noting(FakeClaude):
        async def ask(self, call: ModelCall, prompt: Any, *, api_key: Secret | None) -> Any:
            asked.append(call.name)
            return await super().ask(call, prompt, api_key=api_key)

    other = prompt_rule(events=("pull_request.*",), model=ModelCall(name="claude-opus-5-5", max_tokens=9, timeout_s=1))
    await _run(redis, claude=Noting(), routes=FakeRoutes(worker_route(prompts=(other, prompt_rule()))))
    assert asked == ["claude-opus-5-5"]


class _Watched(Template):
    """Notes which threads render it."""

    threads: ClassVar[list[int]] = []

    def render(self, variables: Mapping[str, Any], frame: Frame, **options: Any) -> Rendered:
        self.threads.append(threading.get_ident())
        return super().render(variables, frame, **options)


@pytest.mark.parametrize(("size", "is_beside"), [(100, False), (100_000, True)])
async def test_what_is_written_from_a_large_event_is_written_beside_the_loop(
    redis: Redis, size: int, is_beside: bool
) -> None:
    routes = FakeRoutes(worker_route(prompts=(prompt_rule(user="{{ payload.number }}"),)))
    plan = routes.get(PATH)
    assert plan is not None
    template = plan.users[0]
    assert template is not None
    watched = _Watched(**{each.name: getattr(template, each.name) for each in dataclasses.fields(template)})
    routes.put(dataclasses.replace(plan, users=(watched,)))
    _Watched.threads.clear()
    delivery = sample_delivery(payload=msgspec.json.encode({"number": 7, "text": "x" * size}))
    claude = FakeClaude()
    await _run(redis, claude=claude, routes=routes, delivery=delivery)
    assert claude.asked[0].user.endswith("\n7")
    assert [thread != threading.get_ident() for thread in _Watched.threads] == [is_beside]
