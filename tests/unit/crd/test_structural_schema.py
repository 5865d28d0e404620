"""What a structural schema cannot say is refused by name; what it can is translated."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from eventroute.crd.structural import NotStructural, structural_schema

TEXT = Field(max_length=5, description="A text.")


class Inner(BaseModel):
    """Something with a text."""

    text: str = TEXT


class Cycle(BaseModel):
    """Something that holds others of its kind."""

    inner: "Cycle | None" = Field(default=None, description="Another one.")


class Loose(BaseModel):
    """Something with fields that nobody knows."""

    model_config = ConfigDict(extra="allow")
    text: str = TEXT


class Both(BaseModel):
    """Something with one known field, and texts under any name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, bool] = Field(init=False)
    text: str = TEXT


def schema_of(annotation: Any, field: Any) -> dict[str, Any]:
    namespace = {"__annotations__": {"value": annotation}, "value": field, "__doc__": "A thing."}
    schema = structural_schema(type("Thing", (BaseModel,), namespace), "spec")
    translated: dict[str, Any] = schema["properties"]["value"]
    return translated


@pytest.mark.parametrize(
    ("annotation", "field", "message"),
    [
        (str, Field(max_length=5), "spec.value: has no description"),
        (str, Field(description="Any."), "spec.value: has no maxLength"),
        (tuple[Inner, ...], Field(description="Any."), "spec.value: has no maxItems"),
        (list[Any], Field(max_length=5, description="Any."), "spec.value[]: has no single type (anything)"),
        (tuple[str, ...], Field(max_length=5, description="Any."), "spec.value[]: has no maxLength"),
        (tuple[bool, int], Field(max_length=2, description="Any."), "prefixItems has no place in a structural schema"),
        (dict[str, bool], Field(description="Any."), "spec.value: has no maxProperties"),
        (dict[str, Any], Field(description="Any."), "spec.value: is an object of any form"),
        (Any, Field(description="Any."), "spec.value: has no single type (anything)"),
        (str | int, Field(description="Any."), "spec.value: may be of different types"),
        (str | int | None, Field(description="Any."), "spec.value: may be of different types"),
        (bytes, Field(max_length=5, description="Any.", json_schema_extra={"readOnly": True}), "readOnly has no place"),
        (Cycle, Field(description="Any."), "spec.value.inner: Cycle contains itself"),
        (Loose, Field(description="Any."), "spec.value: has named fields and others"),
        (Both, Field(description="Any."), "spec.value: has named fields and others"),
        (Annotated[str, Field(max_length=5)], Field(description=""), "spec.value: has no description"),
    ],
)
def test_what_cannot_be_said_is_refused_with_the_fields_name(annotation: Any, field: Any, message: str) -> None:
    with pytest.raises(NotStructural) as refused:
        schema_of(annotation, field)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("annotation", "bounds", "expected"),
    [
        (str, {"max_length": 5, "min_length": 1, "pattern": "^a"}, {"pattern": "^a", "minLength": 1, "maxLength": 5}),
        (str | None, {"default": "x", "max_length": 5}, {"maxLength": 5}),
        (Literal["a"], {}, {"enum": ["a"]}),
        (Literal["a", "b"], {}, {"enum": ["a", "b"]}),
        (int, {"default": 3, "ge": 1, "le": 5}, {"type": "integer", "minimum": 1, "maximum": 5}),
        (float, {"gt": 0, "lt": 5}, {"minimum": 0, "exclusiveMinimum": True, "maximum": 5, "exclusiveMaximum": True}),
        (dict[str, bool], {"max_length": 3}, {"maxProperties": 3, "additionalProperties": {"type": "boolean"}}),
    ],
)
def test_a_field_is_translated(annotation: Any, bounds: dict[str, Any], expected: dict[str, Any]) -> None:
    translated = schema_of(annotation, Field(**bounds, description="Any."))
    assert {**translated, **expected} == translated
    assert not {"default", "title", "anyOf", "const"} & translated.keys()


def test_an_object_stands_in_the_place_of_its_reference_and_keeps_the_fields_words() -> None:
    expected = {"text": {"description": "A text.", "type": "string", "maxLength": 5}}
    translated = schema_of(Inner | None, Field(default=None, description="Which one."))
    assert translated == {
        "description": "Which one.",
        "type": "object",
        "required": ["text"],
        "properties": expected,
    }


def test_lists_are_replaced_as_a_whole_unless_they_say_otherwise() -> None:
    plain = schema_of(tuple[bool, ...], Field(max_length=3, description="Any."))
    assert plain["x-kubernetes-list-type"] == "atomic"
    marked = Field(max_length=3, description="Any.", json_schema_extra={"x-kubernetes-list-type": "set"})
    assert schema_of(tuple[bool, ...], marked)["x-kubernetes-list-type"] == "set"
