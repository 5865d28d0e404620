"""Answers by a JSON schema: the API gets it, the answer is read by it, asked for once more where it does not fit."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.models import Models
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.route_table import HttpSink, Sink
from eventroute.secret import Secret
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.journal import Entry
from eventroute_cli.simulator.server import Served
from eventroute_worker.answer import Passing, decode_answer
from eventroute_worker.attempt import Attempt, Later, Settled
from eventroute_worker.claude import Claude
from eventroute_worker.pricing import Prices
from support.queue import admit, fields, lease, lease_again
from support.routes import model_call
from support.runs import (
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

pytestmark = pytest.mark.real

SCHEMA = {
    "type": "object",
    "properties": {"severity": {"enum": ["low", "high"]}, "summary": {"type": "string"}},
    "required": ["severity", "summary"],
    "additionalProperties": False,
}
FITS = '{"severity": "HIGH", "summary": "It burns."}'
VALUE = {"severity": "high", "summary": "It burns."}


@pytest.fixture
async def claude(simulator: Served) -> AsyncIterator[Claude]:
    key = Secret(DEFAULT_KEY.encode())
    async with Claude(
        api_key=key, base_url=simulator.url, propagate_trace=False, prices=Prices(Models.load())
    ) as client:
        yield client


def _routes(schema: Any = SCHEMA, *, sinks: tuple[Sink, ...] = (STREAM,), **model: Any) -> FakeRoutes:
    prompt = prompt_rule(model=model_call(**model), output_schema=schema)
    return FakeRoutes(worker_route(prompts=(prompt,), sinks=sinks))


async def _run(redis: Redis, claude: Any, routes: FakeRoutes) -> Settled:
    await admit(redis, sample_delivery())
    end = await build_runner(redis, claude=claude, routes=routes)(Attempt(await lease(redis)))
    assert isinstance(end, Settled)
    return end


async def _saved(redis: Redis) -> Any:
    return decode_answer((await fields(redis, sample_delivery().id))["answer"].encode())


def _about(end: Settled) -> Any:
    raw = end.fields["about"]
    assert isinstance(raw, bytes)
    return msgspec.json.decode(raw)


def _paid(entries: list[Entry]) -> tuple[int, int]:
    return sum(entry.given.input_tokens for entry in entries), sum(entry.given.output_tokens for entry in entries)


async def test_the_api_gets_the_schema_and_the_answer_is_kept_as_data(
    redis: Redis, claude: Claude, simulator: Served
) -> None:
    end = await _run(redis, claude, _routes())
    [asked] = simulator.simulator.journal.entries()
    assert asked.body["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}
    assert end.outcome is RunOutcome.SUCCEEDED
    saved = await _saved(redis)
    assert saved.value["severity"] == "low"
    assert msgspec.json.decode(saved.text) == saved.value
    assert [entry["text"] for entry in await results(redis)] == [saved.text]


async def test_what_does_not_fit_is_asked_for_once_more_with_what_is_wrong(
    redis: Redis, claude: Claude, simulator: Served
) -> None:
    simulator.simulator.faults.add([Fault(kind=FaultKind.SCHEMA_VIOLATION)])
    end = await _run(redis, claude, _routes(name="claude-sonnet-5-5"))
    first, second = simulator.simulator.journal.entries()
    assert end.outcome is RunOutcome.SUCCEEDED
    assert second.body["output_config"] == first.body["output_config"]
    question, told, complaint = second.body["messages"]
    assert [question] == first.body["messages"]
    assert (told["role"], told["content"]) == ("assistant", first.given.text)
    assert complaint["role"] == "user"
    assert complaint["content"].startswith("This does not fit the schema: $")
    saved = await _saved(redis)
    assert (saved.usage.prompt, saved.usage.output) == _paid([first, second])
    assert (_about(end)["input_tokens"], _about(end)["output_tokens"]) == _paid([first, second])
    assert (saved.violation, bool(saved.value), len(await results(redis))) == ("", True, 1)


async def test_what_does_not_fit_twice_is_a_dead_letter_that_both_were_paid_for(
    redis: Redis, claude: Claude, simulator: Served
) -> None:
    simulator.simulator.faults.add([Fault(kind=FaultKind.SCHEMA_VIOLATION, times=5)])
    end = await _run(redis, claude, _routes())
    asked = simulator.simulator.journal.entries()
    assert len(asked) == 2
    assert (end.outcome, end.reason) == (RunOutcome.DEAD, DeadReason.INVALID_OUTPUT)
    assert end.detail.startswith("$")
    assert (_about(end)["input_tokens"], _about(end)["output_tokens"]) == _paid(asked)
    assert await results(redis) == []


@pytest.mark.parametrize(
    ("kind", "outcome", "sent"),
    [
        (FaultKind.REFUSAL, RunOutcome.REFUSED, 0),
        (FaultKind.MAX_TOKENS, RunOutcome.TRUNCATED, 1),
        (FaultKind.NO_TEXT, RunOutcome.NO_TEXT, 0),
    ],
)
async def test_what_was_declined_or_broken_off_is_what_it_is(
    redis: Redis, claude: Claude, simulator: Served, kind: FaultKind, outcome: RunOutcome, sent: int
) -> None:
    simulator.simulator.faults.add([Fault(kind=kind)])
    end = await _run(redis, claude, _routes())
    assert (end.outcome, len(simulator.simulator.journal.entries())) == (outcome, 1)
    assert (await _saved(redis)).value is None
    assert len(await results(redis)) == sent


async def test_enums_are_written_as_the_schema_writes_them(redis: Redis) -> None:
    await _run(redis, FakeClaude(answer(FITS)), _routes())
    assert (await _saved(redis)).value == VALUE
    assert msgspec.json.decode((await results(redis))[0]["text"]) == VALUE


async def test_an_attempt_that_was_cut_short_asks_only_for_what_is_missing(redis: Redis) -> None:
    claude = FakeClaude(answer("{}"), Passing(detail="529"), answer(FITS))
    runner, name = build_runner(redis, claude=claude, routes=_routes()), await admit(redis, sample_delivery())
    assert isinstance(await runner(Attempt(await lease(redis))), Later)
    end = await runner(Attempt(await lease_again(redis, name)))
    assert isinstance(end, Settled)
    assert end.outcome is RunOutcome.SUCCEEDED
    assert [len(prompt.turns) for prompt in claude.asked] == [0, 2, 2]
    assert _about(end)["output_tokens"] == 10


async def test_the_other_model_is_asked_for_the_same_form_and_once_more(redis: Redis) -> None:
    declined = msgspec.structs.replace(answer(""), outcome=RunOutcome.REFUSED)
    claude = FakeClaude(declined, answer("{}"), answer(FITS))
    end = await _run(redis, claude, _routes(fallback="claude-sonnet-5-5"))
    assert end.outcome is RunOutcome.SUCCEEDED
    assert claude.models == ["claude-haiku-5-5", "claude-sonnet-5-5", "claude-sonnet-5-5"]
    assert [bool(prompt.output_schema) for prompt in claude.asked] == [True] * 3
    saved = await _saved(redis)
    assert (saved.instead_of, saved.because, saved.value) == ("claude-haiku-5-5", "refused", VALUE)


async def test_a_dead_letter_whose_answer_fits_by_now_is_not_paid_for_again(redis: Redis) -> None:
    claude, name = FakeClaude(answer("{}"), answer("{}")), await admit(redis, sample_delivery())
    end = await build_runner(redis, claude=claude, routes=_routes())(Attempt(await lease(redis)))
    assert isinstance(end, Settled)
    assert end.reason == DeadReason.INVALID_OUTPUT
    runner = build_runner(redis, claude=claude, routes=_routes({**SCHEMA, "required": []}))
    end = await runner(Attempt(await lease_again(redis, name)))
    assert isinstance(end, Settled)
    assert (end.outcome, len(claude.asked)) == (RunOutcome.SUCCEEDED, 2)


async def test_a_sink_is_sent_an_answer_as_the_schema_of_now_reads_it(redis: Redis) -> None:
    sinks = (HttpSink(name="own", url="https://answers.example.com/", secrets=(), timeout_s=5),)
    claude, name = FakeClaude(answer('{"summary": "It burns."}'), answer("{}")), await admit(redis, sample_delivery())
    await build_runner(redis, claude=claude, routes=_routes(sinks=sinks))(Attempt(await lease(redis)))
    routes = _routes({**SCHEMA, "required": []}, sinks=sinks)
    await build_runner(redis, claude=claude, routes=routes)(Attempt(await lease_again(redis, name)))
    sent = decode_answer((await fields(redis, DeliveryId(f"{name}:own")))["answer"].encode())
    assert (sent.value, sent.violation) == ({}, "")


async def test_a_dead_letter_that_no_schema_asks_anything_of_by_now_is_not_paid_for_again(redis: Redis) -> None:
    claude, name = FakeClaude(answer("[]"), answer("[]")), await admit(redis, sample_delivery())
    await build_runner(redis, claude=claude, routes=_routes())(Attempt(await lease(redis)))
    end = await build_runner(redis, claude=claude, routes=_routes(None))(Attempt(await lease_again(redis, name)))
    assert isinstance(end, Settled)
    assert (end.outcome, end.reason, len(claude.asked)) == (RunOutcome.SUCCEEDED, "", 2)
    assert [entry["text"] for entry in await results(redis)] == ["[]"]
