"""Schemas of structured answers: what the API refuses is refused with its place, and an answer is read by the rest."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventroute.answer_schema import AnswerSchema, DoesNotFit, SchemaRefused
from eventroute_cli.simulator.errors import ApiError
from eventroute_cli.simulator.schema import check_complexity, check_schema, example


def _object(required: list[Any] | None = None, **properties: Any) -> dict[str, Any]:
    wanted = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": wanted, "additionalProperties": False}


def _one(schema: Any, **root: Any) -> dict[str, Any]:
    return {**_object(x=schema), **root}


def _api_checks(schema: dict[str, Any]) -> None:
    check_schema(schema, "schema")
    check_complexity([schema], 0)


TEXT: dict[str, Any] = {"type": "string"}
UNION: dict[str, Any] = {"type": ["string", "null"]}
REFUSED: dict[str, tuple[Any, str]] = {
    "not an object": ({"type": "string"}, ".type"),
    "no type": ({"anyOf": [TEXT]}, ".type"),
    "open": ({"type": "object", "properties": {}}, ".additionalProperties"),
    "open within": (_one({"type": "object", "additionalProperties": True}), ".properties.x.additionalProperties"),
    "a bound": (_one({"type": "integer", "minimum": 1}), ".properties.x.minimum"),
    "a step": (_one({"type": "number", "multipleOf": 2}), ".properties.x.multipleOf"),
    "a length": (_one({"type": "string", "maxLength": 2}), ".properties.x.maxLength"),
    "a longest list": (_one({"type": "array", "items": TEXT, "maxItems": 2}), ".properties.x.maxItems"),
    "two items": (_one({"type": "array", "items": TEXT, "minItems": 2}), ".properties.x.minItems"),
    "an item that is no number": (_one({"type": "array", "minItems": True}), ".properties.x.minItems"),
    "oneOf": (_one({"oneOf": [TEXT]}), ".properties.x.oneOf"),
    "not": (_one({"type": "string", "not": {"const": "a"}}), ".properties.x.not"),
    "patternProperties": (_one({**_object(), "patternProperties": {}}), ".properties.x.patternProperties"),
    "a format that is none": (_one({"type": "string", "format": "colour"}), ".properties.x.format"),
    "a format of a number": (_one({"type": "number", "format": "date"}), ".properties.x.format"),
    "lookahead": (_one({"type": "string", "pattern": "a(?=b)"}), ".properties.x.pattern"),
    "back reference": (_one({"type": "string", "pattern": r"(a)\1"}), ".properties.x.pattern"),
    "word boundary": (_one({"type": "string", "pattern": r"\bword\b"}), ".properties.x.pattern"),
    "word boundary after a backslash": (_one({"type": "string", "pattern": r"\\\bword"}), ".properties.x.pattern"),
    "no pattern": (_one({"type": "string", "pattern": "("}), ".properties.x.pattern"),
    "foreign reference": (_one({"$ref": "https://example.com/a.json"}), ".properties.x.$ref"),
    "reference to nothing": (_one({"$ref": "#/$defs/a"}), ".properties.x.$ref"),
    "reference with company": (_one({"$ref": "#/$defs/a", "type": "string"}, **{"$defs": {"a": TEXT}}),
                               ".properties.x.type"),
    "reference within allOf": (_one({"allOf": [{"$ref": "#/$defs/a"}]}, **{"$defs": {"a": TEXT}}),
                               ".properties.x.allOf[0].$ref"),
    "reference deep within allOf": (
        _one({"allOf": [_object(y={"$ref": "#/$defs/a"})]}, **{"$defs": {"a": TEXT}}),
        ".properties.x.allOf[0].properties.y.$ref",
    ),
    "recursion": (_one({"$ref": "#/$defs/a"}, **{"$defs": {"a": _object(a={"$ref": "#/$defs/a"})}}),
                  ".$defs.a.properties.a.$ref"),
    "recursion of two": (
        _one({"$ref": "#/$defs/a"},
             **{"$defs": {"a": _object(b={"$ref": "#/$defs/b"}), "b": _object(a={"$ref": "#/$defs/a"})}}),
        ".$defs.b.properties.a.$ref",
    ),
    "a definition that nobody uses": (_object() | {"$defs": {"a": {"type": "string", "minLength": 1}}},
                                      ".$defs.a.minLength"),
    "definitions within": (_one({**_object(), "$defs": {}}), ".properties.x.$defs"),
    "an enum of objects": (_one({"enum": [{}]}), ".properties.x.enum"),
    "an enum of nothing": (_one({"enum": []}), ".properties.x.enum"),
    "a constant list": (_one({"const": []}), ".properties.x.const"),
    "a value of another type": (_one({"type": "string", "enum": ["a", False]}), ".properties.x.enum[1]"),
    "a constant of another type": (_one({"type": ["integer", "null"], "const": 1.5}), ".properties.x.const"),
    "a value of another type in an alternative": (
        _one({"anyOf": [{"type": "boolean", "enum": ["true"]}, TEXT]}), ".properties.x.anyOf[0].enum[0]"),
    "an unknown type": (_one({"type": "text"}), ".properties.x.type"),
    "required and unknown": (_object(["y"], x=TEXT), ".required[0]"),
    "anything": (_one({}), ".properties.x"),
    "no schema": (_one("string"), ".properties.x"),
    "too many optional": (_object([], **dict.fromkeys(map("f{}".format, range(25)), TEXT)), ""),
    "too many unions": (_object(None, **dict.fromkeys(map("f{}".format, range(17)), UNION)), ""),
    "too large": (_one({"type": "string", "description": "x" * 17_000}), ""),
}  # fmt: skip
OUR_OWN = {"not an object", "no type", "a definition that nobody uses",
           "too large", "reference with company", "definitions within",
           "an item that is no number", "a value of another type", "a constant of another type",
           "a value of another type in an alternative"}  # fmt: skip
"""What the API takes, as far as anybody knows, and we do not."""


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_api_refuses_is_refused_with_its_place(name: str) -> None:
    schema, path = REFUSED[name]
    with pytest.raises(SchemaRefused) as refused:
        AnswerSchema(schema)
    assert refused.value.path == path
    if name not in OUR_OWN:
        with pytest.raises(ApiError):
            _api_checks(schema)


YES = "; if a text is meant, put it in quotes: YAML reads a bare on, yes or y as true"
OFF = "; if a text is meant, put it in quotes: YAML reads a bare off, no or n as false"
NULL = '; if a text is meant, write it in quotes: "null"'


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (_one({"type": "string", "enum": ["maybe", True]}), f"is true, which is not of type string{YES}"),
        (_one({"type": "string", "const": False}), f"is false, which is not of type string{OFF}"),
        (_one({"type": ["string", "integer"], "enum": [1.5]}), "is 1.5, which is not of type string or integer"),
        (_one({"type": "string", "enum": [None]}), f"is null, which is not of type string{NULL}"),
        (_one({"type": ["string", None]}), f"null{NULL}"),
        (_object([True], true=TEXT), f"is not one of the properties{YES}"),
    ],
)  # fmt: skip
def test_a_word_that_became_another_value_is_told_so(schema: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaRefused) as refused:
        AnswerSchema(schema)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("node", "value"),
    [
        ({"type": "number", "enum": [1, 2.5]}, 2.5),
        ({"type": "integer", "const": 2.0}, 2),
        ({"enum": ["a", True, None]}, None),
    ],
)
def test_values_that_fit_a_type_are_taken(node: dict[str, Any], value: Any) -> None:
    text = msgspec.json.encode({"x": value}).decode()
    assert AnswerSchema(_one(node)).read(text) == {"x": value}


def test_a_schema_that_grows_by_its_references_is_refused() -> None:
    doubled = {f"d{number}": _object(a={"$ref": f"#/$defs/d{number + 1}"}, b={"$ref": f"#/$defs/d{number + 1}"})
               for number in range(30)}  # fmt: skip
    with pytest.raises(SchemaRefused, match="too large with all that it refers to"):
        AnswerSchema(_one({"$ref": "#/$defs/d0"}, **{"$defs": {**doubled, "d30": TEXT}}))


def test_a_schema_nested_too_deeply_is_refused_and_ends_nothing() -> None:
    schema: dict[str, Any] = TEXT
    for _ in range(200):
        schema = {"anyOf": [schema]}
    with pytest.raises(SchemaRefused, match="nested deeper"):
        AnswerSchema(_one(schema))


TICKET = _object(
    ["severity", "tags", "at"],
    severity={"enum": ["low", "High", 3, None]},
    tags={"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}, "minItems": 1},
    at={"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]},
    count={"type": "integer"},
    kind={"const": "Bug"},
    notes={"type": "array", "items": {"type": "string"}},
    share={"type": ["number", "boolean"]},
) | {"$defs": {"place": _object(city=TEXT)}, "title": "Ticket", "description": "What came in."}
FITS = {"severity": "low", "tags": ["a"], "at": None}


@pytest.mark.parametrize(
    ("changes", "read"),
    [
        ({}, {}),
        ({"severity": "LOW"}, {"severity": "low"}),
        ({"severity": "high"}, {"severity": "High"}),
        ({"severity": 3}, {"severity": 3}),
        ({"severity": None}, {"severity": None}),
        ({"kind": "bug"}, {"kind": "Bug"}),
        ({"count": 2.0}, {"count": 2.0}),
        ({"share": 0.5}, {"share": 0.5}),
        ({"share": True}, {"share": True}),
        ({"at": {"city": "Ulm"}}, {"at": {"city": "Ulm"}}),
        ({"notes": []}, {"notes": []}),
    ],
)
def test_an_answer_that_fits_is_read_with_its_enums_as_the_schema_writes_them(
    changes: dict[str, Any], read: dict[str, Any]
) -> None:
    text = msgspec.json.encode({**FITS, **changes}).decode()
    assert AnswerSchema(TICKET).read(text) == {**FITS, **read}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"severity": "lowest"}, '$.severity must be one of "low", "High", 3, null'),
        ({"severity": "3"}, '$.severity must be one of "low", "High", 3, null'),
        ({"severity": True}, '$.severity must be one of "low", "High", 3, null'),
        ({"tags": []}, "$.tags must have an item"),
        ({"tags": ["a", "B"]}, "$.tags[1] must match ^[a-z]+$"),
        ({"tags": "a"}, "$.tags must be array"),
        ({"at": {"city": 1}}, "$.at fits none of its alternatives: $.at.city must be string"),
        ({"at": {}}, "$.at fits none of its alternatives: $.at.city is missing"),
        ({"count": 2.5}, "$.count must be integer"),
        ({"count": True}, "$.count must be integer"),
        ({"share": "1"}, "$.share must be number or boolean"),
        ({"secret": 1}, "$ has a field that the schema does not know"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place_and_without_what_stands_there(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DoesNotFit) as error:
        AnswerSchema(TICKET).read(msgspec.json.encode({**FITS, **changes}).decode())
    assert str(error.value) == message


@pytest.mark.parametrize("text", ["", "Here it is: {}", "[]", "null", '{"severity": "low"', "[" * 100_000])
def test_what_is_no_json_object_does_not_fit(text: str) -> None:
    with pytest.raises(DoesNotFit):
        AnswerSchema(TICKET).read(text)


def test_capitals_tell_values_apart_where_the_schema_does() -> None:
    schema = AnswerSchema(_one({"enum": ["a", "A"]}))
    assert [schema.read(f'{{"x":"{each}"}}')["x"] for each in "aA"] == ["a", "A"]
    with pytest.raises(DoesNotFit):
        AnswerSchema(_one({"enum": ["ss", "SS"]})).read('{"x":"Ss"}')


def test_a_pattern_takes_no_more_time_than_its_text_is_long() -> None:
    schema = AnswerSchema(_one({"type": "string", "pattern": "^(a+)+$"}))
    with pytest.raises(DoesNotFit):
        schema.read(msgspec.json.encode({"x": "a" * 50_000 + "!"}).decode())


_LEAVES = st.sampled_from([TEXT, {"type": "integer"}, {"enum": ["Aa", 1]}, {"const": "Bb"},
                           {"type": ["null", "string"]},
                           {"type": "string", "format": "date"}, {"type": "string", "pattern": "^[a-z]+$"},
                           {"type": "string", "minLength": 1},
                           {"type": "array", "minItems": 1, "items": TEXT}, {}])  # fmt: skip
_SCHEMAS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(lambda items: {"anyOf": items}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda items: {"allOf": items}, st.lists(inner, min_size=1, max_size=1)),
        st.builds(lambda fields: _object([], **fields), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    ),
    max_leaves=8,
)


@given(_SCHEMAS)
def test_what_is_taken_the_api_takes_too_and_its_answer_fits(schema: dict[str, Any]) -> None:
    whole = _one(schema)
    try:
        ready = AnswerSchema(whole)
    except SchemaRefused:
        with pytest.raises(ApiError):
            _api_checks(whole)
        return
    _api_checks(whole)
    value = example(whole, "simulated")
    assert ready.read(msgspec.json.encode(value).decode()) == value
