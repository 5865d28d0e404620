"""A delivery's way to its outcome: what Claude is asked, what the answer becomes, and how runs end without one."""

import time
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.delivery import Delivery
from eventroute.ids import DeliveryId, RouteUid
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.route_table import LogSink, ModelCall, RetryRule
from eventroute.secret import Secret
from eventroute_worker.answer import Failed, GivenUp, Passing, Standing, Usage, decode_answer
from eventroute_worker.attempt import Attempt, End, Later, Settled
from support.queue import admit
from support.runs import (
    HISTORY,
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

ATTEMPT = Attempt(DeliveryId("d-1"), "", 1)


async def _run(
    redis: Redis,
    *,
    claude: FakeClaude | None = None,
    routes: FakeRoutes | None = None,
    delivery: Delivery | None = None,
    number: int = 1,
) -> End:
    delivery = delivery or sample_delivery()
    await admit(redis, delivery)
    return await build_runner(redis, claude=claude, routes=routes)(Attempt(delivery.id, "", number))


def _dead(end: End) -> tuple[DeadReason | None, str]:
    assert isinstance(end, Settled)
    assert end.outcome is RunOutcome.DEAD
    return end.reason, end.detail


def _settled(end: End) -> tuple[RunOutcome, str]:
    assert isinstance(end, Settled)
    return end.outcome, end.detail


async def test_an_answer_is_saved_and_sent_to_the_sinks(redis: Redis) -> None:
    claude = FakeClaude()
    end = await _run(redis, claude=claude)
    assert _settled(end) == (RunOutcome.SUCCEEDED, "")
    assert len(claude.asked) == 1
    assert '{"number":7}' in claude.asked[0].user
    saved = await redis.hget(keys.run(DeliveryId("d-1")), "answer")
    assert saved is not None
    assert decode_answer(saved).text == "Answer 1."
    assert decode_answer(saved).usage == Usage(input=10, output=5)
    [entry] = await results(redis)
    assert entry["text"] == "Answer 1."
    assert entry["idempotency_key"] == "d-1:0"
    assert entry["cost_usd"] == "0.000035"


async def test_the_record_says_what_the_run_was_about(redis: Redis) -> None:
    end = await _run(redis, routes=FakeRoutes(worker_route(prompts=(prompt_rule(user="{{ payload.gone }}"),))))
    assert isinstance(end, Settled)
    assert end.fields["route"] == "team-a/triage"
    assert end.fields["event"] == "pull_request.opened"
    assert end.fields["missing_fields"] == "payload.gone"


@pytest.mark.parametrize(
    ("reply", "outcome", "sent"),
    [
        (answer(outcome=RunOutcome.TRUNCATED, stop_reason="max_tokens"), RunOutcome.TRUNCATED, 1),
        (answer(outcome=RunOutcome.REFUSED, stop_reason="refusal"), RunOutcome.REFUSED, 0),
        (answer(""), RunOutcome.SUCCEEDED, 0),
        (answer("", outcome=RunOutcome.TRUNCATED, stop_reason="tool_use"), RunOutcome.TRUNCATED, 0),
    ],
)
async def test_only_an_answer_with_something_to_say_goes_to_sinks(
    redis: Redis, reply: Any, outcome: RunOutcome, sent: int
) -> None:
    end = await _run(redis, claude=FakeClaude(reply))
    assert _settled(end)[0] is outcome
    assert ("stop reason" in _settled(end)[1]) is (reply.text == "" or outcome is not RunOutcome.SUCCEEDED)
    assert len(await results(redis)) == sent


async def test_the_routes_own_key_is_used(redis: Redis) -> None:
    claude = FakeClaude()
    await _run(redis, claude=claude, routes=FakeRoutes(worker_route(api_key=Secret(b"k"))))
    assert claude.keys == [Secret(b"k")]


# --- routes ---


async def test_a_route_that_is_gone_discards_its_deliveries(redis: Redis) -> None:
    routes = FakeRoutes()
    assert _settled(await _run(redis, routes=routes)) == (RunOutcome.DISCARDED, "route_deleted")
    assert routes.refreshed == 1


async def test_a_route_made_anew_does_not_take_its_predecessors_deliveries(redis: Redis) -> None:
    routes = FakeRoutes(worker_route(uid=RouteUid("uid-new")))
    assert _settled(await _run(redis, routes=routes)) == (RunOutcome.DISCARDED, "route_deleted")


async def test_a_delivery_of_a_route_made_anew_is_not_taken_for_one_of_the_old_route(redis: Redis) -> None:
    routes = FakeRoutes(worker_route(uid=RouteUid("uid-old"), generation=9))
    routes.after_refresh = [worker_route()]
    assert _settled(await _run(redis, routes=routes))[0] is RunOutcome.SUCCEEDED


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


async def test_a_cold_table_and_an_unreadable_route_are_waited_for(redis: Redis) -> None:
    broken = FakeRoutes()
    broken.broken.add(sample_delivery().route)
    for routes in (FakeRoutes(version=None), broken):
        end = await _run(redis, routes=routes)
        assert isinstance(end, Later)
        assert not end.counts


async def test_an_unreadable_route_is_not_waited_for_without_end(redis: Redis) -> None:
    received_ms = time.time_ns() // 1_000_000 - 86_401_000
    end = await _run(redis, routes=FakeRoutes(version=None), delivery=sample_delivery(received_ms=received_ms))
    assert _dead(end)[0] is DeadReason.DEADLINE


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


# --- what is missing or unreadable ---


async def test_a_missing_delivery_is_a_dead_letter(redis: Redis) -> None:
    assert _dead(await build_runner(redis)(ATTEMPT)) == (DeadReason.DECODE, "the delivery is missing")


@pytest.mark.parametrize("stored", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"id":7}'])
async def test_an_unreadable_delivery_is_a_dead_letter(redis: Redis, stored: bytes) -> None:
    await redis.set(keys.delivery(ATTEMPT.delivery), stored)
    reason, detail = _dead(await build_runner(redis)(ATTEMPT))
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
    assert await redis.hget(keys.run(ATTEMPT.delivery), "last_error") == b"529 overloaded"


async def test_a_failed_attempt_is_repeated_and_counts(redis: Redis) -> None:
    end = await _run(redis, claude=FakeClaude(Failed(detail="no answer within 5 s", timed_out=True)))
    assert isinstance(end, Later)
    assert end.counts
    assert await redis.hget(keys.run(ATTEMPT.delivery), "last_error") == b"no answer within 5 s"


@pytest.mark.parametrize("number", [1, 3])
async def test_what_stands_in_the_way_is_waited_for_without_costing_an_attempt(redis: Redis, number: int) -> None:
    for reply in (Standing(reason=DeadReason.BILLING, detail="402", whole_key=True), Passing(detail="529", after_s=60)):
        end = await _run(redis, claude=FakeClaude(reply), number=number)
        assert isinstance(end, Later)
        assert not end.counts
        assert 60 <= end.delay_s <= 64


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
    late = sample_delivery(received_ms=time.time_ns() // 1_000_000 - 3_601_000)
    assert _dead(await _run(redis, claude=claude, delivery=late))[0] is DeadReason.DEADLINE
    assert claude.asked == []


async def test_a_delivery_that_keeps_killing_its_worker_is_given_up(redis: Redis) -> None:
    claude = FakeClaude()
    unread = sample_delivery(payload=b'"\xff"')  # what kills it may be the payload: it is not even looked at
    end = await _run(redis, claude=claude, delivery=unread, number=4)
    assert _dead(end) == (DeadReason.ATTEMPTS, "3 attempts were cut short")
    assert claude.asked == []


# --- sinks ---


async def test_a_failing_sink_is_tried_again_without_asking_again(redis: Redis) -> None:
    key = keys.stream("team-a", "results")
    await redis.set(key, "no stream")
    claude = FakeClaude()
    assert isinstance(await _run(redis, claude=claude), Later)
    await redis.delete(key)
    assert _settled(await _run(redis, claude=claude, number=2))[0] is RunOutcome.SUCCEEDED
    assert len(claude.asked) == 1
    assert len(await results(redis)) == 1


async def test_a_failing_sink_keeps_the_answer_from_no_other_and_from_none_twice(redis: Redis) -> None:
    await redis.set(keys.stream("team-a", "bad"), "no stream")
    routes = FakeRoutes(worker_route(sinks=(msgspec.structs.replace(STREAM, name="bad"), STREAM)))
    for number in (1, 2):
        assert isinstance(await _run(redis, routes=routes, number=number), Later)
    reason, detail = _dead(await _run(redis, routes=routes, number=3))
    assert reason is DeadReason.SINK
    assert "sinks[0]: stream team-a/bad" in detail
    assert [entry["idempotency_key"] for entry in await results(redis)] == ["d-1:1"]


async def test_an_answer_is_delivered_even_after_the_last_attempt_was_cut_short(redis: Redis) -> None:
    await redis.hset(keys.run(ATTEMPT.delivery), "answer", msgspec.json.encode(answer()))
    assert _settled(await _run(redis, number=4))[0] is RunOutcome.SUCCEEDED
    assert _dead(await _run(redis, number=12))[0] is DeadReason.ATTEMPTS


async def test_a_log_sink_writes_one_line(redis: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    routes = FakeRoutes(worker_route(sinks=(LogSink(),)))
    for number in (1, 2):
        await _run(redis, routes=routes, number=number)
    lines = [line for line in capsys.readouterr().out.splitlines() if "idempotency_key" in line]
    assert len(lines) == 1
    assert "Answer 1." in lines[0]


async def test_a_delivery_that_comes_again_after_it_was_settled_is_not_paid_for_again(redis: Redis) -> None:
    claude = FakeClaude()
    for _ in range(2):
        assert _settled(await _run(redis, claude=claude))[0] is RunOutcome.SUCCEEDED
        await redis.pexpire(keys.run(ATTEMPT.delivery), 60_000)
    assert len(claude.asked) == 1
    assert len(await results(redis)) == 1


async def test_a_record_that_is_in_use_again_does_not_expire(redis: Redis) -> None:
    await redis.hset(keys.run(ATTEMPT.delivery), mapping={"outcome": "dead", "last_error": "402"})
    await redis.pexpire(keys.run(ATTEMPT.delivery), 60_000)
    await _run(redis, claude=FakeClaude(Failed(detail="x")))
    assert await redis.pttl(keys.run(ATTEMPT.delivery)) == -1
    assert await redis.hget(keys.run(ATTEMPT.delivery), "outcome") is None


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
    [key] = [key async for key in redis.scan_iter("eventroute:history:*")]
    assert await redis.llen(key) == HISTORY.keep
    assert 0 < await redis.ttl(key) <= HISTORY.ttl_s
    assert len(await redis.lindex(key, 0)) < 700


async def test_histories_of_namespaces_and_routes_are_apart(redis: Redis) -> None:
    shared = msgspec.structs.replace(HISTORY, scope="namespace")
    for uid, rule in (("uid-1", HISTORY), ("uid-2", HISTORY), ("uid-3", shared), ("uid-4", shared)):
        routes = FakeRoutes(worker_route(uid=RouteUid(uid), entity="payload.who", history=rule))
        delivery = sample_delivery(f"d-{uid}", route_uid=RouteUid(uid), payload=b'{"who":"ada:*"}')
        await _run(redis, routes=routes, delivery=delivery)
    lengths = {key.decode().split(":")[2]: await redis.llen(key) async for key in redis.scan_iter("*:history:*")}
    assert lengths == {"uid-1": 1, "uid-2": 1, "ns/team-a": 2}


@pytest.mark.parametrize("payload", [b"{}", b'{"who":null}', b'{"who":""}', b'{"who":{"a":1}}'])
async def test_an_event_about_nobody_is_answered_without_history(redis: Redis, payload: bytes) -> None:
    routes = FakeRoutes(worker_route(entity="payload.who", history=HISTORY))
    end = await _run(redis, routes=routes, delivery=sample_delivery(payload=payload))
    assert _settled(end)[0] is RunOutcome.SUCCEEDED
    assert [key async for key in redis.scan_iter("*:history:*")] == []


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
