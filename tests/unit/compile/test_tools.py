"""What is judged of tools, with the field and what to do."""

from typing import Any

import pytest

from eventroute.compile import Reason, Severity, compile_routes
from eventroute.outbound import OutboundRules
from support.routes import SECRETS, event_route

INPUT = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "note": {"type": "string"}},
    "required": ["id"],
    "additionalProperties": False,
}


def _tool(**changes: Any) -> dict[str, Any]:
    http = {"url": "https://api.example.com/things/{{ id }}", **changes.pop("http", {})}
    return {"name": "look_up", "description": "Looks up.", "input": INPUT, "http": http, **changes}


def _problems(*tools: dict[str, Any]) -> list[tuple[Reason, str, Severity]]:
    compiled = compile_routes(
        [event_route(prompts=[{"tools": list(tools)}])],
        secrets=SECRETS,
        config_maps={},
        outbound=OutboundRules(mode="cluster"),
    )
    [verdict] = compiled.verdicts
    assert verdict.is_served is (not any(each.severity is Severity.ERROR for each in verdict.problems))
    return [(each.reason, each.field, each.severity) for each in verdict.problems]


AT = "spec.prompts[0].tools[0]"
ERROR, WARNING = Severity.ERROR, Severity.WARNING


@pytest.mark.parametrize(
    ("tools", "found"),
    [
        ([_tool()], []),
        ([_tool(input={**INPUT, "oneOf": []})], [(Reason.INVALID_TOOL, f"{AT}.input.oneOf", ERROR)]),
        ([_tool(http={"url": "https://x.example.com/{{ note }}"})], [(Reason.INVALID_TOOL, f"{AT}.http.url", ERROR)]),
        ([_tool(http={"url": "http://x.example.com/"})], [(Reason.TOOL_OUT_OF_REACH, f"{AT}.http.url", ERROR)]),
        ([_tool(http={"url": "https://10.0.0.1/"})], [(Reason.TOOL_OUT_OF_REACH, f"{AT}.http.url", ERROR)]),
        ([_tool(when="payload.")], [(Reason.INVALID_EXPRESSION, f"{AT}.when", ERROR)]),
        ([_tool(when="answer.text == 'x'")], [(Reason.UNKNOWN_VARIABLE, f"{AT}.when", ERROR)]),
        (
            [_tool(http={"headers": {"Idempotency-Key": "1"}})],
            [(Reason.INVALID_TOOL, f"{AT}.http.headers", ERROR)],
        ),
        (
            [_tool(http={"secretHeader": {"name": "authorization", "ref": {"name": "none", "key": "k"}}})],
            [(Reason.SECRET_NOT_FOUND, f"{AT}.http.secretHeader.ref", ERROR)],
        ),
        ([_tool(), _tool()], [(Reason.DUPLICATE_TOOL, "spec.prompts[0].tools[1].name", ERROR)]),
        ([_tool(http={"method": "POST"})], [(Reason.TOOL_UNGUARDED, f"{AT}.when", WARNING)]),
        ([_tool(sideEffect=True)], [(Reason.TOOL_UNGUARDED, f"{AT}.when", WARNING)]),
        ([_tool(http={"method": "POST"}, when="true")], []),
        ([_tool(http={"method": "POST"}, dryRun=True)], []),
        ([_tool(http={"method": "POST"}, sideEffect=False)], []),
    ],
)
def test_each_mistake_is_told_at_its_field(
    tools: list[dict[str, Any]], found: list[tuple[Reason, str, Severity]]
) -> None:
    assert _problems(*tools) == found
