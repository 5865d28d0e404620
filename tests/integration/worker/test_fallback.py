"""A prompt's other model: asked once when the first declines or exists no more, with what both cost on the record."""

from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.models import Models
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.prompt import Prompt
from eventroute.queue import Trouble
from eventroute.route_table import ModelCall, WorkerRoute
from eventroute.runtime.metrics import REGISTRY
from eventroute.runtime.notices import Notice
from eventroute.secret import Secret
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.server import Served
from eventroute_worker import keeper as keeper_module
from eventroute_worker.answer import Because, Passing, Reply, Standing, Usage, decode_answer
from eventroute_worker.attempt import Attempt, Later, Parked, Settled
from eventroute_worker.claude import Claude
from eventroute_worker.pricing import Prices
from eventroute_worker.troubles import Troubles, may_meet
from support.queue import admit, fields, lease, lease_again, settle, state
from support.routes import model_call
from support.runs import (
    FakeClaude,
    FakeRoutes,
    answer,
    build_runner,
    prompt_rule,
    results,
    sample_delivery,
    worker_route,
)
from support.waiting import until
from support.worker import keeping, running

pytestmark = pytest.mark.real

HAIKU, SONNET, RETIRED = "claude-haiku-5-5", "claude-sonnet-5-5", "claude-sonnet-4-5"
DECLINED = msgspec.structs.replace(answer(""), outcome=RunOutcome.REFUSED, reason="cyber", stop_reason="refusal")


def _route(**model: Any) -> WorkerRoute:
    return worker_route(prompts=(prompt_rule(model=model_call(**model)),))


def _routes(**model: Any) -> FakeRoutes:
    return FakeRoutes(_route(**model))


class ByModel(FakeClaude):
    """Answers by model."""

    def __init__(self, **replies: Reply) -> None:
        super().__init__()
        self.replies = {f"claude-{name.replace('_', '-')}": reply for name, reply in replies.items()}

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        given = await super().ask(call, prompt, api_key=api_key)
        return self.replies.get(call.name, given)


async def _run(redis: Redis, claude: Any, routes: FakeRoutes, **more: Any) -> Any:
    await admit(redis, sample_delivery())
    return await build_runner(redis, claude=claude, routes=routes, **more)(Attempt(await lease(redis)))


def _about(end: Settled) -> dict[str, Any]:
    raw = end.fields["about"]
    assert isinstance(raw, bytes)
    about: dict[str, Any] = msgspec.json.decode(raw)
    return about


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
@pytest.mark.parametrize(("first", "because"), [(HAIKU, "refused"), (RETIRED, "not_found")])
async def test_the_other_model_gets_the_same_prompt_as_it_takes_it(
    redis: Redis, simulator: Served, first: str, because: str
) -> None:
    simulator.simulator.faults.add([Fault(kind=FaultKind.REFUSAL)] if because == "refused" else [])
    counted = {"model": SONNET, "because": because}
    before = REGISTRY.get_sample_value("eventroute_worker_fallbacks_total", counted) or 0
    key = Secret(DEFAULT_KEY.encode())
    async with Claude(
        api_key=key, base_url=simulator.url, propagate_trace=False, prices=Prices(Models.load())
    ) as claude:
        end = await _run(redis, claude, _routes(name=first, fallback=SONNET))
    asked = simulator.simulator.journal.entries()
    assert [entry.body["model"] for entry in asked if entry.given.status == 200][-1] == SONNET
    assert asked[-1].body["thinking"] == {"type": "between_tools"}
    assert "Event pull_request.opened from github:" in asked[-1].body["messages"][0]["content"]
    assert (
        len({msgspec.json.encode([entry.body["system"], entry.body["messages"]]) for entry in asked if entry.body}) == 1
    )
    assert isinstance(end, Settled)
    assert end.outcome is RunOutcome.SUCCEEDED
    saved = decode_answer((await redis.hgetall("er:{g0}:d:d-1"))[b"answer"])
    paid = [entry.given for entry in asked if entry.given.status == 200]
    assert len(paid) == (2 if because == "refused" else 1)
    assert saved.usage.output == sum(given.output_tokens for given in paid)
    assert saved.usage.prompt == sum(given.input_tokens for given in paid)
    prices = Prices(Models.load())
    one, two = (Usage(input=given.input_tokens, output=given.output_tokens) for given in (paid[0], paid[-1]))
    cost = prices.cost(SONNET, two)
    assert cost
    assert saved.cost_usd == cost + ((prices.cost(HAIKU, one) or 0) if because == "refused" else 0)
    about = _about(end)
    assert (about["model"], about["instead_of"], about["because"]) == (SONNET, first, because)
    assert (about["output_tokens"], about["cost_usd"]) == (saved.usage.output, str(saved.cost_usd))
    assert end.detail == f"{first}: {because}; {SONNET} was asked instead"
    assert [entry["model"] for entry in await results(redis)] == [SONNET]
    assert REGISTRY.get_sample_value("eventroute_worker_fallbacks_total", counted) == before + 1


