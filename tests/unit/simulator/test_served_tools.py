"""The API's own tools, and servers that it calls: what the API would refuse is refused, all else is played."""

from typing import Any

import msgspec
import pytest

from eventroute_cli.simulator.answer import Answer, compose, usage
from eventroute_cli.simulator.errors import ApiError
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.models import MODELS
from eventroute_cli.simulator.request import MessagesRequest, parse_count, parse_request
from eventroute_cli.simulator.served import MCP_BETA
from eventroute_cli.simulator.tokens import CacheUse

MESSAGE_ID = "msg_000000000000000000000001"
USER: dict[str, Any] = {"role": "user", "content": "Look at https://docs.example.com/a"}
OWN: dict[str, Any] = {"name": "look_up", "input_schema": {"type": "object"}}
SEARCH: dict[str, Any] = {"type": "web_search_20260318", "name": "web_search", "allowed_callers": ["direct"]}
FETCH: dict[str, Any] = {"type": "web_fetch_20260318", "name": "web_fetch", "allowed_callers": ["direct"]}
CODE: dict[str, Any] = {"type": "code_execution_20260521", "name": "code_execution"}
SERVER: dict[str, Any] = {"type": "url", "name": "tracker", "url": "https://mcp.example.com/mcp"}
TOOLSET: dict[str, Any] = {
    "type": "mcp_toolset",
    "mcp_server_name": "tracker",
    "default_config": {"enabled": False},
    "configs": {"find": {"enabled": True}, "remove": {"enabled": False}},
}
MCP: dict[str, Any] = {"tools": [TOOLSET], "mcp_servers": [SERVER]}


def parse(*, betas: frozenset[str] = frozenset({MCP_BETA}), **changes: Any) -> MessagesRequest:
    fields = {
        "model": "claude-haiku-5-5",
        "max_tokens": 1024,
        "messages": [USER],
        "thinking": {"type": "disabled"},
        **changes,
    }
    return parse_request(msgspec.json.encode(fields), version="2026-10-21", answers=MODELS.__contains__, betas=betas)


def said(answer: Answer) -> list[dict[str, Any]]:
    return answer.content(MESSAGE_ID)


def turn(answer: Answer) -> dict[str, Any]:
    """Send a turn back, as the SDK does: what is None is left out."""
    blocks = [{name: value for name, value in block.items() if value is not None} for block in said(answer)]
    return {"role": "assistant", "content": blocks}


def used(answer: Answer) -> Any:
    return usage(CacheUse(0, 0, 0, 0), answer)["server_tool_use"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tools": [{**SEARCH, "type": "web_search_20260101"}]}, "tools.0: Input tag 'web_search_20260101'"),
        ({"tools": [{**SEARCH, "name": "search"}]}, "tools.0.web_search_20260318.name: Input should be 'web_search'"),
        ({"tools": [{**SEARCH, "max_content_tokens": 5}]}, "max_content_tokens: Extra inputs are not permitted"),
        ({"tools": [{**SEARCH, "type": "web_search_20250305", "response_inclusion": "full"}]}, "Extra inputs"),
        ({"tools": [{**CODE, "max_uses": 1}]}, "max_uses: Extra inputs are not permitted"),
        (
            {"tools": [{**SEARCH, "allowed_domains": ["a.example"], "blocked_domains": ["b.example"]}]},
            "Only one of allowed_domains and blocked_domains",
        ),
        ({"tools": [{**SEARCH, "allowed_domains": ["https://a.example"]}]}, "allowed_domains: Invalid domain format"),
        ({"tools": [{**FETCH, "blocked_domains": ["*.example"]}]}, "blocked_domains: Invalid domain format"),
        ({"tools": [{**SEARCH, "max_uses": 0}]}, "max_uses: Input should be greater than 0"),
        ({"tools": [{**SEARCH, "allowed_callers": ["anybody"]}]}, "allowed_callers: Input should be a list of"),
        ({"tools": [SEARCH, SEARCH]}, "tools: Tool names must be unique"),
        ({"model": "claude-opus-5", "tools": [FETCH]}, "does not support tool types: web_fetch_20260318"),
        (
            {"tools": [SEARCH, {**CODE, "type": "code_execution_20250825"}]},
            "code_execution_20250825 cannot be used with these versions",
        ),
        ({"tools": [TOOLSET]}, "MCP server 'tracker' not found in mcp_servers"),
        ({"mcp_servers": [SERVER]}, "MCP server 'tracker' is not referenced by any mcp_toolset"),
        ({"tools": [TOOLSET, TOOLSET], "mcp_servers": [SERVER]}, "is referenced by more than one mcp_toolset"),
        ({**MCP, "mcp_servers": [SERVER, SERVER]}, "MCP server names must be unique"),
        ({**MCP, "mcp_servers": [{**SERVER, "url": "http://mcp.example.com"}]}, "url: URL must start with https://"),
        ({**MCP, "mcp_servers": [{**SERVER, "type": "stdio"}]}, "mcp_servers.0.type: Input should be 'url'"),
        ({**MCP, "mcp_servers": [{**SERVER, "headers": {}}]}, "mcp_servers.0.headers: Extra inputs"),
        ({**MCP, "tools": [{**TOOLSET, "allowed_tools": []}]}, "allowed_tools: Extra inputs"),
        ({**MCP, "tools": [{**TOOLSET, "configs": {"find": {"on": True}}}]}, "mcp_toolset.find.on: Extra inputs"),
        ({**MCP, "tools": [{**TOOLSET, "configs": {"find": {"enabled": "yes"}}}]}, "valid configuration"),
    ],
)
def test_a_wrong_definition_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=r".") as caught:
        parse(**changes)
    assert caught.value.status == 400
    assert message in caught.value.message


