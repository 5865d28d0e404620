"""What the simulator says, and how its answers end."""

from typing import Any

import msgspec
import pytest

from eventroute_cli.simulator.answer import MARK, compose
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.models import MODELS
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
    return parse_request(msgspec.json.encode(said), version="2026-10-21", answers=MODELS.__contains__)


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.NO_TEXT])
def test_every_answer_is_marked_and_the_same_each_time(kind: FaultKind) -> None:
    fault = Fault(kind=kind, text="Nothing to do.")
    answer = compose(ask(), fault)
    assert answer.text.startswith(MARK)
    assert compose(ask(), fault) == answer


def test_an_ordinary_answer_ends_its_turn() -> None:
    assert compose(ask()).stop_reason == "end_turn"


def test_an_answer_stops_at_max_tokens() -> None:
    answer = compose(ask(max_tokens=5))
    assert (answer.stop_reason, answer.output_tokens, len(answer.text)) == ("max_tokens", 5, 20)


def test_no_token_wanted_is_no_text_given() -> None:
    answer = compose(ask(max_tokens=0))
    assert (answer.stop_reason, answer.text, answer.content("msg_1")) == ("max_tokens", "", [])


def test_an_answer_stops_before_the_first_stop_sequence_that_it_reaches() -> None:
    answer = compose(ask(stop_sequences=["earlier", "no earlier", "never"]))
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "no earlier")
    assert "no earlier" not in answer.text


def test_an_answer_stops_at_the_end_of_the_context_window() -> None:
    answer = compose(ask(messages=[{"role": "user", "content": "x" * 3_999_960}]))
    assert (answer.stop_reason, answer.output_tokens) == ("model_context_window_exceeded", 10)


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (FaultKind.REFUSAL, lambda answer: answer.stop_details["type"] == "refusal"),
        (FaultKind.TOOL_USE, lambda answer: answer.content("msg_1")[-1]["name"] == "look_up"),
        (FaultKind.STOP_SEQUENCE, lambda answer: answer.stop_sequence == "STOP"),
        (FaultKind.MAX_TOKENS, lambda answer: answer.text != compose(ask()).text),
        (FaultKind.CONTEXT_WINDOW, lambda answer: answer.text != compose(ask()).text),
        (FaultKind.PAUSE_TURN, lambda answer: answer.text == compose(ask()).text),
        (FaultKind.END_TURN, lambda answer: answer.text == compose(ask()).text),
    ],
)
def test_a_scripted_stop_reason_comes_with_what_belongs_to_it(fault: FaultKind, check: Any) -> None:
    answer = compose(
        ask(tools=[{"name": "look_up", "input_schema": {"type": "object"}}], stop_sequences=["STOP"]), Fault(kind=fault)
    )
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
    answer = compose(ask(**changes))
    text = compose(ask())
    assert (answer.thinking_tokens, answer.output_tokens) == (tokens, tokens + text.output_tokens)
    kinds = [block["type"] for block in answer.content("msg_1")]
    assert kinds == (["thinking", "text"] if tokens else ["text"])


@pytest.mark.parametrize(
    ("changes", "kind"), [({"thinking": None, "max_tokens": 256}, FaultKind.OK), ({}, FaultKind.NO_TEXT)]
)
def test_thinking_may_leave_no_room_for_a_text(changes: dict[str, Any], kind: FaultKind) -> None:
    request = ask(**changes)
    answer = compose(request, Fault(kind=kind))
    assert (answer.stop_reason, answer.text, answer.output_tokens) == ("max_tokens", "", request.max_tokens)
    assert [block["type"] for block in answer.content("msg_1")] == ["thinking"]


@pytest.mark.parametrize(("display", "shown"), [(None, False), ("omitted", False), ("summarized", True)])
def test_thinking_is_shown_only_where_it_is_asked_for(display: str | None, *, shown: bool) -> None:
    thinking = {"type": "adaptive", **({"display": display} if display else {})}
    [block, _] = compose(ask(thinking=thinking)).content("msg_1")
    assert (bool(block["thinking"]), bool(block["signature"])) == (shown, True)


