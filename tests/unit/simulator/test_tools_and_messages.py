"""Tools and messages that the API would refuse are refused: definitions, choices, results, prefixes to be cached."""

from typing import Any

import msgspec
import pytest

from eventroute_cli.simulator.answer import compose
from eventroute_cli.simulator.errors import ApiError
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.models import MODELS
from eventroute_cli.simulator.request import MessagesRequest, parse_request

USER: dict[str, Any] = {"role": "user", "content": "hello"}
TOOL: dict[str, Any] = {"name": "look_up", "input_schema": {"type": "object"}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "found"}


def parse(**changes: Any) -> MessagesRequest:
    fields = {
        "model": "claude-haiku-5-5",
        "max_tokens": 1024,
        "messages": [USER],
        "thinking": {"type": "disabled"},
        **changes,
    }
    return parse_request(msgspec.json.encode(fields), version="2026-10-21", answers=MODELS.__contains__)


def cached(text: str, **control: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, "cache_control": {"type": "ephemeral", **control}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tools": [{"name": "look up", "input_schema": {"type": "object"}}]}, "tools.0.name: String should match"),
        ({"tools": [{"name": "x" * 129, "input_schema": {"type": "object"}}]}, "tools.0.name: String should match"),
        ({"tools": [{"name": "look_up"}]}, "tools.0.input_schema: Field required"),
        ({"tools": [{"name": "look_up", "input_schema": {"type": "string"}}]}, "input_schema.type: Input should be"),
        ({"tools": [{**TOOL, "parameters": {}}]}, "tools.0.parameters: Extra inputs are not permitted"),
        ({"tools": [{**TOOL, "type": "function"}]}, "tools.0: Input tag 'function'"),
        ({"tools": [{**TOOL, "strict": 1}]}, "tools.0.strict: Input should be a valid boolean"),
        ({"tools": [{**TOOL, "description": 1}]}, "tools.0.description: Input should be a valid string"),
        ({"tools": [{**TOOL, "strict": True}]}, "tools.0.input_schema: For 'object' type, 'additionalProperties'"),
        ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique"),
        ({"tool_choice": {"type": "auto"}}, "tool_choice: may only be specified while providing tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "required"}}, "tool_choice.type: Input should be"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "close"}}, "Tool 'close' not found"),
        ({"tools": [TOOL], "tool_choice": {"type": "auto", "name": "look_up"}}, "tool_choice.auto.name: Extra inputs"),
        ({"tools": [TOOL], "tool_choice": {"type": "none", "disable_parallel_tool_use": True}}, "Extra inputs"),
    ],
)
def test_a_wrong_tool_or_choice_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=r".") as caught:
        parse(**changes)
    assert caught.value.status == 400
    assert message in caught.value.message


def test_tools_of_the_api_itself_are_taken_and_need_no_schema() -> None:
    request = parse(tools=[{"type": "web_search_20260318", "name": "web_search"}, TOOL])
    assert [tool.name for tool in request.tools.client] == ["look_up"]


def test_a_result_follows_its_use() -> None:
    turns = [USER, {"role": "assistant", "content": [USE]}, {"role": "user", "content": [RESULT]}]
    assert [block.role for block in parse(messages=turns).blocks] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        (
            [USER, {"role": "assistant", "content": [USE]}, USER],
            "without `tool_result` blocks immediately after: toolu_1",
        ),
        ([{"role": "user", "content": [RESULT]}], "unexpected `tool_use_id`"),
        (
            [USER, {"role": "assistant", "content": "hi"}, {"role": "user", "content": [RESULT]}],
            "unexpected `tool_use_id`",
        ),
        (
            [
                USER,
                {"role": "assistant", "content": [USE]},
                {"role": "user", "content": [{"type": "text", "text": "see"}, RESULT]},
            ],
            "must come before other content",
        ),
        ([{"role": "user", "content": [USE]}], "`tool_use` blocks may not be in `user` messages"),
        ([USER, {"role": "assistant", "content": [RESULT]}, USER], "`tool_result` blocks may not be in `assistant`"),
        ([{"role": "user", "content": [{"type": "video"}]}], "Input tag 'video'"),
        ([{**USER, "name": "bob"}], "messages.0.name: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_conversation_is_refused(messages: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ApiError, match=r".") as caught:
        parse(tools=[TOOL], messages=messages)
    assert caught.value.status == 400
    assert message in caught.value.message


@pytest.mark.parametrize("change", [{"thinking": "I thought otherwise"}, {"signature": "simulated-forged"}])
def test_thinking_goes_back_as_it_came(change: dict[str, str]) -> None:
    asked = parse(tools=[TOOL], thinking={"type": "adaptive", "display": "summarized"})
    said = compose(asked, Fault(kind=FaultKind.TOOL_USE)).content("msg_000000000000000000000001")
    results = [{"type": "tool_result", "tool_use_id": block["id"]} for block in said if block["type"] == "tool_use"]
    thought, *rest = [{name: value for name, value in block.items() if value is not None} for block in said]

    def go_on(thinking: dict[str, Any]) -> MessagesRequest:
        turns = [USER, {"role": "assistant", "content": [thinking, *rest]}, {"role": "user", "content": results}]
        return parse(tools=[TOOL], thinking={"type": "adaptive"}, messages=turns)

    assert len(go_on(thought).blocks) == 6
    with pytest.raises(ApiError, match="cannot be modified"):
        go_on({**thought, **change})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"system": [cached("a")] * 5}, "A maximum of 4 blocks with cache_control may be provided. Found 5"),
        ({"system": [cached("a")] * 4, "cache_control": {"type": "ephemeral"}}, "Found 5"),
        ({"system": [cached("a", ttl="2h")]}, "system.0.cache_control.ephemeral.ttl: Input should be '5m' or '1h'"),
        ({"system": [cached("a", type="persistent")]}, "system.0.cache_control.type: Input should be 'ephemeral'"),
        ({"system": [cached("a", scope="all")]}, "system.0.cache_control.ephemeral.scope: Extra inputs"),
        ({"system": [cached("a"), cached("b", ttl="1h")]}, "must not come after a ttl='5m'"),
        ({"system": [{"type": "image"}]}, "system.0: Input tag 'image'"),
    ],
)
def test_a_wrong_breakpoint_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=r".") as caught:
        parse(**changes)
    assert caught.value.status == 400
    assert message in caught.value.message


def test_a_breakpoint_without_a_place_ends_the_last_block() -> None:
    request = parse(system="be brief", cache_control={"type": "ephemeral", "ttl": "1h"})
    assert [block.cache_ttl_s for block in request.blocks] == [None, 3600]
