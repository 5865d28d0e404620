"""What is judged of tools on the API's side, and what their table entries say, word for word as the API takes it."""

from typing import Any

import pytest

from eventroute.compile import Compiled, Reason, Severity, compile_routes
from eventroute.crd.objects import ObjectKey
from eventroute.outbound import OutboundRules
from eventroute.policy import Policy
from eventroute.route_table import ServedTool
from eventroute.secret import Secret
from support.routes import SECRETS, event_route, mistakes

AT = "spec.prompts[0].tools[0]"
SERVER_AT = "spec.prompts[0].mcpServers[0]"
ERROR, WARNING = Severity.ERROR, Severity.WARNING
TRACKER: dict[str, Any] = {"name": "tracker", "url": "https://mcp.example.com/mcp", "tools": ["find"], "when": "true"}
OWN: dict[str, Any] = {
    "description": "Looks up.",
    "input": {"type": "object", "properties": {}, "additionalProperties": False},
    "http": {"url": "https://api.example.com/"},
}


def _compiled(prompt: dict[str, Any], policy: Policy | None = None) -> Compiled:
    token = {ObjectKey("team-a", "tracker"): {"token": Secret(b"hush")}}
    return compile_routes(
        [event_route(prompts=[prompt])],
        secrets={**SECRETS, **token},
        config_maps={},
        policy=policy,
        outbound=OutboundRules(mode="cluster"),
    )


def _served(**prompt: Any) -> list[ServedTool]:
    [route] = _compiled(prompt).worker.values()
    return list(route.prompts[0].served)


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ({"tools": [{"webSearch": {}}]}, []),
        ({"tools": [{"webFetch": {"allowedDomains": ["docs.example.com"]}}]}, []),
        ({"tools": [{"codeExecution": {}}]}, []),
        ({"tools": [{"webFetch": {}}]}, [(Reason.TOOL_UNGUARDED, f"{AT}.webFetch.allowedDomains", WARNING)]),
        (
            {"tools": [{"webFetch": {"allowedDomains": ["10.0.0.1"]}}]},
            [(Reason.TOOL_OUT_OF_REACH, f"{AT}.webFetch.allowedDomains[0]", ERROR)],
        ),
        ({"tools": [{"webSearch": {}, "when": "payload."}]}, [(Reason.INVALID_EXPRESSION, f"{AT}.when", ERROR)]),
        (
            {"tools": [{"webSearch": {}}, {"webSearch": {}}]},
            [(Reason.DUPLICATE_TOOL, "spec.prompts[0].tools[1]", ERROR)],
        ),
        (
            {"tools": [{**OWN, "name": "web_search"}, {"webSearch": {}}]},
            [(Reason.DUPLICATE_TOOL, "spec.prompts[0].tools[1]", ERROR)],
        ),
        (
            {"model": {"name": "claude-opus-5"}, "tools": [{"webFetch": {"allowedDomains": ["example.com"]}}]},
            [(Reason.MODEL_REFUSES, f"{AT}.webFetch", ERROR)],
        ),
        (
            {"model": {"fallback": "claude-opus-5"}, "tools": [{"webFetch": {"allowedDomains": ["example.com"]}}]},
            [(Reason.MODEL_REFUSES, f"{AT}.webFetch", ERROR)],
        ),
        ({"mcpServers": [TRACKER]}, []),
        (
            {"mcpServers": [{**TRACKER, "when": "answer.text == ''"}]},
            [(Reason.UNKNOWN_VARIABLE, f"{SERVER_AT}.when", ERROR)],
        ),
        (
            {"mcpServers": [{name: value for name, value in TRACKER.items() if name != "when"}]},
            [(Reason.TOOL_UNGUARDED, f"{SERVER_AT}.when", WARNING)],
        ),
        (
            {"mcpServers": [TRACKER, TRACKER]},
            [(Reason.DUPLICATE_TOOL, "spec.prompts[0].mcpServers[1]", ERROR)],
        ),
        (
            {"mcpServers": [{**TRACKER, "url": "https://10.0.0.1/mcp"}]},
            [(Reason.TOOL_OUT_OF_REACH, f"{SERVER_AT}.url", ERROR)],
        ),
        (
            {"mcpServers": [{**TRACKER, "url": "https://tracker/mcp"}]},
            [(Reason.TOOL_OUT_OF_REACH, f"{SERVER_AT}.url", ERROR)],
        ),
        ({"mcpServers": [{**TRACKER, "url": "https://mcp.example.com:8443/mcp"}]}, []),
        (
            {"mcpServers": [{**TRACKER, "tokenRef": {"name": "none", "key": "token"}}]},
            [(Reason.SECRET_NOT_FOUND, f"{SERVER_AT}.tokenRef", ERROR)],
        ),
    ],
)
def test_each_mistake_is_told_at_its_field(prompt: dict[str, Any], found: list[tuple[Reason, str, Severity]]) -> None:
    [verdict] = _compiled({**prompt, "model": {"maxTokens": 8192, **prompt.get("model", {})}}).verdicts
    problems = [each for each in verdict.problems if each.reason is not Reason.THINKING_UNBOUNDED]
    assert [(each.reason, each.field, each.severity) for each in problems] == found
    assert verdict.is_served is (not any(severity is ERROR for _, _, severity in found))


