"""What a structured answer may be asked to fit, and values that do."""

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

import pytest

from eventroute_cli.simulator.errors import ApiError
from eventroute_cli.simulator.schema import check_complexity, check_schema, example, swapped, violated


def closed(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties] if required is None else required,
        "additionalProperties": False,
    }


def many(schemas: Iterable[dict[str, Any]]) -> Any:
    return {f"p{number}": schema for number, schema in enumerate(schemas)}


STRING = {"type": "string"}

TAKEN: dict[str, dict[str, Any]] = {
    "plain": closed(a=STRING, b={"type": "integer"}, c={"type": "number"}, d={"type": "boolean"}, e={"type": "null"}),
    "annotated": {**closed(a={**STRING, "title": "A", "description": "of a", "default": "x"}), "title": "T"},
    "choices": closed(a={"enum": ["x", 1, None, True]}, b={"const": 3}, c={"anyOf": [STRING, {"type": "null"}]}),
    "both": {"allOf": [{**closed(a=STRING)}]},
    "types": closed(a={"type": ["string", "null"]}),
    "lists": closed(a={"type": "array", "items": STRING}, b={"type": "array", "items": STRING, "minItems": 1}),
    "formats": closed(
        **many(
            {**STRING, "format": name}
            for name in ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
        )
    ),
    "references": {**closed(a={"$ref": "#/$defs/item"}), "$defs": {"item": closed(b=STRING)}},
    "patterns": closed(a={**STRING, "pattern": "^[A-Z]{3}-[0-9]+$"}, b={**STRING, "pattern": "^v[0-9]"}),
    "optional": closed([], a=STRING, b=STRING),
}

REFUSED: dict[str, tuple[Any, str]] = {
    "no object": ("string", "valid dictionary"),
    "open": ({"type": "object", "properties": {"a": STRING}}, "'additionalProperties' must be explicitly set to false"),
    "no type": (closed(a={}), "properties.a: Schema must have a 'type'"),
    "unknown type": (closed(a={"type": "text"}), "type 'text' is not supported"),
    "minimum": (closed(a={"type": "integer", "minimum": 1}), "For 'integer' type, minimum not supported"),
    "lengths": (closed(a={**STRING, "minLength": 1, "maxLength": 2}), "maxLength, minLength not supported"),
    "multipleOf": (closed(a={"type": "number", "multipleOf": 2}), "multipleOf not supported"),
    "maxItems": (closed(a={"type": "array", "items": STRING, "maxItems": 3}), "maxItems not supported"),
    "minItems": (closed(a={"type": "array", "items": STRING, "minItems": 2}), "minItems: only 0 and 1"),
    "oneOf": (closed(a={"oneOf": [STRING]}), "properties.a: "),
    "patternProperties": ({**closed(), "patternProperties": {}}, "patternProperties not supported"),
    "format": (closed(a={**STRING, "format": "credit-card"}), "format: 'credit-card' is not supported"),
    "external": (closed(a={"$ref": "https://example.com/a.json"}), "external $ref"),
    "dangling": (closed(a={"$ref": "#/$defs/nothing"}), "does not exist"),
    "recursive": ({**closed(a={"$ref": "#/$defs/n"}), "$defs": {"n": closed(b={"$ref": "#/$defs/n"})}}, "recursive"),
    "reference in allOf": (
        {"allOf": [closed(a={"$ref": "#/$defs/n"})], "$defs": {"n": STRING}},
        "$ref within allOf is not supported",
    ),
    "object in enum": (closed(a={"enum": [{}]}), "only strings, numbers, booleans and null"),
    "empty enum": (closed(a={"enum": []}), "at least one value"),
    "look-ahead": (closed(a={**STRING, "pattern": "(?=a)"}), "only simple regular expressions"),
    "word boundary": (closed(a={**STRING, "pattern": r"\bword"}), "only simple regular expressions"),
    "back reference": (closed(a={**STRING, "pattern": r"(a)\1"}), "only simple regular expressions"),
    "no pattern": (closed(a={**STRING, "pattern": "("}), "pattern: "),
    "required": (closed(["b"], a=STRING), "required: 'b' is not in properties"),
    "crooked properties": ({**closed(), "properties": []}, "properties: "),
    "crooked required": ({**closed(), "required": 3}, "required: "),
    "crooked anyOf": (closed(a={"anyOf": 3}), "anyOf: "),
    "crooked definitions": ({**closed(), "$defs": [1]}, "$defs: "),
    "crooked enum": (closed(a={"enum": "abc"}), "enum: "),
}


