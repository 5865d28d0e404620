"""From Pydantic's JSON schema to the structural schema that Kubernetes takes: what it cannot say is refused.

Refused are free-form objects but those marked so, alternatives of different types, cycles, and what would cost the API
server or its users too much: a text, list or map without a maximum, a field without a description. Defaults stay in the
models: they can then change without rewriting stored objects.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from eventroute.errors import Refused

_DROPPED: Final = frozenset(
    {"title", "default", "$defs", "additionalProperties", "properties", "items", "const", "anyOf"}
)
"""Said otherwise below, or of no use to Kubernetes."""
_KEPT: Final = (
    *("description", "type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "exclusiveMinimum"),
    *("maximum", "exclusiveMaximum", "minItems", "maxItems", "maxProperties", "required"),
    "x-kubernetes-preserve-unknown-fields",
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations"),
)
"""In the order in which they are written."""

ANY_FORM: Final = "x-kubernetes-preserve-unknown-fields"
"""Says of an object that it is of any form on purpose, and judged elsewhere."""

Schema = dict[str, Any]


class NotStructural(Refused):
    """A field that a structural schema cannot say; the message names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")


def structural_schema(model: type[BaseModel], field: str) -> Schema:
    """Translate a model.

    field   what messages call it, `spec`
    raises  NotStructural
    """
    schema = model.model_json_schema(by_alias=True)
    return _Translation(schema.get("$defs", {})).node(schema, field, ())


class _Translation:
    """One run over one schema."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions
        self._translators: Mapping[str, Callable[[Schema, str, tuple[str, ...]], Schema]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._number,
            "number": self._number,
            "boolean": self._boolean,
        }

    def node(self, schema: Schema, field: str, trail: tuple[str, ...]) -> Schema:
        """Translate one field; `trail` names the definitions that it is inside of."""
        schema, trail = self._resolved(schema, field, trail)
        kind = schema.get("type")
        if not isinstance(kind, str) or kind not in self._translators:
            raise NotStructural(field, f"has no single type ({kind or 'anything'})")
        strange = schema.keys() - _DROPPED - set(_KEPT)
        if strange:
            raise NotStructural(field, f"{min(strange)} has no place in a structural schema")
        inner = self._translators[kind](schema, field, trail)
        return {**{key: schema[key] for key in _KEPT if key in schema}, **inner}

    def _resolved(self, schema: Schema, field: str, trail: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """Replace references by what they mean, and `X or null` by X, as null is no value in manifests."""
        while True:
            alternatives = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
            if "anyOf" in schema and len(alternatives) != 1:
                raise NotStructural(field, "may be of different types")
            if alternatives:
                schema = {**alternatives[0], **_without(schema, "anyOf")}
            elif "$ref" in schema:
                name = schema["$ref"].rpartition("/")[2]
                if name in trail:
                    raise NotStructural(field, f"{name} contains itself")
                trail = (*trail, name)
                schema = {**self._definitions[name], **_without(schema, "$ref")}
            else:
                return schema, trail

    def _object(self, schema: Schema, field: str, trail: tuple[str, ...]) -> Schema:
        if schema.get(ANY_FORM):
            return {}
        others = schema.get("additionalProperties", "properties" not in schema)
        if others and "properties" in schema:
            raise NotStructural(field, "has named fields and others")
        if isinstance(others, dict):
            _require_limit(schema, "maxProperties", field)
            return {"additionalProperties": self.node(others, f"{field}[*]", trail)}
        if others:
            raise NotStructural(field, "is an object of any form")
        properties: Schema = {}
        for name, inner in schema.get("properties", {}).items():
            translated = self.node(inner, f"{field}.{name}", trail)
            if not translated.get("description"):
                raise NotStructural(f"{field}.{name}", "has no description")
            properties[name] = translated
        return {"properties": properties} if properties else {}

    def _array(self, schema: Schema, field: str, trail: tuple[str, ...]) -> Schema:
        _require_limit(schema, "maxItems", field)
        if not isinstance(schema.get("items"), dict) or "prefixItems" in schema:
            raise NotStructural(field, "is a list of anything")
        list_type = {} if "x-kubernetes-list-type" in schema else {"x-kubernetes-list-type": "atomic"}
        return {**list_type, "items": self.node(schema["items"], f"{field}[]", trail)}

    def _string(self, schema: Schema, field: str, _trail: tuple[str, ...]) -> Schema:
        if "const" in schema:
            return {"enum": [schema["const"]]}
        if "enum" not in schema:
            _require_limit(schema, "maxLength", field)
        return {}

    def _number(self, schema: Schema, _field: str, _trail: tuple[str, ...]) -> Schema:
        """Bounds that are excluded are a flag beside the bound in Kubernetes' dialect."""
        return dict(_excluded_bounds(schema))

    def _boolean(self, _schema: Schema, _field: str, _trail: tuple[str, ...]) -> Schema:
        return {}


def _excluded_bounds(schema: Schema) -> Iterator[tuple[str, Any]]:
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if exclusive in schema:
            yield bound, schema[exclusive]
            yield exclusive, True


def _require_limit(schema: Schema, limit: str, field: str) -> None:
    if limit not in schema:
        raise NotStructural(field, f"has no {limit}")


def _without(schema: Schema, key: str) -> Schema:
    return {name: value for name, value in schema.items() if name != key}
