"""What is read of an answer: every kind of token at its own price, and how Claude came to stop."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from eventroute.models import Models
from eventroute.outcome import DeadReason, RunOutcome
from eventroute_worker.answer import Answer, Failed, GivenUp, Reply, Usage, added
from eventroute_worker.claude import Claude
from eventroute_worker.pricing import Prices


def _read(
    *, stop_reason: str = "end_turn", text: str = "All is well.", blocks: Any = None, details: Any = None, **usage: Any
) -> Reply:
    claude = Claude(api_key=None, base_url=None, propagate_trace=False, prices=Prices(Models.load()))
    body = {
        "id": "msg_1",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": text}] if blocks is None else blocks,
        "stop_reason": stop_reason,
        "stop_details": details,
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
    assert reply.cost_usd == Prices(Models.load()).cost("claude-haiku-5-5", usage)
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
    assert reply.paid
    assert (reply.paid.usage, bool(reply.paid.cost_usd)) == (Usage(input=100, output=7), True)


_THOUGHT = {"type": "thinking", "thinking": "", "signature": "x"}
_TOOL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ([], "empty"),
        ([{"type": "text", "text": " \n"}], "empty"),
        ([_TOOL], "empty"),
        ([_THOUGHT], "thinking_only"),
        ([{"type": "redacted_thinking", "data": "x"}], "thinking_only"),
        ([_THOUGHT, {"type": "text", "text": ""}], "thinking_only"),
    ],
)
@pytest.mark.parametrize("stop_reason", ["end_turn", "max_tokens", "tool_use", "something new"])
def test_no_text_is_an_outcome_with_a_reason_whatever_stopped_it(blocks: Any, reason: str, stop_reason: str) -> None:
    reply = _read(blocks=blocks, stop_reason=stop_reason, output_tokens_details={"thinking_tokens": 5})
    assert isinstance(reply, Answer)
    assert (reply.outcome, reply.reason, reply.text) == (RunOutcome.NO_TEXT, reason, "")
    assert (reply.usage, bool(reply.cost_usd)) == (Usage(input=100, output=7, thinking=5), True)


def test_the_text_is_that_of_all_text_blocks_wherever_they_stand() -> None:
    reply = _read(blocks=[_THOUGHT, {"type": "text", "text": "One, "}, _TOOL, {"type": "text", "text": "two."}])
    assert isinstance(reply, Answer)
    assert (reply.outcome, reply.text) == (RunOutcome.SUCCEEDED, "One, two.")


@pytest.mark.parametrize(
    ("details", "category"),
    [
        ({"type": "refusal", "category": "cyber", "explanation": "…"}, "cyber"),
        ({"type": "refusal", "category": "reasoning_extraction"}, "reasoning_extraction"),
        ({"type": "refusal", "category": "news"}, "other"),
        ({"type": "refusal", "category": None}, "uncategorized"),
        ({"type": "refusal"}, "uncategorized"),
        (None, "uncategorized"),
    ],
)
@pytest.mark.parametrize("blocks", [[], [_THOUGHT], None])
def test_a_refusal_has_its_category_with_and_without_words(details: Any, category: str, blocks: Any) -> None:
    reply = _read(stop_reason="refusal", details=details, blocks=blocks)
    assert isinstance(reply, Answer)
    assert (reply.outcome, reply.reason) == (RunOutcome.REFUSED, category)


def test_what_two_calls_cost_is_counted_together_and_unknown_where_one_is() -> None:
    one, two = _read(output_tokens_details={"thinking_tokens": 3}), _read(cache_read_input_tokens=9)
    assert isinstance(one, Answer)
    assert isinstance(two, Answer)
    both = added(one, two)
    assert both.usage == Usage(input=200, output=14, thinking=3, cache_read=9)
    assert one.cost_usd
    assert two.cost_usd
    assert both.cost_usd == one.cost_usd + two.cost_usd
    assert added(msgspec.structs.replace(one, cost_usd=None), two).cost_usd is None
    assert added(one, msgspec.structs.replace(two, cost_usd=None)).cost_usd is None
    assert added(None, two) == two


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"id":"\xff"}', b"[" * 100_000])
def test_what_is_no_answer_costs_an_attempt(body: bytes) -> None:
    reply = Claude(api_key=None, base_url=None, propagate_trace=False, prices=Prices(Models.load()))._read(
        body, "req_1"
    )
    assert isinstance(reply, Failed)
    assert "req_1" in reply.detail
