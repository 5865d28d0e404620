"""JSON schemas as the API takes them for structured outputs and strict tools: what it refuses, and a value that fits.

Source: platform.claude.com/docs/en/build-with-claude/structured-outputs, October 2026; the wordings are ours.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from eventroute_cli.simulator.errors import invalid

_ANNOTATIONS: Final = frozenset({"$defs", "default", "definitions", "description", "examples", "title"})
_KEYWORDS: Final = {
    "object": frozenset({"additionalProperties", "properties", "required"}),
    "array": frozenset({"items", "minItems"}),
    "string": frozenset({"format", "pattern"}),
    "integer": frozenset[str](),
    "number": frozenset[str](),
    "boolean": frozenset[str](),
    "null": frozenset[str](),
}
_CHOICES: Final = ("$ref", "allOf", "anyOf", "const", "enum")
_FORMATS: Final = {
    "date-time": "2026-11-30T12:00:00Z",
    "time": "12:00:00Z",
    "date": "2026-11-30",
    "duration": "PT1H",
    "email": "simulated@example.com",
    "hostname": "simulated.example.com",
    "uri": "https://simulated.example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_NO_SIMPLE_PATTERN: Final = re.compile(r"\(\?[=!<]|\\[1-9bB]")
"""Looking around, references back, and word boundaries."""

_SAMPLES: Final = (
    "", "a", "A", "1", "ab", "AB", "12", "abc", "ABC", "123", "abcd", "ABCD", "1234", "12345", "123456", "1.0", "1.0.0",
    "v1.0.0", "ABC-1", "ABC-123", "abc-def", "#1", "#abc", "#abcdef", "abc_def", "2026-11-30", "12:00", "+14155550100",
    "team/name", "simulated@example.com", "https://simulated.example.com/", "deadbeef", "deadbeef" * 5, "deadbeef" * 8,
)  # fmt: skip
"""Texts of which one fits most simple patterns; where none does, the answer violates its schema."""

_MAX_OPTIONAL: Final = 24
_MAX_UNIONS: Final = 16
_MAX_STRICT_TOOLS: Final = 20


def check_schema(schema: Any, where: str) -> None:
    """Refuse, with the API's 400, what cannot be compiled.

    where  what the message begins with, such as `output_config.format.schema`
    """
    if not isinstance(schema, dict):
        raise invalid(f"{where}: Input should be a valid dictionary or object")
    try:
        _check(schema, where, _definitions(schema, where), ())
    except RecursionError as error:
        raise invalid(f"{where}: Schema is too complex") from error


def check_complexity(schemas: list[dict[str, Any]], strict_tools: int) -> None:
    """Refuse what is too much for one request, over all of its schemas."""
    nodes = [node for schema in schemas for node in _walk(schema)]
    optional = sum(len(node.get("properties", {}).keys() - set(node.get("required", []))) for node in nodes)
    unions = sum("anyOf" in node or isinstance(node.get("type"), list) for node in nodes)
    if strict_tools > _MAX_STRICT_TOOLS or optional > _MAX_OPTIONAL or unions > _MAX_UNIONS:
        raise invalid("Schema is too complex. Reduce the number of strict tools, optional parameters and unions.")


def _definitions(schema: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    for place in ("$defs", "definitions"):
        if not isinstance(schema.get(place, {}), dict):
            raise invalid(f"{where}.{place}: Input should be a valid dictionary or object")
    return {
        f"#/{place}/{name}": value
        for place in ("$defs", "definitions")
        for name, value in schema.get(place, {}).items()
    }


def _check(node: Any, where: str, definitions: Mapping[str, Any], within: tuple[str, ...]) -> None:
    if not isinstance(node, dict):
        raise invalid(f"{where}: Input should be a valid dictionary or object")
    if "$ref" in node:
        _check_reference(node["$ref"], where, definitions, within)
        return
    kinds = node.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not kinds and not any(name in node for name in _CHOICES):
        raise invalid(f"{where}: Schema must have a 'type', 'anyOf', 'allOf', '$ref', 'enum' or 'const'")
    if unknown := [str(kind) for kind in kinds if not isinstance(kind, str) or kind not in _KEYWORDS]:
        raise invalid(f"{where}: type {unknown[0]!r} is not supported")
    allowed = _ANNOTATIONS.union(_CHOICES, ("type",), *(_KEYWORDS[kind] for kind in kinds))
    if refused := sorted(node.keys() - allowed):
        raise invalid(f"{where}: For {'|'.join(kinds) or 'any'!r} type, {', '.join(refused)} not supported")
    for name in ("allOf", "anyOf", "enum", "required"):
        if not isinstance(node.get(name, []), list):
            raise invalid(f"{where}.{name}: Input should be a valid list")
    _check_values(node, where)
    _check_members(node, where, kinds, definitions, within)


def _check_reference(name: Any, where: str, definitions: Mapping[str, Any], within: tuple[str, ...]) -> None:
    if not isinstance(name, str) or not name.startswith("#/"):
        raise invalid(f"{where}: external $ref is not supported")
    if name not in definitions:
        raise invalid(f"{where}: $ref {name!r} does not exist")
    if name in within:
        raise invalid(f"{where}: recursive schemas are not supported")
    _check(definitions[name], f"{where}.{name}", definitions, (*within, name))


def _check_values(node: Mapping[str, Any], where: str) -> None:
    values = node.get("enum", [])
    if "enum" in node and not values:
        raise invalid(f"{where}.enum: at least one value is required")
    if any(isinstance(value, dict | list) for value in (*values, node.get("const"))):
        raise invalid(f"{where}: only strings, numbers, booleans and null may stand in enum and const")
    if "format" in node and (not isinstance(node["format"], str) or node["format"] not in _FORMATS):
        raise invalid(f"{where}.format: {node['format']!r} is not supported")
    if node.get("minItems", 0) not in (0, 1):
        raise invalid(f"{where}.minItems: only 0 and 1 are supported")
    if "pattern" in node:
        _check_pattern(node["pattern"], where)


def _check_pattern(pattern: Any, where: str) -> None:
    if not isinstance(pattern, str) or _NO_SIMPLE_PATTERN.search(pattern):
        raise invalid(f"{where}.pattern: only simple regular expressions are supported")
    try:
        re.compile(pattern)
    except re.error as error:
        raise invalid(f"{where}.pattern: {error}") from error


def _check_members(
    node: Mapping[str, Any], where: str, kinds: list[str], definitions: Mapping[str, Any], within: tuple[str, ...]
) -> None:
    if "object" in kinds:
        if node.get("additionalProperties") is not False:
            raise invalid(f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false")
        properties = node.get("properties", {})
        if not isinstance(properties, dict):
            raise invalid(f"{where}.properties: Input should be a valid dictionary or object")
        if missing := [name for name in node.get("required", []) if name not in properties]:
            raise invalid(f"{where}.required: {missing[0]!r} is not in properties")
        for name, child in properties.items():
            _check(child, f"{where}.properties.{name}", definitions, within)
    if "array" in kinds and "items" in node:
        _check(node["items"], f"{where}.items", definitions, within)
    for name in ("anyOf", "allOf"):
        for index, child in enumerate(node.get(name, [])):
            if name == "allOf" and isinstance(child, dict) and any("$ref" in inner for inner in _walk(child)):
                raise invalid(f"{where}.allOf: $ref within allOf is not supported")
            _check(child, f"{where}.{name}.{index}", definitions, within)


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    """Yield a schema and all schemas in it."""
    if not isinstance(node, dict):
        return
    yield node
    members = [node.get("items"), *node.get("anyOf", []), *node.get("allOf", [])]
    for place in ("properties", "$defs", "definitions"):
        members += node.get(place, {}).values()
    for member in members:
        yield from _walk(member)


def example(schema: Mapping[str, Any], text: str) -> Any:
    """Make a value that fits a schema that `check_schema` let pass; `text` stands wherever any string does."""
    return _example(schema, text, _definitions(schema))


def _example(node: Mapping[str, Any], text: str, definitions: Mapping[str, Any]) -> Any:
    if "$ref" in node:
        return _example(definitions[node["$ref"]], text, definitions)
    if "const" in node:
        return node["const"]
    if "enum" in node:
        return node["enum"][0]
    if "anyOf" in node:
        return _example(node["anyOf"][0], text, definitions)
    if "allOf" in node:
        parts = [_example(child, text, definitions) for child in node["allOf"]]
        return {name: value for part in parts for name, value in part.items()} if _are_objects(parts) else parts[0]
    kinds = node.get("type")
    return _of_kind(kinds[0] if isinstance(kinds, list) else kinds, node, text, definitions)


def _are_objects(values: list[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)


def _of_kind(kind: Any, node: Mapping[str, Any], text: str, definitions: Mapping[str, Any]) -> Any:
    match kind:
        case "object":
            properties = node.get("properties", {})
            required = [name for name in properties if name in node.get("required", [])]
            order = [*required, *(name for name in properties if name not in required)]  # as the API has it
            return {name: _example(properties[name], text, definitions) for name in order}
        case "array":
            return [_example(node["items"], text, definitions)] if "items" in node else []
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _FORMATS[node["format"]] if "format" in node else _matching(node.get("pattern", ""), text)


def _matching(pattern: str, text: str) -> str:
    return next((sample for sample in (text, *_SAMPLES) if re.search(pattern, sample)), text)


def violated(value: Any) -> Any:
    """Make a value that no longer fits: an object loses its first field, anything else becomes a list of lists."""
    if isinstance(value, dict) and value:
        return dict(list(value.items())[1:])
    return [[value]]


def swapped(schema: Mapping[str, Any], value: Any) -> Any:
    """Write the strings that a schema enumerates in the other case, as the API may do."""
    listed = {item for node in _walk(schema) for item in node.get("enum", []) if isinstance(item, str)}

    def swap(item: Any) -> Any:
        if isinstance(item, dict):
            return {name: swap(child) for name, child in item.items()}
        if isinstance(item, list):
            return [swap(child) for child in item]
        return item.swapcase() if isinstance(item, str) and item in listed else item

    return swap(value)
