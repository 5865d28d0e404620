"""A tool made ready: whether an event has it, whether arguments fit it, and where its request goes.

What a manifest does not allow for an event cannot be called: Claude does not hear of it, and names it in vain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from eventroute.answer_schema import AnswerSchema
from eventroute.expression import Expression, compile_expression
from eventroute.route_table import HttpTool
from eventroute.talk import Offer
from eventroute.tool_url import ToolUrl

_IN_URLS: Final = frozenset({"string", "integer", "boolean"})


@dataclass(frozen=True, slots=True)
class Tool:
    """One of a prompt's."""

    rule: HttpTool
    condition: Expression | None
    schema: AnswerSchema
    url: ToolUrl

    @property
    def offer(self) -> Offer:
        """Say of it what Claude is told."""
        rule = self.rule
        return Offer(name=rule.name, description=rule.description, input_schema=rule.input_schema)

    def is_for(self, variables: Mapping[str, Any]) -> bool:
        """Tell whether an event has it; where its condition cannot be judged it has not."""
        return self.condition is None or self.condition.test(variables).holds

    def read(self, arguments: Any) -> dict[str, Any]:
        """Check arguments; raises `DoesNotFit`."""
        found: dict[str, Any] = self.schema.read(msgspec.json.encode(arguments).decode())
        return found


def prepare_tool(rule: HttpTool) -> Tool:
    """Compile; raises `Refused` for a table entry that no compiler let through."""
    return Tool(
        rule,
        compile_expression(rule.when) if rule.when else None,
        AnswerSchema(rule.input_schema),
        ToolUrl(rule.url, url_names(rule.input_schema)),
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