def test_where_hosts_are_limited_pages_may_not_be_from_anywhere() -> None:
    policy = Policy(allowed_hosts=("*.example.com",))
    [verdict] = _compiled({"tools": [{"webFetch": {}}]}, policy).verdicts
    assert [(each.reason, each.severity) for each in verdict.problems] == [(Reason.POLICY_VIOLATION, ERROR)]
    [verdict] = _compiled({"tools": [{"webFetch": {"allowedDomains": ["docs.example.com"]}}]}, policy).verdicts
    assert not verdict.problems
    [verdict] = _compiled({"mcpServers": [{**TRACKER, "url": "https://mcp.example.org/"}]}, policy).verdicts
    assert [each.reason for each in verdict.problems] == [Reason.TOOL_OUT_OF_REACH]


def test_the_api_is_told_of_its_own_tools_as_it_takes_them() -> None:
    tools = _served(
        tools=[
            {"webSearch": {"maxUses": 3, "blockedDomains": ["example.com/ads"]}, "when": "event == 'issues.opened'"},
            {"webFetch": {"allowedDomains": ["docs.example.com"], "maxContentTokens": 2000}},
            {"codeExecution": {}},
        ]
    )
    assert [tool.offer.definition for tool in tools] == [
        {
            "type": "web_search_20260318",
            "name": "web_search",
            "allowed_callers": ["direct"],
            "max_uses": 3,
            "blocked_domains": ["example.com/ads"],
        },
        {
            "type": "web_fetch_20260318",
            "name": "web_fetch",
            "allowed_callers": ["direct"],
            "max_uses": 5,
            "allowed_domains": ["docs.example.com"],
            "max_content_tokens": 2000,
        },
        {"type": "code_execution_20260521", "name": "code_execution"},
    ]
    assert [tool.when for tool in tools] == ["event == 'issues.opened'", None, None]


def test_of_a_server_nothing_is_enabled_but_what_is_listed() -> None:
    server = {**TRACKER, "tools": ["find", "comment.add"], "tokenRef": {"name": "tracker", "key": "token"}}
    [tool] = _served(mcpServers=[server])
    assert tool.offer.definition == {
        "type": "mcp_toolset",
        "mcp_server_name": "tracker",
        "default_config": {"enabled": False},
        "configs": {"find": {"enabled": True}, "comment.add": {"enabled": True}},
    }
    assert tool.token == Secret(b"hush")
    assert "hush" not in repr(tool)


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ({"tools": [{}]}, "set exactly one of http, route, webSearch, webFetch and codeExecution"),
        ({"tools": [{"webSearch": {}, "codeExecution": {}}]}, "set exactly one of"),
        ({"tools": [{"webSearch": {}, "name": "search"}]}, "nothing beside them but when"),
        ({"tools": [{"webFetch": {}, "dryRun": True}]}, "nothing beside them but when"),
        ({"tools": [{"codeExecution": {}, "sideEffect": False}]}, "nothing beside them but when"),
        ({"tools": [OWN]}, "a tool of your own needs name, description and input"),
        (
            {"tools": [{"webSearch": {"allowedDomains": ["a.example"], "blockedDomains": ["b.example"]}}]},
            "set either allowedDomains or blockedDomains",
        ),
        ({"tools": [{"webSearch": {"allowedDomains": ["https://a.example"]}}]}, "must be a domain"),
        ({"tools": [{"webSearch": {"allowedDomains": ["*.example"]}}]}, "must be a domain"),
        ({"tools": [{"webFetch": {"allowedDomains": ["a.example/docs"]}}]}, "must be a domain"),
        ({"tools": [{"webFetch": {"blockedDomains": ["a.example"]}}]}, "unknown field"),
        ({"tools": [{"webSearch": {"maxUses": 0}}]}, "greater than or equal to 1"),
        ({"mcpServers": [{**TRACKER, "url": "http://mcp.example.com/mcp"}]}, "must be a URL with https"),
        ({"mcpServers": [{**TRACKER, "tools": []}]}, "at least 1 item"),
        ({"mcpServers": [{name: value for name, value in TRACKER.items() if name != "tools"}]}, "is required"),
        ({"mcpServers": [{**TRACKER, "authorizationToken": "hush"}]}, "unknown field"),
    ],
)
def test_what_a_manifest_cannot_say_is_refused(prompt: dict[str, Any], says: str) -> None:
    found = mistakes(prompts=[prompt])
    assert any(says in mistake.message for mistake in found), found