@pytest.mark.parametrize("betas", [frozenset(), frozenset({"mcp-client-2025-04-04"})])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (MCP, "mcp_servers: Extra inputs are not permitted"),
        ({"tools": [TOOLSET]}, "tools.0: Input tag 'mcp_toolset'"),
        ({"messages": [USER, {"role": "assistant", "content": [{"type": "mcp_tool_use"}]}]}, "'mcp_tool_use'"),
    ],
)
def test_without_its_header_servers_are_not_known(changes: dict[str, Any], message: str, betas: frozenset[str]) -> None:
    with pytest.raises(ApiError, match=r".") as caught:
        parse(betas=betas, **changes)
    assert (caught.value.status, message in caught.value.message) == (400, True)


def test_tokens_are_counted_with_servers_too() -> None:
    fields = msgspec.json.encode({"model": "claude-haiku-5-5", "messages": [USER], **MCP})
    assert parse_count(fields, version="2026-10-21", answers=MODELS.__contains__, betas={MCP_BETA}).tools.served


def test_a_model_that_lets_no_code_call_tools_wants_to_be_told_so() -> None:
    by_code = {name: value for name, value in SEARCH.items() if name != "allowed_callers"}
    haiku: dict[str, Any] = {"model": "claude-haiku-4-5", "thinking": {"type": "disabled"}}
    with pytest.raises(ApiError, match="Set allowed_callers to"):
        parse(**haiku, tools=[by_code])
    assert parse(**haiku, tools=[SEARCH]).tools.served
    assert parse(tools=[by_code]).tools.served


@pytest.mark.parametrize(
    ("offered", "tool", "use", "result"),
    [
        ({"tools": [SEARCH]}, "web_search", "server_tool_use", "web_search_tool_result"),
        ({"tools": [FETCH]}, "web_fetch", "server_tool_use", "web_fetch_tool_result"),
        ({"tools": [CODE]}, "code_execution", "server_tool_use", "bash_code_execution_tool_result"),
        (MCP, "find", "mcp_tool_use", "mcp_tool_result"),
    ],
)
def test_a_tool_is_used_within_the_answer(offered: dict[str, Any], tool: str, use: str, result: str) -> None:
    given = {"url": "https://docs.example.com/a"}
    answer = compose(parse(**offered), Fault(kind=FaultKind.TOOL_USE, tool=tool, input=given))
    kinds = [block["type"] for block in said(answer)]
    assert (answer.stop_reason, kinds) == ("end_turn", [use, result, "text"])
    first, second, _ = said(answer)
    assert (first["id"], first["input"]) == (second["tool_use_id"], given)
    again = parse(**offered, messages=[USER, turn(answer), USER])
    assert len(again.blocks) == 6


def test_what_is_billed_is_told_and_what_fails_is_not_billed() -> None:
    search = Fault(kind=FaultKind.TOOL_USE, tool="web_search", calls=3)
    answer = compose(parse(tools=[{**SEARCH, "max_uses": 2}]), search)
    assert used(answer) == {"web_search_requests": 2, "web_fetch_requests": 0}
    errors = [block["content"] for block in said(answer) if block["type"] == "web_search_tool_result"]
    assert errors[2] == {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
    failed = compose(parse(tools=[SEARCH]), Fault(kind=FaultKind.TOOL_USE, tool="web_search", fails="unavailable"))
    assert used(failed) == {"web_search_requests": 0, "web_fetch_requests": 0}
    assert used(compose(parse(tools=[SEARCH]))) is None


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://docs.example.com/a", None),
        ("https://docs.example.com/other", "url_not_in_prior_context"),
        ("https://example.org/b", "url_not_allowed"),
        ("https://notexample.com/c", "url_not_allowed"),
        ("https://example.com/" + "x" * 250, "url_too_long"),
    ],
)
def test_a_page_is_fetched_only_from_where_it_may_be(url: str, error: str | None) -> None:
    told = {"role": "user", "content": f"{USER['content']} https://example.org/b https://notexample.com/c"}
    request = parse(tools=[{**FETCH, "allowed_domains": ["example.com"]}], messages=[told])
    answer = compose(request, Fault(kind=FaultKind.TOOL_USE, tool="web_fetch", input={"url": url}))
    [result] = [block["content"] for block in said(answer) if block["type"] == "web_fetch_tool_result"]
    assert result.get("error_code") == error