async def test_there_is_one_hop_and_no_more(redis: Redis) -> None:
    claude = ByModel(haiku_5_5=DECLINED, sonnet_5_5=DECLINED)
    end = await _run(redis, claude, _routes(fallback=SONNET))
    assert claude.models == [HAIKU, SONNET]
    assert (end.outcome, end.reason) == (RunOutcome.REFUSED, "cyber")
    assert await results(redis) == []


async def test_without_another_model_a_refusal_is_how_it_ends(redis: Redis) -> None:
    claude = ByModel(haiku_5_5=DECLINED)
    end = await _run(redis, claude, _routes())
    assert claude.models == [HAIKU]
    assert (end.outcome, end.reason) == (RunOutcome.REFUSED, "cyber")
    assert "because" not in _about(end)


async def test_a_refusal_that_was_paid_for_is_not_asked_for_again(redis: Redis) -> None:
    claude = ByModel(haiku_5_5=DECLINED, sonnet_5_5=Passing(detail="529"))
    runner = build_runner(redis, claude=claude, routes=_routes(fallback=SONNET))
    name = await admit(redis, sample_delivery())
    first = await lease(redis)
    assert isinstance(await runner(Attempt(first)), Later)
    claude.replies.pop(SONNET)
    end = await runner(Attempt(await lease_again(redis, name)))
    assert claude.models == [HAIKU, SONNET, SONNET]
    assert isinstance(end, Settled)
    assert (end.outcome, _about(end)["output_tokens"]) == (RunOutcome.SUCCEEDED, 10)


async def test_what_was_paid_for_is_on_the_record_of_a_run_that_ends_without_an_answer(redis: Redis) -> None:
    claude = ByModel(haiku_5_5=DECLINED, sonnet_5_5=Passing(detail="529", after_s=1e9))
    end = await _run(redis, claude, _routes(fallback=SONNET))
    assert (end.outcome, end.reason) == (RunOutcome.DEAD, DeadReason.DEADLINE)
    assert _about(end)["output_tokens"] == 5


GONE = Standing(reason=DeadReason.NOT_FOUND, detail="404", whole_key=False)


async def test_a_model_that_exists_no_more_is_not_asked_for_each_time(redis: Redis) -> None:
    claude, routes, troubles = ByModel(sonnet_4_5=GONE), _routes(name=RETIRED, fallback=HAIKU), Troubles()
    runner = build_runner(redis, claude=claude, routes=routes, troubles=troubles)
    for number in range(3):
        await admit(redis, sample_delivery(f"d-{number}"))
        taken = await lease(redis)
        end = await runner(Attempt(taken))
        assert isinstance(end, Settled)
        await settle(redis, taken)
        assert _about(end)["because"] == Because.NOT_FOUND
    assert claude.models == [RETIRED, HAIKU, HAIKU, HAIKU]


SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}


class Going(FakeClaude):
    """Gives an answer that fits no schema, and then has the model that gave it no more."""

    def __init__(self, troubles: Troubles, *, is_announced: bool) -> None:
        super().__init__()
        self.troubles = troubles
        self.is_announced = is_announced

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        await super().ask(call, prompt, api_key=api_key)
        if call.name != RETIRED:
            return answer("{}")
        assert self.models.count(RETIRED) < 9, "it is asked again and again"
        if self.is_announced:
            self.troubles.read_notices({RETIRED: Notice(is_retired=True)})
        return answer("no JSON") if len(self.asked) == 1 else GONE


