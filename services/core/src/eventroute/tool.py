"""A tool made ready: whether an event has it, whether arguments fit it, and where a request goes.

What a manifest does not allow for an event cannot be called: Claude does not hear of it, and names it in vain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from eventroute.answer_schema import AnswerSchema
from eventroute.expression import Expression, compile_expression
from eventroute.route_table import HttpTool, LocalTool, ServedTool
from eventroute.talk import Offer
from eventroute.tool_url import ToolUrl

_IN_URLS: Final = frozenset({"string", "integer", "boolean"})


@dataclass(frozen=True, slots=True)
class Tool:
    """One of a prompt's."""

    rule: LocalTool
    condition: Expression | None
    schema: AnswerSchema
    url: ToolUrl | None
    """Of one that is a request."""

    @property
    def offer(self) -> Offer:
        """Say of it what Claude is told."""
        rule = self.rule
        return Offer(name=rule.name, description=rule.description, input_schema=rule.input_schema)

    @property
    def may_be_unknown(self) -> bool:
        """Tell whether nobody can say, once its worker has died, if a call has changed something."""
        return isinstance(self.rule, HttpTool) and self.rule.side_effect

    @property
    def fails_unknown(self) -> bool:
        """Tell whether people are to look then."""
        return isinstance(self.rule, HttpTool) and self.rule.on_unknown == "fail"

    def is_for(self, variables: Mapping[str, Any]) -> bool:
        """Tell whether an event has it; where its condition cannot be judged it has not."""
        return self.condition is None or self.condition.test(variables).holds

    def read(self, arguments: Any) -> dict[str, Any]:
        """Check arguments; raises `DoesNotFit`."""
        found: dict[str, Any] = self.schema.read(msgspec.json.encode(arguments).decode())
        return found


@dataclass(frozen=True, slots=True)
class RemoteTool:
    """One that runs on the API's side."""

    rule: ServedTool
    condition: Expression | None

    def is_for(self, variables: Mapping[str, Any]) -> bool:
        """Tell whether an event has it; where its condition cannot be judged it has not."""
        return self.condition is None or self.condition.test(variables).holds


def prepare_remote(rule: ServedTool) -> RemoteTool:
    """Compile; raises `Refused` for a table entry that no compiler let through."""
    return RemoteTool(rule, compile_expression(rule.when) if rule.when else None)


def kind_of(rule: LocalTool) -> str:
    """Name the kind of a tool."""
    return str(type(rule).__struct_config__.tag)


def prepare_tool(rule: LocalTool) -> Tool:
    """Compile; raises `Refused` for a table entry that no compiler let through."""
    return Tool(
        rule,
        compile_expression(rule.when) if rule.when else None,
        AnswerSchema(rule.input_schema),
        ToolUrl(rule.url, url_names(rule.input_schema)) if isinstance(rule, HttpTool) else None,
    )


def url_names(schema: Mapping[str, Any]) -> frozenset[str]:
    """Name the arguments that may stand in a URL: required, and each a text, a whole number, or true and false."""
    properties = schema.get("properties")
    required = schema.get("required")
    if not isinstance(properties, dict) or not isinstance(required, list):
        return frozenset()
    return frozenset(
        name
        for name, about in properties.items()
        if name in required and isinstance(about, dict) and about.get("type") in _IN_URLS
    )