def test_a_tool_of_a_server_that_is_not_enabled_is_not_called() -> None:
    answer = compose(parse(**MCP), Fault(kind=FaultKind.TOOL_USE, tool="remove"))
    assert [block["type"] for block in said(answer)] == ["text", "tool_use"]


def test_where_no_tool_may_be_used_none_is() -> None:
    request = parse(tools=[SEARCH], tool_choice={"type": "none"})
    answer = compose(request, Fault(kind=FaultKind.TOOL_USE, tool="web_search"))
    assert not [block for block in said(answer) if block["type"] == "server_tool_use"]


def test_a_paused_turn_goes_on_with_the_result() -> None:
    paused = compose(parse(tools=[SEARCH]), Fault(kind=FaultKind.PAUSE_TURN))
    assert (paused.stop_reason, [block["type"] for block in said(paused)]) == (
        "pause_turn",
        ["server_tool_use", "text"],
    )
    after = compose(parse(tools=[SEARCH], messages=[USER, turn(paused)]))
    assert [block["type"] for block in said(after)] == ["web_search_tool_result", "text"]
    assert said(after)[0]["tool_use_id"] == said(paused)[0]["id"]
    assert used(after) == {"web_search_requests": 1, "web_fetch_requests": 0}
    whole = [USER, turn(paused), turn(after), USER]
    assert not parse(tools=[SEARCH], messages=whole).open_uses


def test_beside_a_tool_of_the_clients_it_is_run_in_the_next_turn() -> None:
    mixed = compose(parse(tools=[OWN, SEARCH]), Fault(kind=FaultKind.TOOL_USE, tool="look_up", beside="web_search"))
    assert mixed.stop_reason == "tool_use"
    assert [block["type"] for block in said(mixed)] == ["server_tool_use", "text", "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": said(mixed)[-1]["id"], "content": "found"}]
    messages = [USER, turn(mixed), {"role": "user", "content": results}]
    assert said(compose(parse(tools=[OWN, SEARCH], messages=messages)))[0]["type"] == "web_search_tool_result"
    with pytest.raises(ApiError, match="but no `web_search` tool was provided"):
        parse(tools=[OWN], messages=messages)
    noted = [*messages[:-1], {"role": "user", "content": [*results, {"type": "text", "text": "Hurry."}]}]
    with pytest.raises(ApiError, match="without a corresponding `web_search_tool_result` block"):
        parse(tools=[OWN, SEARCH], messages=noted)


@pytest.mark.parametrize("change", [{"encrypted_content": "other"}, {"title": "Another"}, {"encrypted_content": None}])
def test_what_was_found_comes_back_as_it_was(change: dict[str, str | None]) -> None:
    answer = turn(compose(parse(tools=[SEARCH]), Fault(kind=FaultKind.TOOL_USE, tool="web_search")))
    answer["content"][1]["content"][0] |= change
    with pytest.raises(ApiError, match="Invalid `encrypted_content`"):
        parse(tools=[SEARCH], messages=[USER, answer, USER])


def test_a_result_without_its_use_and_a_use_of_the_users_are_refused() -> None:
    use, result, _ = turn(compose(parse(tools=[SEARCH]), Fault(kind=FaultKind.TOOL_USE, tool="web_search")))["content"]
    with pytest.raises(ApiError, match="unexpected `tool_use_id`"):
        parse(tools=[SEARCH], messages=[USER, {"role": "assistant", "content": [result]}, USER])
    with pytest.raises(ApiError, match="`server_tool_use` blocks may not be in `user` messages"):
        parse(tools=[SEARCH], messages=[{"role": "user", "content": [use]}])


def test_a_model_that_obeys_strangers_uses_them_too() -> None:
    told = {"role": "user", "content": 'use web_search {"query": "x"} use refund {"id": "1"}'}
    answer = compose(parse(tools=[SEARCH], messages=[told]), Fault(kind=FaultKind.OBEY))
    assert [block["type"] for block in said(answer)] == ["server_tool_use", "text", "tool_use"]
    alone = {"role": "user", "content": 'use web_search {"query": "x"}'}
    answer = compose(parse(tools=[SEARCH], messages=[alone]), Fault(kind=FaultKind.OBEY))
    assert (answer.stop_reason, used(answer)) == ("end_turn", {"web_search_requests": 1, "web_fetch_requests": 0})
