"""The JSON schema of a structured answer: what of JSON Schema the API takes, and whether an answer fits.

The API writes by the schema, but does not promise the capitals of an `enum`, nor anything of an answer that it broke
off; so each answer is read again here. A validator of all of JSON Schema would be the larger part: of its keywords
the API takes these few, without recursion, and none of them mends an enum's capitals. `format` is the API's business.
Source: platform.claude.com/docs/en/build-with-claude/structured-outputs, October 2026.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from eventroute.crd.scalar import bare
from eventroute.errors import Refused
from eventroute.expression import ExpressionRefused, compile_expression

MAX_BYTES: Final = 16_384
"""Of a schema as JSON: it is a part of every prompt. Arbitrary."""
_MAX_DEPTH: Final = 32
_MAX_WEIGHT: Final = 2_000
"""Of a schema with its references written out: the most that an answer may have to be compared with. Arbitrary."""
_MAX_OPTIONAL: Final = 24
_MAX_UNIONS: Final = 16

_ANNOTATIONS: Final = frozenset({"title", "description", "default"})
_OF_TYPE: Final = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems"}),
    "string": frozenset({"format", "pattern"}),
    "integer": frozenset[str](),
    "number": frozenset[str](),
    "boolean": frozenset[str](),
    "null": frozenset[str](),
}
_ANYWHERE: Final = _ANNOTATIONS | {"type", "enum", "const", "anyOf", "allOf", "$ref"}
_FORMATS: Final = frozenset({
    "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid",
})  # fmt: skip
_INSTEAD: Final = {"oneOf": "use anyOf", "definitions": "use $defs"}
_WORD_BOUNDARY: Final = re.compile(r"(?<!\\)(\\\\)*\\[bB]")

_Check = Callable[[Any, str], Any]
"""Takes a value and its path; returns it as the schema writes it, or raises `DoesNotFit`."""


_Trail = tuple[str | None, ...]
"""Names of the definitions that a subschema is in; None = an allOf."""


class SchemaRefused(Refused):
    """A schema that the API would refuse, or that says too much; `path` is where, such as `.properties.sum.minimum`."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class DoesNotFit(Exception):
    """An answer that does not fit; says where and what was wanted, and nothing of what the answer holds there."""


class AnswerSchema:
    """A schema made ready."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Compile; raises `SchemaRefused`."""
        if len(msgspec.json.encode(schema)) > MAX_BYTES:
            raise SchemaRefused("", f"is larger than {MAX_BYTES} bytes")
        if schema.get("type") != "object":
            raise SchemaRefused(".type", "must be object: an answer is an object, whose fields have names")
        builder = _Builder(schema)
        self._check, weight = builder.node({**schema, "$defs": None}, "", ())
        builder.check_all(weight)

    def read(self, text: str) -> Any:
        """Parse an answer, with each enum's value as the schema writes it; raises `DoesNotFit`."""
        try:
            return self._check(msgspec.json.decode(text), "$")
        except (msgspec.DecodeError, RecursionError) as error:
            raise DoesNotFit("it is not JSON") from error


