"""The tools of prompts: what is judged of them, and their table entries."""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from eventroute.answer_schema import AnswerSchema, SchemaRefused
from eventroute.compile.gathered import Found, Gathered, value_of
from eventroute.compile.secrets import lint_text
from eventroute.compile.verdict import Problem, Reason, Severity
from eventroute.crd import v1alpha1 as crd
from eventroute.crd.duration import seconds
from eventroute.route_table import HttpTool, TalkLimits
from eventroute.secret import Secret
from eventroute.tool import url_names
from eventroute.tool_url import ToolUrl, ToolUrlRefused

_OURS = frozenset({"idempotency-key", "content-type"})
_MILLION = 1_000_000


class PlacedTool(NamedTuple):
    """A tool, and where it stands in the manifest."""

    field: str
    tool: crd.Tool

    def url(self) -> ToolUrl:
        """Read its URL; raises `ToolUrlRefused`."""
        return ToolUrl(self.tool.http.url, url_names(self.tool.input))

    def secret(self, gathered: Gathered) -> Found[Secret] | None:
        """Find what its secret header refers to."""
        return gathered.tool_secrets.get(f"{self.field}.http.secretHeader.ref")

    @property
    def has_side_effect(self) -> bool:
        """Tell whether a call changes something: what the manifest says, or its method lets expect."""
        said = self.tool.side_effect
        return self.tool.http.method != "GET" if said is None else said


def placed_tools(gathered: Gathered) -> Iterator[PlacedTool]:
    """Go through the tools of all prompts."""
    for index, prompt in enumerate(gathered.spec.prompts):
        for number, tool in enumerate(prompt.tools):
            yield PlacedTool(f"spec.prompts[{index}].tools[{number}]", tool)


def check_tools(gathered: Gathered) -> Iterator[Problem]:
    """Find what is wrong with tools, but for their conditions and where they lead."""
    names: set[tuple[str, str]] = set()
    for placed in placed_tools(gathered):
        yield from _check(gathered, placed)
        name = (placed.field.rpartition(".")[0], placed.tool.name)
        if name in names:
            message = f'another tool of this prompt is called "{placed.tool.name}" too; give each a name of its own'
            yield gathered.problem(Reason.DUPLICATE_TOOL, f"{placed.field}.name", message)
        names.add(name)


def _check(gathered: Gathered, placed: PlacedTool) -> Iterator[Problem]:
    tool, field = placed.tool, placed.field
    try:
        AnswerSchema(tool.input)
    except SchemaRefused as refused:
        yield gathered.problem(Reason.INVALID_TOOL, f"{field}.input{refused.path}", str(refused))
    try:
        placed.url()
    except ToolUrlRefused as refused:
        yield gathered.problem(Reason.INVALID_TOOL, f"{field}.http.url", str(refused))
    for name in (*tool.http.headers, *([tool.http.secret_header.name] if tool.http.secret_header else [])):
        if name.lower() in _OURS:
            message = f"header {name} is EventRoute's own; leave it out"
            yield gathered.problem(Reason.INVALID_TOOL, f"{field}.http.headers", message)
    if found := placed.secret(gathered):
        yield from lint_text(gathered, found, "the header's value")
    if placed.has_side_effect and not tool.when and not tool.dry_run:
        message = (
            f"tool {tool.name} changes something, and any event's text may talk Claude into it; say in when whose "
            "events may"
        )
        yield gathered.problem(Reason.TOOL_UNGUARDED, f"{field}.when", message, severity=Severity.WARNING)


def list_tools(gathered: Gathered, position: int) -> tuple[HttpTool, ...]:
    """Write the table entries of a prompt's tools."""
    prefix = f"spec.prompts[{position}]."
    return tuple(_entry(gathered, placed) for placed in placed_tools(gathered) if placed.field.startswith(prefix))


def _entry(gathered: Gathered, placed: PlacedTool) -> HttpTool:
    tool, http, found = placed.tool, placed.tool.http, placed.secret(gathered)
    return HttpTool(
        name=tool.name,
        description=tool.description,
        when=tool.when,
        input_schema=tool.input,
        method=http.method,
        url=http.url,
        headers=http.headers,
        secret_header=(http.secret_header.name, value_of(found)) if http.secret_header and found else None,
        timeout_s=float(seconds(http.timeout)),
        max_bytes=http.max_bytes,
        side_effect=placed.has_side_effect,
        on_unknown=tool.on_unknown,
        dry_run=tool.dry_run,
    )


def talk_limits(limits: crd.Limits) -> TalkLimits:
    """Write the table entry of limits."""
    return TalkLimits(
        turns=limits.turns,
        tool_calls=limits.tool_calls,
        tokens=limits.tokens,
        micro_usd=None if limits.usd is None else int(Decimal(limits.usd) * _MILLION),
        time_s=seconds(limits.time),
    )
