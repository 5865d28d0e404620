"""From plain data to an EventRoute: every mistake becomes a field path and a sentence, never an exception.

Used for manifests in files and for objects of the API server alike; knows neither.
"""

import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from eventroute.crd.duration import PATTERN as DURATION
from eventroute.crd.v1alpha1 import HTTP_URL, OBJECT_NAME, EventRoute
from eventroute.suggest import nearest

MAX_MISTAKES: Final = 20
"""Told of one object; a manifest with more is better read again from the start."""

Location = tuple[str | int, ...]

_FORMS: Final = {
    DURATION: "must be a duration such as 90s, 15m or 1h30m",
    OBJECT_NAME: "must be a name as Kubernetes has them: lower-case letters, digits, dashes and dots",
    HTTP_URL: "must be a URL with scheme and host, https://hooks.example.com/hooks/…",
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
        details = error.errors(include_url=False, include_input=False)
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
            name = str(location[-1])
            return Mistake(field, f"unknown field{nearest(name, _siblings(location))}", unknown_field=True)
        case "missing":
            return Mistake(field, "is required")
        case "value_error":
            return Mistake(field, str(context["error"]))
        case "string_pattern_mismatch":
            form = _FORMS.get(context["pattern"], f"must match {context['pattern']}")
            return Mistake(field, form)
        case "literal_error" | "enum":
            return Mistake(field, f"must be {context['expected']}")
        case "too_short" | "too_long":
            limit = context.get("min_length", context.get("max_length"))
            bound = "at least" if "min_length" in context else "at most"
            return Mistake(field, f"must have {bound} {limit} item{'' if limit == 1 else 's'}")
        case _:
            message = detail["msg"].removeprefix("Input ").replace("Input should", "should")
            return Mistake(field, re.sub(r"^(String|Value) ", "", message).replace("should be", "must be"))


def _siblings(location: Location) -> list[str]:
    """Name the fields that the object at a location has."""
    model: type[BaseModel] | None = EventRoute
    for part in location[:-1]:
        if model is None or isinstance(part, int):
            continue
        found = [info for name, info in model.model_fields.items() if (info.alias or name) == part]
        model = _model_in(found[0].annotation) if found else None
    return [info.alias or name for name, info in model.model_fields.items()] if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Find the model within `Model | None` or `tuple[Model, ...]`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next(filter(None, map(_model_in, typing.get_args(annotation))), None)