KINDS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
FORMATS: dict[str, Callable[[str], object]] = {
    "date-time": datetime.fromisoformat,
    "time": time.fromisoformat,
    "date": date.fromisoformat,
    "duration": re.compile(r"P(T\d+H)$").match,
    "email": re.compile(r"\S+@\S+$").match,
    "hostname": re.compile(r"[a-z.]+$").match,
    "uri": re.compile(r"https://\S+$").match,
    "ipv4": IPv4Address,
    "ipv6": IPv6Address,
    "uuid": UUID,
}


def fits(value: Any, node: dict[str, Any], root: dict[str, Any]) -> bool:
    if "$ref" in node:
        return fits(value, root["$defs"][node["$ref"].removeprefix("#/$defs/")], root)
    kinds = node.get("type", [])
    properties = node.get("properties", {})
    allowed = properties if "additionalProperties" in node else value
    return all(
        (
            value == node.get("const", value),
            value in node.get("enum", [value]),
            not kinds or any(KINDS[kind](value) for kind in ([kinds] if isinstance(kinds, str) else kinds)),
            "anyOf" not in node or any(fits(value, child, root) for child in node["anyOf"]),
            all(fits(value, child, root) for child in node.get("allOf", [])),
            not isinstance(value, dict) or ({*allowed} >= value.keys() >= {*node.get("required", [])}),
            not isinstance(value, dict) or all(fits(value[name], properties.get(name, {}), root) for name in value),
            not isinstance(value, list) or len(value) >= node.get("minItems", 0),
            not isinstance(value, list) or all(fits(child, node.get("items", {}), root) for child in value),
            not isinstance(value, str) or re.search(node.get("pattern", ""), value),
            "format" not in node or FORMATS[node["format"]](value),
        )
    )


@pytest.mark.parametrize("name", TAKEN)
def test_what_the_api_takes_is_taken_and_an_example_fits(name: str) -> None:
    check_schema(TAKEN[name], "schema")
    assert fits(example(TAKEN[name], "some words"), TAKEN[name], TAKEN[name])


@pytest.mark.parametrize("name", ["plain", "choices", "references", "lists"])
def test_a_violated_value_does_not_fit(name: str) -> None:
    assert not fits(violated(example(TAKEN[name], "some words")), TAKEN[name], TAKEN[name])


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_api_does_not_take_is_refused_with_the_place(name: str) -> None:
    schema, message = REFUSED[name]
    with pytest.raises(ApiError, match=r"^schema") as caught:
        check_schema(schema, "schema")
    assert caught.value.status == 400
    assert message in caught.value.message


def test_a_schema_without_end_is_refused() -> None:
    deep: dict[str, Any] = STRING
    for _ in range(5000):
        deep = closed(a=deep)
    with pytest.raises(ApiError, match="too complex"):
        check_schema(deep, "schema")


@pytest.mark.parametrize(
    ("schemas", "strict", "refused"),
    [
        ([closed()], 20, False),
        ([closed()], 21, True),
        ([closed([], **many([STRING] * 12))] * 2, 2, False),
        ([closed([], **many([STRING] * 13))] * 2, 2, True),
        ([closed(**many([{"type": ["string", "null"]}] * 16))], 0, False),
        ([closed(**many([{"anyOf": [STRING]}] * 17))], 0, True),
    ],
)
def test_too_much_for_one_request_is_refused(schemas: list[dict[str, Any]], strict: int, *, refused: bool) -> None:
    if refused:
        with pytest.raises(ApiError, match="Schema is too complex"):
            check_complexity(schemas, strict)
    else:
        check_complexity(schemas, strict)


def test_only_enumerated_strings_change_their_case() -> None:
    schema = closed(a={"enum": ["High"]}, b={"type": "array", "items": {"enum": ["Low"]}}, c=STRING)
    assert swapped(schema, {"a": "High", "b": ["Low"], "c": "Words"}) == {"a": "hIGH", "b": ["lOW"], "c": "Words"}
