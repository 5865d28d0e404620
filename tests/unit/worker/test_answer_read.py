"""What is read of an answer: every kind of token at its own price, and how Claude came to stop."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from eventroute.outcome import DeadReason, RunOutcome
from eventroute_worker.answer import Answer, Failed, GivenUp, Reply, Usage
from eventroute_worker.claude import Claude
from eventroute_worker.pricing import Prices


def _read(*, stop_reason: str = "end_turn", text: str = "All is well.", **usage: Any) -> Reply:
    claude = Claude(api_key=None, base_url=None, propagate_trace=False, prices=Prices.load())
    body = {
        "id": "msg_1",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop_reason,
        "usage": {"input_tokens": 100, "output_tokens": 7, **usage},
    }
    return claude._read(msgspec.json.encode(body), "req_1")


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        ({}, Usage(input=100, output=7)),
        ({"cache_read_input_tokens": None, "cache_creation_input_tokens": None}, Usage(input=100, output=7)),
        ({"cache_read_input_tokens": 50}, Usage(input=100, output=7, cache_read=50)),
        ({"cache_creation_input_tokens": 40}, Usage(input=100, output=7, cache_write=40)),
        (
            {"cache_creation_input_tokens": 40, "cache_creation": {"ephemeral_1h_input_tokens": 30}},
            Usage(input=100, output=7, cache_write=10, cache_write_1h=30),
        ),
        (
            {"cache_creation_input_tokens": 40, "cache_creation": {"ephemeral_1h_input_tokens": 40}},
            Usage(input=100, output=7, cache_write_1h=40),
        ),
        (
            {"cache_creation_input_tokens": 0, "cache_creation": {"ephemeral_1h_input_tokens": 5}},
            Usage(input=100, output=7, cache_write_1h=5),
        ),
    ],
)
def test_tokens_are_counted_by_kind_and_none_twice(said: dict[str, Any], usage: Usage) -> None:
    reply = _read(**said)
    assert isinstance(reply, Answer)
    assert reply.usage == usage
    assert reply.cost_usd == Prices.load().cost("claude-haiku-5-5", usage)
    assert reply.cost_usd is not None
    assert reply.cost_usd > Decimal(0)


def test_the_whole_prompt_is_what_was_read_and_written_too() -> None:
    assert Usage(input=1, output=1000, cache_write=10, cache_write_1h=100, cache_read=20).prompt == 131


@pytest.mark.parametrize(
    ("stop_reason", "outcome"),
    [
        ("end_turn", RunOutcome.SUCCEEDED),
        ("stop_sequence", RunOutcome.SUCCEEDED),
        ("refusal", RunOutcome.REFUSED),
        ("max_tokens", RunOutcome.TRUNCATED),
        ("model_context_window_exceeded", RunOutcome.TRUNCATED),
        ("something new", RunOutcome.TRUNCATED),
    ],
)
def test_how_claude_stopped_is_the_outcome(stop_reason: str, outcome: RunOutcome) -> None:
    reply = _read(stop_reason=stop_reason)
    assert isinstance(reply, Answer)
    assert (reply.outcome, reply.text, reply.stop_reason) == (outcome, "All is well.", stop_reason)


def test_a_prompt_that_leaves_no_room_for_an_answer_is_the_deliverys_fault() -> None:
    reply = _read(stop_reason="model_context_window_exceeded", text=" \n")
    assert isinstance(reply, GivenUp)
    assert reply.reason is DeadReason.CONTEXT_WINDOW


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"id":"\xff"}', b"[" * 100_000])
def test_what_is_no_answer_costs_an_attempt(body: bytes) -> None:
    reply = Claude(api_key=None, base_url=None, propagate_trace=False, prices=Prices.load())._read(body, "req_1")
    assert isinstance(reply, Failed)
    assert "req_1" in reply.detail