@pytest.mark.parametrize(("is_announced", "asked"), [(False, [RETIRED, RETIRED, HAIKU]), (True, [RETIRED, HAIKU])])
async def test_a_model_that_goes_before_its_second_answer_is_stood_in_for(
    redis: Redis, *, is_announced: bool, asked: list[str]
) -> None:
    troubles = Troubles()
    claude = Going(troubles, is_announced=is_announced)
    model = model_call(name=RETIRED, fallback=HAIKU)
    routes = FakeRoutes(worker_route(prompts=(prompt_rule(model=model, output_schema=SCHEMA),)))
    counted = {"model": HAIKU, "because": "not_found"}
    before = REGISTRY.get_sample_value("eventroute_worker_fallbacks_total", counted) or 0
    end = await _run(redis, claude, routes, troubles=troubles)
    assert claude.models == asked
    assert isinstance(end, Settled)
    assert end.outcome is RunOutcome.SUCCEEDED
    assert claude.asked[-1].turns[0] == "no JSON", "it is told what did not fit"
    about = _about(end)
    assert (about["instead_of"], about["because"], about["output_tokens"]) == (RETIRED, "not_found", 10)
    assert REGISTRY.get_sample_value("eventroute_worker_fallbacks_total", counted) == before + 1


async def test_a_second_answer_of_the_other_model_is_no_second_hop(redis: Redis) -> None:
    claude = FakeClaude(DECLINED, answer("no JSON"), answer("{}"))
    model = model_call(fallback=SONNET)
    routes = FakeRoutes(worker_route(prompts=(prompt_rule(model=model, output_schema=SCHEMA),)))
    counted = {"model": SONNET, "because": "refused"}
    before = REGISTRY.get_sample_value("eventroute_worker_fallbacks_total", counted) or 0
    await _run(redis, claude, routes)
    assert claude.models == [HAIKU, SONNET, SONNET]
    assert REGISTRY.get_sample_value("eventroute_worker_fallbacks_total", counted) == before + 1


@pytest.mark.parametrize(
    "wrong",
    [
        Standing(reason=DeadReason.NOT_FOUND, detail="404", whole_key=True),
        Standing(reason=DeadReason.PERMISSION, detail="403", whole_key=False),
        Standing(reason=DeadReason.BILLING, detail="402", whole_key=True),
    ],
)
async def test_another_trouble_is_no_reason_for_another_model(redis: Redis, wrong: Standing) -> None:
    claude = ByModel(haiku_5_5=wrong)
    assert isinstance(await _run(redis, claude, _routes(fallback=SONNET)), Parked)
    assert claude.models == [HAIKU]


@pytest.mark.parametrize("model", [{"name": RETIRED, "fallback": SONNET}, {"name": HAIKU}])
async def test_what_waits_for_a_model_goes_on_when_its_route_has_another(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, model: dict[str, str]
) -> None:
    monkeypatch.setattr(keeper_module, "LOOK_S", 0.05)
    claude, troubles, routes = ByModel(sonnet_4_5=GONE), Troubles(), _routes(name=RETIRED)
    names = [await admit(redis, sample_delivery(f"d-{number}")) for number in range(5)]

    async def are(wanted: str) -> bool:
        return [await state(redis, name) for name in names] == [wanted] * 5

    def met(trouble: Trouble) -> bool:
        return may_meet(trouble, routes.all(), claude.key_id)

    runner = build_runner(redis, claude=claude, routes=routes, troubles=troubles)
    async with keeping(redis, troubles=troubles, routes=routes, may_meet=met), running(redis, runner, slots=1):
        await until(lambda: are("held"))
        routes.after_refresh = [_route(**model)]
        await until(lambda: are("settled"))
    assert claude.models.count(RETIRED) <= 2
    assert "because" in msgspec.json.decode((await fields(redis, names[0]))["about"]) or "fallback" not in model
