"""Answers, errors, events and models have the fields that the SDK's types have: none is missing, and none unknown."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from anthropic.types import Message, MessageTokensCount, ModelInfo, RawMessageStreamEvent
from anthropic.types.shared.error_details import ErrorDetails
from anthropic.types.shared.error_response import ErrorResponse
from pydantic import BaseModel, TypeAdapter

from eventroute_cli.simulator.api import DEFAULT_KEY, Reply, Simulator, SimulatorSettings
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.limits import RateLimits
from eventroute_cli.simulator.models import MODELS

HEADERS = [("x-api-key", DEFAULT_KEY), ("anthropic-version", "2026-10-21")]
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
ASKED: dict[str, dict[str, Any]] = {
    "plain": {"thinking": {"type": "disabled"}},
    "thinking": {},
    "summarized": {"thinking": {"type": "adaptive", "display": "summarized"}},
    "thinking only": {"max_tokens": 100},
    "structured": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "cached": {"system": [{"type": "text", "text": "x" * 9000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
}


def ask(simulator: Simulator, **changes: Any) -> Reply:
    fields = {
        "model": "claude-haiku-5-5",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "look_up", "input_schema": SCHEMA}],
        **changes,
    }
    return simulator.answer(HEADERS, msgspec.json.encode(fields))


def strangers(value: Any, where: str = "") -> Iterator[str]:
    """Name the fields that are not there, and those that no type knows."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from strangers(item, f"{where}.{index}")
    if isinstance(value, BaseModel):
        yield from (f"{where}.{name} is missing" for name in type(value).model_fields.keys() - value.model_fields_set)
        yield from (f"{where}.{name} is unknown" for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from strangers(getattr(value, name), f"{where}.{name}")


def read(kind: Any, document: bytes) -> Any:
    value = TypeAdapter(kind).validate_json(document, strict=True)
    assert list(strangers(value)) == []
    return value


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("kind", [FaultKind.OK, FaultKind.TOOL_USE, FaultKind.REFUSAL, FaultKind.STOP_SEQUENCE])
def test_answers_are_messages_of_the_sdk(asked: str, kind: FaultKind) -> None:
    simulator = Simulator(SimulatorSettings(faults=(Fault(kind=kind, times=2),)))
    whole = read(Message, ask(simulator, **ASKED[asked]).parts[0])
    events = [part.partition(b"data: ")[2] for part in ask(simulator, **ASKED[asked], stream=True).parts]
    streamed = [read(RawMessageStreamEvent, event) for event in events if b'"ping"' not in event]
    assert streamed[0].message.model == whole.model
    assert (streamed[-2].delta.stop_reason, streamed[-2].usage.output_tokens) == (
        whole.stop_reason,
        whole.usage.output_tokens,
    )


def test_a_refusal_has_a_category_of_the_sdk() -> None:
    simulator = Simulator(SimulatorSettings(faults=(Fault(kind=FaultKind.REFUSAL, category="cyber"),)))
    assert read(Message, ask(simulator).parts[0]).stop_details.category == "cyber"


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if Fault(kind=kind).error()])
def test_errors_are_errors_of_the_sdk(kind: FaultKind) -> None:
    reply = ask(Simulator(SimulatorSettings(faults=(Fault(kind=kind),))))
    _assert_known_error(reply.parts[0])


def test_an_exceeded_limit_is_an_error_of_the_sdk() -> None:
    for limits in (RateLimits(requests=1), RateLimits(ramp=1)):
        simulator = Simulator(SimulatorSettings(limits=limits, clock=lambda: 1_800_000_000.0))
        assert [ask(simulator).status for _ in range(2)] == [200, 429]
        _assert_known_error(ask(simulator).parts[0])


def _assert_known_error(document: bytes) -> None:
    body = msgspec.json.decode(document)
    assert body.keys() == {"type", "error", "request_id"}
    details = body["error"].pop("details", None)
    if body["error"]["type"] not in ("conflict_error", "request_too_large"):  # no type of its own in the SDK
        read(ErrorResponse, msgspec.json.encode(body))
    if details:
        value = TypeAdapter(ErrorDetails).validate_python(details, strict=True)
        assert value.model_extra == {}


def test_models_are_models_of_the_sdk() -> None:
    simulator = Simulator(SimulatorSettings())
    page = simulator.list_models(dict(HEADERS), ["active", "deprecated", "retired"], limit=100)
    assert {read(ModelInfo, msgspec.json.encode(info)).id for info in page["data"]} == MODELS.keys()
    assert page["has_more"] is False


def test_a_count_is_a_count_of_the_sdk_and_that_of_the_call() -> None:
    simulator = Simulator(SimulatorSettings())
    asked = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": "hello there"}]}
    count = read(MessageTokensCount, msgspec.json.encode(simulator.count(dict(HEADERS), msgspec.json.encode(asked))))
    answer = simulator.answer(HEADERS, msgspec.json.encode({**asked, "max_tokens": 1}))
    assert count.input_tokens == read(Message, answer.parts[0]).usage.input_tokens == 3