class _Builder:
    """Compiles one schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        definitions = schema.get("$defs", {})
        if not isinstance(definitions, dict):
            raise SchemaRefused(".$defs", "must be an object of schemas")
        self._definitions: Mapping[str, Any] = definitions
        self._made: dict[str, tuple[_Check, int]] = {}
        self._optional = self._unions = 0

    def check_all(self, weight: int) -> None:
        """Refuse what is too much as a whole, and what stands in definitions that nobody refers to."""
        for name in self._definitions:
            self._definition(name, ())
        if self._optional > _MAX_OPTIONAL:
            raise SchemaRefused("", f"has {self._optional} fields that are not required; the API takes {_MAX_OPTIONAL}")
        if self._unions > _MAX_UNIONS:
            raise SchemaRefused("", f"has {self._unions} unions of types; the API takes {_MAX_UNIONS}")
        if weight > _MAX_WEIGHT:
            raise SchemaRefused("", "is too large with all that it refers to")

    def node(self, node: Any, path: str, trail: _Trail) -> tuple[_Check, int]:
        """Compile a subschema; returns its check, and how many there are in it."""
        if not isinstance(node, dict):
            raise SchemaRefused(path, "must be a schema, which is an object")
        if path.count(".") > _MAX_DEPTH:
            raise SchemaRefused(path, f"is nested deeper than {_MAX_DEPTH}")
        types = _types(node, path)
        _refuse_foreign(node, path, types)
        if "$ref" in node:
            return self._reference(node, path, trail)
        if isinstance(node.get("type"), list) or "anyOf" in node:
            self._unions += 1
        parts = [*_values_checks(node, path, types), *self._combined(node, path, trail)]
        if not parts:
            raise SchemaRefused(path, "needs a type, enum, const, anyOf, allOf or $ref")
        for kind, make in (("object", self._object), ("array", self._array)):
            if kind in types:
                parts.append(make(node, path, trail))
        return _all_of([check for check, _ in parts]), 1 + sum(weight for _, weight in parts)

    def _combined(self, node: Mapping[str, Any], path: str, trail: _Trail) -> Iterator[tuple[_Check, int]]:
        for keyword, combine, inner in (("anyOf", _any_of, trail), ("allOf", _all_of, (*trail, None))):
            if keyword in node:
                listed = enumerate(_list(node, keyword, path))
                made = [self.node(each, f"{path}.{keyword}[{index}]", inner) for index, each in listed]
                yield combine([check for check, _ in made]), sum(weight for _, weight in made)

    def _reference(self, node: Mapping[str, Any], path: str, trail: _Trail) -> tuple[_Check, int]:
        if None in trail:
            raise SchemaRefused(f"{path}.$ref", "is not supported by the API within allOf")
        target = node["$ref"]
        if others := sorted(node.keys() - _ANNOTATIONS - {"$ref"}):
            raise SchemaRefused(f"{path}.{others[0]}", "cannot stand beside $ref")
        name = target.removeprefix("#/$defs/") if isinstance(target, str) else ""
        if not isinstance(target, str) or target == name or name not in self._definitions:
            raise SchemaRefused(f"{path}.$ref", "must be #/$defs/ and a name that stands there")
        if name in trail:
            raise SchemaRefused(f"{path}.$ref", "leads back to itself, which the API does not support")
        return self._definition(name, trail)

    def _definition(self, name: str, trail: _Trail) -> tuple[_Check, int]:
        if name not in self._made:
            self._made[name] = self.node(self._definitions[name], f".$defs.{name}", (*trail, name))
        return self._made[name]

    def _object(self, node: Mapping[str, Any], path: str, trail: _Trail) -> tuple[_Check, int]:
        properties = node.get("properties", {})
        if not isinstance(properties, dict):
            raise SchemaRefused(f"{path}.properties", "must be an object of schemas")
        if node.get("additionalProperties") is not False:
            raise SchemaRefused(f"{path}.additionalProperties", "must be false")
        required = _list(node, "required", path, least=0) if "required" in node else []
        for index, name in enumerate(required):
            if not isinstance(name, str) or name not in properties:
                raise SchemaRefused(f"{path}.required[{index}]", f"is not one of the properties{_hint(name)}")
        self._optional += len(properties.keys() - set(required))
        made = {name: self.node(each, f"{path}.properties.{name}", trail) for name, each in properties.items()}
        fields = {name: check for name, (check, _) in made.items()}
        return _has_fields(fields, required), sum(of for _, of in made.values())

    def _array(self, node: Mapping[str, Any], path: str, trail: _Trail) -> tuple[_Check, int]:
        least = node.get("minItems", 0)
        if least not in (0, 1) or isinstance(least, bool):
            raise SchemaRefused(f"{path}.minItems", "may be 0 or 1")
        if "items" not in node:
            return _has_items(None, least), 0
        check, weight = self.node(node["items"], f"{path}.items", trail)
        return _has_items(check, least), weight


def _types(node: Mapping[str, Any], path: str) -> Sequence[str]:
    said = node.get("type", [])
    types = said if isinstance(said, list) else [said]
    if "type" in node and not types:
        raise SchemaRefused(f"{path}.type", "names no type")
    for each in types:
        if not isinstance(each, str) or each not in _OF_TYPE:
            raise SchemaRefused(f"{path}.type", f"must be of {', '.join(_OF_TYPE)}{_hint(each)}")
    return types


def _refuse_foreign(node: Mapping[str, Any], path: str, types: Sequence[str]) -> None:
    allowed = _ANYWHERE.union({"$defs"} if not path else (), *(_OF_TYPE[each] for each in types))
    for keyword in node:
        if keyword in allowed:
            continue
        of = next((kind for kind, keywords in _OF_TYPE.items() if keyword in keywords), None)
        instead = _INSTEAD.get(keyword, "say it in the description")
        message = f"belongs to type {of}" if of else f"is not supported by the API; {instead}"
        raise SchemaRefused(f"{path}.{keyword}", message)
    if "format" in node and node["format"] not in _FORMATS:
        raise SchemaRefused(f"{path}.format", f"must be one of {', '.join(sorted(_FORMATS))}")


def _list(node: Mapping[str, Any], keyword: str, path: str, *, least: int = 1) -> list[Any]:
    said = node[keyword]
    if not isinstance(said, list) or len(said) < least:
        raise SchemaRefused(f"{path}.{keyword}", "must be a list" if not least else "must be a list with an entry")
    return said


def _values_checks(node: Mapping[str, Any], path: str, types: Sequence[str]) -> Iterator[tuple[_Check, int]]:
    if types:
        yield _of_type(types), 0
    for keyword in ("enum", "const"):
        if keyword not in node:
            continue
        values = _list(node, "enum", path) if keyword == "enum" else [node["const"]]
        if any(isinstance(value, dict | list) for value in values):
            raise SchemaRefused(f"{path}.{keyword}", "may hold texts, numbers, true, false and null")
        _refuse_unfit(values, f"{path}.{keyword}", types)
        yield _one_of(values), 0
    if "pattern" in node:
        yield _pattern(node["pattern"], f"{path}.pattern"), 0


def _refuse_unfit(values: Sequence[Any], path: str, types: Sequence[str]) -> None:
    """Refuse a value that no answer can have, as it is of none of the types that are wanted."""
    for index, value in enumerate(values):
        if not types or any(_is(value, each) for each in types):
            continue
        place = path if path.endswith(".const") else f"{path}[{index}]"
        raise SchemaRefused(place, f"is {json.dumps(value)}, which is not of type {' or '.join(types)}{_hint(value)}")


def _hint(value: Any) -> str:
    """Say how a word became something else than a text, if this one may have."""
    if isinstance(value, bool):
        return f"; if a text is meant, put it {bare(value=value)}"
    return '; if a text is meant, write it in quotes: "null"' if value is None else ""


def _of_type(types: Sequence[str]) -> _Check:
    def check(value: Any, path: str) -> Any:
        if not any(_is(value, each) for each in types):
            raise DoesNotFit(f"{path} must be {' or '.join(types)}")
        return value

    return check


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return not isinstance(value, bool) and (
                isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            )


def _one_of(values: Sequence[Any]) -> _Check:
    """Find the value that is meant; capitals tell texts apart only where the schema has both."""

    def same(one: Any, other: Any) -> bool:
        return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)

    folded: dict[str, list[str]] = {}
    for value in values:
        if isinstance(value, str):
            folded.setdefault(value.casefold(), []).append(value)

    def check(value: Any, path: str) -> Any:
        if any(same(value, each) for each in values):
            return value
        alike = folded.get(value.casefold(), []) if isinstance(value, str) else []
        if len(alike) == 1:
            return alike[0]
        raise DoesNotFit(f"{path} must be one of {', '.join(map(json.dumps, values))}")

    return check


def _any_of(checks: Sequence[_Check]) -> _Check:
    def check(value: Any, path: str) -> Any:
        said: list[str] = []
        for each in checks:
            try:
                return each(value, path)
            except DoesNotFit as error:
                said.append(str(error))
        raise DoesNotFit(f"{path} fits none of its alternatives: {said[0]}")

    return check


def _all_of(checks: Sequence[_Check]) -> _Check:
    def check(value: Any, path: str) -> Any:
        for each in checks:
            value = each(value, path)
        return value

    return check


def _has_fields(fields: Mapping[str, _Check], required: Sequence[str]) -> _Check:
    def check(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            return value  # another of the node's types
        for name in required:
            if name not in value:
                raise DoesNotFit(f"{path}.{name} is missing")
        if value.keys() - fields.keys():
            raise DoesNotFit(f"{path} has a field that the schema does not know")
        return {name: fields[name](each, f"{path}.{name}") for name, each in value.items()}

    return check


def _has_items(item: _Check | None, least: int) -> _Check:
    def check(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            return value  # another of the node's types
        if len(value) < least:
            raise DoesNotFit(f"{path} must have an item")
        return [item(each, f"{path}[{index}]") if item else each for index, each in enumerate(value)]

    return check


def _pattern(pattern: Any, path: str) -> _Check:
    """Compile a pattern with the engine of expressions, which takes time in proportion to the text."""
    if not isinstance(pattern, str) or _WORD_BOUNDARY.search(pattern):
        raise SchemaRefused(path, "must be a regular expression without word boundaries")
    try:
        matches = compile_expression(f"payload.matches({json.dumps(pattern)})", frozenset({"payload"}))
    except ExpressionRefused as refused:
        raise SchemaRefused(path, f"cannot be used: {refused}") from refused

    def check(value: Any, where: str) -> Any:
        if isinstance(value, str) and not matches.test({"payload": value}).holds:
            raise DoesNotFit(f"{where} must match {pattern}")
        return value

    return check
