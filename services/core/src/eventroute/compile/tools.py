"""The tools of prompts: what is judged of them, and their table entries."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from eventroute.answer_schema import AnswerSchema, SchemaRefused
from eventroute.compile.chain import check_target, target_path
from eventroute.compile.gathered import Found, Gathered, value_of
from eventroute.compile.secrets import lint_text
from eventroute.compile.verdict import Problem, Reason, Severity
from eventroute.crd import v1alpha1 as crd
from eventroute.crd.duration import seconds
from eventroute.route_table import HttpTool, LocalTool, RouteTool, TalkLimits
from eventroute.secret import Secret
from eventroute.tool import url_names
from eventroute.tool_url import ToolUrl, ToolUrlRefused

_OURS = frozenset({"idempotency-key", "content-type"})
_MILLION = 1_000_000


class PlacedTool(NamedTuple):
    """A tool that is called here, and where it stands in the manifest."""

    field: str
    tool: crd.Tool

    @property
    def name(self) -> str:
        """What it is called."""
        return self.tool.name or ""

    @property
    def description(self) -> str:
        """What it is for."""
        return self.tool.description or ""

    @property
    def input(self) -> dict[str, Any]:
        """What it takes, a JSON schema."""
        return self.tool.input or {}

    def url(self) -> ToolUrl | None:
        """Read the URL of a request; raises `ToolUrlRefused`."""
        http = self.tool.http
        return ToolUrl(http.url, url_names(self.input)) if http else None

    def secret(self, gathered: Gathered) -> Found[Secret] | None:
        """Find what its secret header refers to."""
        return gathered.tool_secrets.get(f"{self.field}.http.secretHeader.ref")

    @property
    def has_side_effect(self) -> bool:
        """Tell whether a call changes something: what the manifest says, or its kind and method let expect."""
        http, said = self.tool.http, self.tool.side_effect
        return http is None or (http.method != "GET" if said is None else said)


def placed_tools(gathered: Gathered) -> Iterator[PlacedTool]:
    """Go through the tools of all prompts that are called here."""
    for index, prompt in enumerate(gathered.spec.prompts):
        for number, tool in enumerate(prompt.tools):
            if tool.is_local:
                yield PlacedTool(f"spec.prompts[{index}].tools[{number}]", tool)


def conditions(spec: crd.EventRouteSpec) -> Iterator[tuple[str, str]]:
    """List the conditions of all that Claude may do, with their fields."""
    for index, prompt in enumerate(spec.prompts):
        said = {f"tools[{number}]": tool.when for number, tool in enumerate(prompt.tools)}
        said |= {f"mcpServers[{number}]": server.when for number, server in enumerate(prompt.mcp_servers)}
        for field, when in said.items():
            if when:
                yield f"spec.prompts[{index}].{field}.when", when


def check_tools(gathered: Gathered) -> Iterator[Problem]:
    """Find what is wrong with tools, but for their conditions and where they lead."""
    names: set[tuple[str, str]] = set()
    for placed in placed_tools(gathered):
        yield from _check(gathered, placed)
        name = (placed.field.rpartition(".")[0], placed.name)
        if name in names:
            message = f'another tool of this prompt is called "{placed.name}" too; give each a name of its own'
            yield gathered.problem(Reason.DUPLICATE_TOOL, f"{placed.field}.name", message)
        names.add(name)


def _check(gathered: Gathered, placed: PlacedTool) -> Iterator[Problem]:
    tool, field = placed.tool, placed.field
    try:
        AnswerSchema(placed.input)
    except SchemaRefused as refused:
        yield gathered.problem(Reason.INVALID_TOOL, f"{field}.input{refused.path}", str(refused))
    if tool.http:
        yield from _check_request(gathered, placed, tool.http)
    if tool.route:
        yield from check_target(gathered, f"{field}.route.name", tool.route.name)
    if placed.has_side_effect and not tool.when and not tool.dry_run and tool.approval == "none":
        message = (
            f"tool {placed.name} changes something, and any event's text may talk Claude into it; say in when whose "
            "events may, or let people approve each call (approval: required)"
        )
        yield gathered.problem(Reason.TOOL_UNGUARDED, f"{field}.when", message, severity=Severity.WARNING)


def _check_request(gathered: Gathered, placed: PlacedTool, http: crd.HttpTool) -> Iterator[Problem]:
    try:
        placed.url()
    except ToolUrlRefused as refused:
        yield gathered.problem(Reason.INVALID_TOOL, f"{placed.field}.http.url", str(refused))
    for name in (*http.headers, *([http.secret_header.name] if http.secret_header else [])):
        if name.lower() in _OURS:
            message = f"header {name} is EventRoute's own; leave it out"
            yield gathered.problem(Reason.INVALID_TOOL, f"{placed.field}.http.headers", message)
    if found := placed.secret(gathered):
        yield from lint_text(gathered, found, "the header's value")


def list_tools(gathered: Gathered, position: int) -> tuple[LocalTool, ...]:
    """Write the table entries of a prompt's tools."""
    prefix = f"spec.prompts[{position}]."
    return tuple(_entry(gathered, placed) for placed in placed_tools(gathered) if placed.field.startswith(prefix))


def _entry(gathered: Gathered, placed: PlacedTool) -> LocalTool:
    tool = placed.tool
    if tool.http:
        return _request(gathered, placed, tool.http)
    if tool.route is None:
        raise TypeError(f"{placed.field} has no kind")  # the manifest's rules let none through
    return RouteTool(
        name=placed.name,
        description=placed.description,
        when=tool.when,
        input_schema=placed.input,
        dry_run=tool.dry_run,
        approval_s=_approval_s(tool),
        route=target_path(gathered, tool.route.name),
        event=tool.route.event,
    )


def _request(gathered: Gathered, placed: PlacedTool, http: crd.HttpTool) -> HttpTool:
    tool, found = placed.tool, placed.secret(gathered)
    return HttpTool(
        name=placed.name,
        description=placed.description,
        when=tool.when,
        input_schema=placed.input,
        dry_run=tool.dry_run,
        approval_s=_approval_s(tool),
        method=http.method,
        url=http.url,
        headers=http.headers,
        secret_header=(http.secret_header.name, value_of(found)) if http.secret_header and found else None,
        timeout_s=float(seconds(http.timeout)),
        max_bytes=http.max_bytes,
        side_effect=placed.has_side_effect,
        on_unknown=tool.on_unknown,
    )


def _approval_s(tool: crd.Tool) -> int:
    return seconds(tool.approval_timeout) if tool.approval == "required" else 0


def talk_limits(limits: crd.Limits) -> TalkLimits:
    """Write the table entry of limits."""
    return TalkLimits(
        turns=limits.turns,
        tool_calls=limits.tool_calls,
        tokens=limits.tokens,
        micro_usd=None if limits.usd is None else int(Decimal(limits.usd) * _MILLION),
        time_s=seconds(limits.time),
    )
