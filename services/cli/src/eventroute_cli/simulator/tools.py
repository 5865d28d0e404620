"""The tools that a request offers, and whether the model may, must or must not use them.

Source: platform.claude.com/docs/en/agents-and-tools/tool-use; types of the API's own tools as in the `anthropic` SDK
2.12.
"""

import re
from typing import Any, Final, Literal

import msgspec

from eventroute_cli.simulator.errors import invalid
from eventroute_cli.simulator.fields import named, objects, refuse_extra
from eventroute_cli.simulator.models import Model
from eventroute_cli.simulator.schema import check_schema

OWN_TYPES: Final = frozenset({
    "bash_20250124", "browser_toolset_20260801", "code_execution_20250522", "code_execution_20250825",
    "code_execution_20260120", "code_execution_20260521", "computer_toolset_20260801", "memory_20250818",
    "text_editor_20250124", "text_editor_20250429", "text_editor_20250728", "tool_search_tool_bm25",
    "tool_search_tool_bm25_20251119", "tool_search_tool_regex", "tool_search_tool_regex_20251119",
    "web_fetch_20250910", "web_fetch_20260209", "web_fetch_20260309", "web_fetch_20260318", "web_search_20250305",
    "web_search_20260209", "web_search_20260318",
})  # fmt: skip
"""Tools that the API defines itself: no schema, and nothing that the simulator would run."""

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_FIELDS: Final = frozenset({
    "allowed_callers", "cache_control", "defer_loading", "description", "eager_input_streaming", "input_examples",
    "input_schema", "name", "strict", "type",
})  # fmt: skip
_CHOICE_FIELDS: Final = {
    "auto": {"type", "disable_parallel_tool_use"},
    "any": {"type", "disable_parallel_tool_use"},
    "tool": {"type", "disable_parallel_tool_use", "name"},
    "none": {"type"},
}
_MAY_NOT_BE_FORCED: Final = "tool_choice: '{}' is not supported for this model. Use 'auto' with strict tools instead"


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool of the client."""

    name: str
    input_schema: dict[str, Any]
    strict: bool


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says of tools."""

    client: tuple[Tool, ...] = ()
    """Those of the API itself excepted."""
    choice: Literal["auto", "any", "tool", "none"] = "auto"
    chosen: str = ""
    """Which one, where the choice is `tool`."""
    parallel: bool = True

    @property
    def is_forced(self) -> bool:
        """Whether the answer has to be the use of a tool."""
        return self.choice in ("any", "tool")

    def find(self, name: str = "") -> Tool | None:
        """Find a tool, the first one where no name is given."""
        return next((tool for tool in self.client if name in ("", tool.name)), None)


def parse_tools(fields: dict[str, Any], model: Model, *, thinks: bool) -> Tools:
    """Read `tools` and `tool_choice`; raises `ApiError` in the API's words."""
    definitions = objects(fields, "tools")
    tools = tuple(_tool(item, f"tools.{index}") for index, item in enumerate(definitions) if not _is_own(item))
    names = [item["name"] for item in definitions if isinstance(item.get("name"), str)]
    if len(set(names)) < len(names):
        raise invalid("tools: Tool names must be unique.")
    choice = named(fields, "tool_choice")
    if not choice:
        return Tools(client=tools)
    kind = choice.get("type")
    if kind not in _CHOICE_FIELDS:
        raise invalid("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    refuse_extra(choice, _CHOICE_FIELDS[kind], f"tool_choice.{kind}")
    if not definitions:
        raise invalid("tool_choice: may only be specified while providing tools")
    if kind in ("any", "tool"):
        _check_forced(kind, model, thinks=thinks)
    if kind == "tool" and choice.get("name") not in names:
        raise invalid(f"tool_choice.tool.name: Tool {choice.get('name')!r} not found in provided tools")
    return Tools(
        client=tools,
        choice=kind,
        chosen=choice.get("name", ""),
        parallel=not choice.get("disable_parallel_tool_use", False),
    )


def _is_own(item: dict[str, Any]) -> bool:
    return item.get("type") in OWN_TYPES


def _tool(item: dict[str, Any], where: str) -> Tool:
    if item.get("type", "custom") not in ("custom", None):
        raise invalid(f"{where}: Input tag {item['type']!r} does not match any of the expected tags")
    refuse_extra(item, _FIELDS, where)
    name, schema, strict = item.get("name"), item.get("input_schema"), item.get("strict", False)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise invalid(f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    if schema is None:
        raise invalid(f"{where}.input_schema: Field required")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise invalid(f"{where}.input_schema.type: Input should be 'object'")
    if not isinstance(item.get("description", ""), str):
        raise invalid(f"{where}.description: Input should be a valid string")
    if not isinstance(strict, bool):
        raise invalid(f"{where}.strict: Input should be a valid boolean")
    if strict:
        check_schema(schema, f"{where}.input_schema")
    return Tool(name=name, input_schema=schema, strict=strict)


def _check_forced(kind: str, model: Model, *, thinks: bool) -> None:
    if not model.takes_forced_tools:
        raise invalid(_MAY_NOT_BE_FORCED.format(kind))
    if thinks:
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
