"""The resource as a page for people: fields, rules, columns, conditions, reasons; made of what the API server gets."""

from collections.abc import Iterator
from typing import Any, Final

from eventroute.crd.definition import COLUMNS, NAME, build_schema
from eventroute.crd.duration import PATTERN
from eventroute.crd.rules import KEYWORD
from eventroute.crd.status import CONDITIONS, REASONS, ConditionType
from eventroute.outcome import WHAT_TO_DO

_HEAD: Final = f"""\
# EventRoute, eventroute.dev/v1alpha1

Generated from the models by `make generate`; do not edit. Short name `er`, category `agents`,
CustomResourceDefinition [`{NAME}`](eventroute.dev_eventroutes.yaml). Providers are listed in
[PROVIDERS.md](../../services/PROVIDERS.md); routes to copy from are in [samples](../samples).

A field that is left out has its default, and `null` is not a value. Durations are written `90s`, `15m`, `1h30m`: whole
seconds, minutes and hours. References name objects of the route's own namespace. Unknown fields are refused by
`kubectl apply` and by `eventroute lint`; a client that asks the API server for less has them dropped.
"""

_RULES: Final = """
## Rules

What the API server checks beyond single fields, with the message that it answers:

"""

_COLUMNS: Final = """
## Columns of `kubectl get er`

| column | from | shows |
|---|---|---|
"""

_CONDITIONS: Final = """
## Conditions

Each has `observedGeneration`; `lastTransitionTime` moves only when the status flips. To wait for a route to be live:
`kubectl wait --for=condition=Ready er/NAME`.

"""

_DEAD_LETTERS: Final = """
## Dead letters

A delivery that was given up is kept for 30 days, with its reason. `eventroute dead list` shows them, `eventroute
explain ID` tells the story of one, `eventroute dead replay` runs them again and `eventroute dead discard` removes them.

| reason | what to do |
|---|---|
"""

_FIELDS_HEAD: Final = "| field | type | default | meaning |\n|---|---|---|---|\n"
_REASONS_HEAD: Final = "| status | reason | meaning | what to do |\n|---|---|---|---|\n"

_MAX_NAMES: Final = 8
"""Of an enumeration that fits into a cell; the list of providers has a page of its own."""

Schema = dict[str, Any]


def build_reference() -> str:
    """Write the page."""
    properties = build_schema()["properties"]
    objects = [each for name in ("spec", "status") for each in _objects(properties[name], name)]
    return "".join(
        [
            _HEAD,
            *(_fields(path, schema) for path, schema in objects),
            _RULES,
            *(f"- `{path}`: {rule['message']}\n" for path, rule in _rules(properties["spec"], "spec")),
            _COLUMNS,
            *(f"| {_column_name(each)} | `{each['jsonPath']}` | {each['description']} |\n" for each in COLUMNS),
            _CONDITIONS,
            *(f"- `{condition}`: {CONDITIONS[condition]}\n" for condition in ConditionType),
            *map(_reasons, ConditionType),
            _DEAD_LETTERS,
            *(f"| `{reason}` | {_cell(advice)} |\n" for reason, advice in WHAT_TO_DO.items()),
        ]
    )


def _objects(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Find the objects with fields, outer ones first, the fields of one in their order."""
    if "properties" in schema:
        yield path, schema
        for name, inner in schema["properties"].items():
            is_list = inner["type"] == "array"
            yield from _objects(inner["items"] if is_list else inner, f"{path}.{name}{'[]' if is_list else ''}")


def _fields(path: str, schema: Schema) -> str:
    required = schema.get("required", ())
    rows = (_field_row(name, inner, is_required=name in required) for name, inner in schema["properties"].items())
    described, _ = _meaning_and_default(schema)
    return f"\n## `{path}`\n\n{described}\n\n{_FIELDS_HEAD}{''.join(rows)}"


def _field_row(name: str, schema: Schema, *, is_required: bool) -> str:
    meaning, default = _meaning_and_default(schema)
    default = "required" if is_required else default or "-"
    return f"| `{name}` | {_cell(_type(schema))} | {_cell(default)} | {_cell(meaning)} |\n"


def _meaning_and_default(schema: Schema) -> tuple[str, str]:
    """Take a description apart; descriptions end with `Default: …` or `Required.` here."""
    meaning, _, default = " ".join(str(schema.get("description", "")).split()).partition(" Default: ")
    return meaning.removesuffix(" Required."), default.removesuffix(".")


def _type(schema: Schema) -> str:
    """Name a field's type with its bounds, in the words of people."""
    if "enum" in schema:
        names = [f"`{each}`" for each in schema["enum"]]
        return ", ".join(names) if len(names) <= _MAX_NAMES else "name of a provider"
    if schema.get("pattern") == PATTERN:
        return "duration"
    match schema["type"]:
        case "array":
            return f"list of {schema.get('minItems', 0)} to {schema['maxItems']}, each {_type(schema['items'])}"
        case "string":
            return (
                "time"
                if schema.get("format") == "date-time"
                else f"text, length {schema.get('minLength', 0)} to {schema['maxLength']}"
            )
        case "integer" | "number":
            return f"{'whole number' if schema['type'] == 'integer' else 'number'}{_bounds(schema)}"
        case kind:
            return str(kind)


def _bounds(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if most is None:
        return ""
    return f", over {least} to {most}" if "exclusiveMinimum" in schema else f", {least} to {most}"


def _rules(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    for rule in schema.get(KEYWORD, ()):
        yield path, rule
    for name, inner in schema.get("properties", {}).items():
        yield from _rules(inner, f"{path}.{name}")
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")


def _column_name(column: Schema) -> str:
    return f"{column['name'].upper()}{' (`-o wide`)' if column.get('priority') else ''}"


def _reasons(condition: ConditionType) -> str:
    rows = [
        f"| {page.status} | `{reason}` | {_cell(page.meaning)} | {_cell(page.remedy)} |\n"
        for reason, page in REASONS.items()
        if condition in page.conditions
    ]
    others = (
        "" if condition is not ConditionType.READY else "When false: reason and message of the condition at fault.\n\n"
    )
    return f"\n### `{condition}`\n\n{others}{_REASONS_HEAD}{''.join(rows)}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