@pytest.mark.parametrize("category", ["cyber", "bio", None])
def test_a_refusal_has_its_category_and_says_nothing_before_it_unless_the_script_does(category: Any) -> None:
    answer = compose(ask(), Fault(kind=FaultKind.REFUSAL, category=category))
    assert answer.stop_details is not None
    assert (answer.stop_details["category"], answer.content("msg_1"), answer.output_tokens) == (category, [], 0)
    assert compose(ask(), Fault(kind=FaultKind.REFUSAL, text="I can")).text == f"{MARK} I can"


def test_a_script_says_what_is_answered() -> None:
    assert compose(ask(), Fault(kind=FaultKind.OK, text="Escalate.")).text == f"{MARK} Escalate."


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "note": {"type": "string"},
        "severity": {"enum": ["high", "low"]},
        "count": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
    "required": ["severity", "count"],
    "additionalProperties": False,
}
FORMAT = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}


def structured(fault: Fault | None = None, **changes: Any) -> Any:
    return msgspec.json.decode(compose(ask(**FORMAT, **changes), fault).text)


def test_a_structured_answer_fits_its_schema_with_what_is_required_first() -> None:
    answer = structured()
    assert list(answer) == ["severity", "count", "note", "tags"]
    assert (answer["severity"], answer["count"]) == ("high", 1)
    assert answer["note"].startswith(MARK)


def test_a_structured_answer_may_violate_its_schema_write_enums_otherwise_or_be_what_the_script_says() -> None:
    assert "severity" not in structured(Fault(kind=FaultKind.SCHEMA_VIOLATION))
    assert structured(Fault(kind=FaultKind.ENUM_CASE))["severity"] == "HIGH"
    assert structured(Fault(kind=FaultKind.OK, text='{"severity": 7}')) == {"severity": 7}


def test_a_structured_answer_is_cut_like_any_other() -> None:
    answer = compose(ask(**FORMAT, max_tokens=5))
    assert answer.stop_reason == "max_tokens"
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(answer.text)


LOOK_UP = {"name": "look_up", "input_schema": SCHEMA}
CLOSE = {"name": "close", "input_schema": {"type": "object"}}


def uses(fault: Fault | None = None, **changes: Any) -> list[tuple[str, Any]]:
    answer = compose(ask(tools=[LOOK_UP, CLOSE], **changes), fault)
    assert (answer.stop_reason == "tool_use") == bool(answer.tools)
    ids = [block["id"] for block in answer.content("msg_1") if block["type"] == "tool_use"]
    assert len(set(ids)) == len(ids)
    return [(tool.name, tool.input) for tool in answer.tools]


def test_a_tool_is_used_on_demand_with_an_input_that_fits() -> None:
    assert uses() == []
    [(name, given)] = uses(Fault(kind=FaultKind.TOOL_USE))
    assert (name, given["severity"]) == ("look_up", "high")
    assert uses(Fault(kind=FaultKind.TOOL_USE, tool="close", input={"id": 3})) == [("close", {"id": 3})]


def test_a_tool_that_does_not_exist_is_used_on_demand() -> None:
    assert uses(Fault(kind=FaultKind.TOOL_USE, tool="delete")) == [("delete", {})]


def test_several_uses_stand_in_one_answer_unless_the_request_forbids_it() -> None:
    fault = Fault(kind=FaultKind.TOOL_USE, calls=3)
    assert len(uses(fault)) == 3
    assert len(uses(fault, tool_choice={"type": "auto", "disable_parallel_tool_use": True})) == 1


@pytest.mark.parametrize(
    ("choice", "name"), [({"type": "any"}, "look_up"), ({"type": "tool", "name": "close"}, "close")]
)
def test_a_forced_tool_is_used_without_a_word(choice: dict[str, Any], name: str) -> None:
    assert [used for used, _ in uses(tool_choice=choice)] == [name]
    assert compose(ask(tools=[LOOK_UP, CLOSE], tool_choice=choice)).text == ""
