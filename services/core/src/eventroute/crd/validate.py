"""From plain data to an EventRoute: every mistake becomes a field path and a sentence, never an exception.

Used for manifests in files and for objects of the API server alike; knows neither.
"""

import json
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from eventroute.crd.duration import PATTERN as DURATION
from eventroute.crd.scalar import bare, read_scalar
from eventroute.crd.v1alpha1 import (
    API_URL,
    GITHUB_LABEL,
    GITHUB_REPOSITORY,
    HTTP_URL,
    OBJECT_NAME,
    SLACK_ID,
    SQL_CHANNEL,
    SQL_TABLE,
    USD,
    EventRoute,
)
from eventroute.suggest import nearest

MAX_MISTAKES: Final = 20
"""Told of one object; a manifest with more is better read again from the start."""
_FEW: Final = 6
"""So many fields of an object are named where it is wanted; of a larger one those that are required. Arbitrary."""

Location = tuple[str | int, ...]

_FORMS: Final = {
    DURATION: "must be a duration such as 90s, 15m or 1h30m",
    OBJECT_NAME: "must be a name as Kubernetes has them: lower-case letters, digits, dashes and dots",
    HTTP_URL: "must be a URL with scheme and host, https://hooks.example.com/hooks/…",
    SLACK_ID: "must be an id, as Slack shows it below a channel's details: C024BE91L",
    GITHUB_REPOSITORY: "must be a repository, as owner/name",
    GITHUB_LABEL: "must be the name of a label: no commas, no line ends, no blank at its end",
    API_URL: "must be the URL of an API, without a slash at its end: https://ghe.example.com/api/v3",
    SQL_CHANNEL: "must be a name that PostgreSQL takes without quotes, in lower case: new_answers",
    SQL_TABLE: "must be a name that PostgreSQL takes without quotes, in lower case: answers, or team.answers",
    USD: 'must be an amount of US dollars, in digits, such as "20" or "0.50"',
}
"""Pattern → what it asks for, where the pattern itself tells too little."""


class Mistake(NamedTuple):
    """One thing that an object may not say."""

    field: str
    """Dotted path, `spec.prompts[1].modle`; empty for the object itself."""
    message: str
    unknown_field: bool = False


def parse_route(data: Mapping[str, Any]) -> EventRoute | tuple[Mistake, ...]:
    """Read an EventRoute from JSON-like data; returns it, or what is wrong with it in the order of the fields."""
    try:
        return EventRoute.model_validate_json(msgspec.json.encode(data))  # JSON mode: strict, yet lists become tuples
    except ValidationError as error:
        details = error.errors(include_url=False)
        return tuple(_mistakes(details))[:MAX_MISTAKES]
    except (TypeError, ValueError, RecursionError):
        return (Mistake("", "not expressible as JSON"),)


def field_path(location: Sequence[str | int]) -> str:
    """Write a location as a dotted path."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _mistakes(details: Sequence[ErrorDetails]) -> Iterator[Mistake]:
    locations = [detail["loc"] for detail in details]
    for detail in details:
        location = detail["loc"]
        inner = any(len(other) > len(location) and other[: len(location)] == location for other in locations)
        if detail["type"] == "too_short" and inner:
            continue  # Pydantic counts only the items that were valid
        yield _mistake(detail)


def _mistake(detail: ErrorDetails) -> Mistake:
    location = detail["loc"]
    field = field_path(location)
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            return Mistake(field, _unknown(location), unknown_field=True)
        case "missing":
            return Mistake(field, "is required")
        case "value_error":
            return Mistake(field, str(context["error"]))
        case "string_pattern_mismatch":
            form = _FORMS.get(context["pattern"], f"must match {context['pattern']}")
            return Mistake(field, form)
        case "string_type":
            return Mistake(field, f"must be a text{_in_quotes(detail['input'])}")
        case "literal_error" | "enum":
            return Mistake(field, f"must be {context['expected']}{_meant(detail['input'], context['expected'])}")
        case "model_type":
            return Mistake(field, f"must be an object {_with_fields(location)}")
        case "too_short" | "too_long":
            return Mistake(field, _size(context))
        case _:
            message = detail["msg"].removeprefix("Input ").replace("Input should", "should")
            return Mistake(field, re.sub(r"^(String|Value) ", "", message).replace("should be", "must be"))


def _unknown(location: Location) -> str:
    name = str(location[-1])
    if name in {"true", "false"}:
        return f"unknown field; if it is called otherwise, write its name {bare(value=name == 'true')}"
    return f"unknown field{nearest(name, _siblings(location))}"


def _size(context: Mapping[str, Any]) -> str:
    limit = context.get("min_length", context.get("max_length"))
    bound = "at least" if "min_length" in context else "at most"
    return f"must have {bound} {limit} item{'' if limit == 1 else 's'}"


def _in_quotes(value: object) -> str:
    """Say how what was read as something else becomes the text that was meant; nothing where none can be."""
    if isinstance(value, bool):
        return f", {bare(value=value)}"
    if isinstance(value, int | float):
        return f', in quotes: "{value}"'
    return ""


def _meant(value: object, expected: str) -> str:
    """Say which of the expected words, written without quotes, became this boolean."""
    words = [word for word in re.findall(r"'([^']*)'", expected) if read_scalar(word) is value]
    return f", in quotes: YAML reads a bare {words[0]} as {json.dumps(value)}" if words else ""


def _with_fields(location: Location) -> str:
    """Name the fields of the object that stands at a location, or, of many, those that it needs."""
    model = _model_at(location)
    fields = model.model_fields if model else {}
    names = {info.alias or name: info.is_required() for name, info in fields.items()}
    if not names:
        return "without fields: {}"
    if len(names) <= _FEW:
        return f"with {', '.join(names)}"
    needed = [name for name, is_needed in names.items() if is_needed]
    return f"with {', '.join(needed or list(names)[:_FEW])}, …"


def _siblings(location: Location) -> list[str]:
    """Name the fields that the object around a location has."""
    model = _model_at(location[:-1])
    return [info.alias or name for name, info in model.model_fields.items()] if model else []


def _model_at(location: Location) -> type[BaseModel] | None:
    """Find the model of the object at a location."""
    model: type[BaseModel] | None = EventRoute
    for part in location:
        if model is None or isinstance(part, int):
            continue
        found = [info for name, info in model.model_fields.items() if (info.alias or name) == part]
        model = _model_in(found[0].annotation) if found else None
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Find the model within `Model | None` or `tuple[Model, ...]`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next(filter(None, map(_model_in, typing.get_args(annotation))), None)
