"""What the simulator says, and how its answers end."""

from typing import Any

import msgspec
import pytest

from eventroute_cli.simulator.answer import MARK, compose
from eventroute_cli.simulator.faults import FaultKind
from eventroute_cli.simulator.request import MessagesRequest, parse_request


def ask(**changes: Any) -> MessagesRequest:
    fields = {
        "model": "claude-haiku-5-5",
        "max_tokens": 512,
        "thinking": {"type": "disabled"},
        "messages": [{"role": "user", "content": "hi"}],
        **changes,
    }
    said = {name: value for name, value in fields.items() if value is not None}
    return parse_request(msgspec.json.encode(said), version="2026-10-21")


@pytest.mark.parametrize("fault", [None, *(kind for kind in FaultKind if kind is not FaultKind.NO_TEXT)])
def test_every_answer_is_marked_and_the_same_each_time(fault: FaultKind | None) -> None:
    answer = compose(ask(), fault)
    assert answer.text.startswith(MARK)
    assert compose(ask(), fault) == answer


def test_an_ordinary_answer_ends_its_turn() -> None:
    assert compose(ask(), None).stop_reason == "end_turn"


def test_an_answer_stops_at_max_tokens() -> None:
    answer = compose(ask(max_tokens=5), None)
    assert (answer.stop_reason, answer.output_tokens, len(answer.text)) == ("max_tokens", 5, 20)


def test_no_token_wanted_is_no_text_given() -> None:
    answer = compose(ask(max_tokens=0), None)
    assert (answer.stop_reason, answer.text, answer.content("msg_1")) == ("max_tokens", "", [])


def test_an_answer_stops_before_the_first_stop_sequence_that_it_reaches() -> None:
    answer = compose(ask(stop_sequences=["earlier", "no earlier", "never"]), None)
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "no earlier")
    assert "no earlier" not in answer.text


def test_an_answer_stops_at_the_end_of_the_context_window() -> None:
    answer = compose(ask(messages=[{"role": "user", "content": "x" * 3_999_960}]), None)
    assert (answer.stop_reason, answer.output_tokens) == ("model_context_window_exceeded", 10)


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (FaultKind.REFUSAL, lambda answer: answer.stop_details["type"] == "refusal"),
        (FaultKind.TOOL_USE, lambda answer: answer.content("msg_1")[-1]["name"] == "look_up"),
        (FaultKind.STOP_SEQUENCE, lambda answer: answer.stop_sequence == "STOP"),
        (FaultKind.MAX_TOKENS, lambda answer: answer.text != compose(ask(), None).text),
        (FaultKind.CONTEXT_WINDOW, lambda answer: answer.text != compose(ask(), None).text),
        (FaultKind.PAUSE_TURN, lambda answer: answer.text == compose(ask(), None).text),
        (FaultKind.END_TURN, lambda answer: answer.text == compose(ask(), None).text),
    ],
)
def test_a_scripted_stop_reason_comes_with_what_belongs_to_it(fault: FaultKind, check: Any) -> None:
    answer = compose(ask(tools=[{"name": "look_up"}], stop_sequences=["STOP"]), fault)
    assert answer.stop_reason == fault
    assert check(answer)


@pytest.mark.parametrize(
    ("changes", "tokens"),
    [
        ({"thinking": None}, 256),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, 64),
        ({"model": "claude-sonnet-5-5", "thinking": None, "max_tokens": 1024}, 512),
        ({"model": "claude-sonnet-5-5", "thinking": {"type": "between_tools"}}, 0),
        ({"model": "claude-opus-4-8", "thinking": None}, 0),
    ],
)
def test_thinking_comes_first_and_counts(changes: dict[str, Any], tokens: int) -> None:
    answer = compose(ask(**changes), None)
    text = compose(ask(), None)
    assert (answer.thinking_tokens, answer.output_tokens) == (tokens, tokens + text.output_tokens)
    kinds = [block["type"] for block in answer.content("msg_1")]
    assert kinds == (["thinking", "text"] if tokens else ["text"])


@pytest.mark.parametrize(("changes", "fault"), [({"thinking": None, "max_tokens": 256}, None), ({}, FaultKind.NO_TEXT)])
def test_thinking_may_leave_no_room_for_a_text(changes: dict[str, Any], fault: FaultKind | None) -> None:
    request = ask(**changes)
    answer = compose(request, fault)
    assert (answer.stop_reason, answer.text, answer.output_tokens) == ("max_tokens", "", request.max_tokens)
    assert [block["type"] for block in answer.content("msg_1")] == ["thinking"]
