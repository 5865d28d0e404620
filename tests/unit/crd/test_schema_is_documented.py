"""Every field says what it is and what it is by default, and nothing is unbounded: the API server asks for both."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from eventroute.crd import v1alpha1
from eventroute.crd.v1alpha1 import EventRoute

SCHEMA: dict[str, Any] = EventRoute.model_json_schema()
MODELS = [
    model
    for model in vars(v1alpha1).values()
    if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == v1alpha1.__name__
]


def _values(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if "type" in node:
            yield path, node
        for name, inner in node.items():
            yield from _values(inner, f"{path}.{name}")
    elif isinstance(node, list):
        for index, inner in enumerate(node):
            yield from _values(inner, f"{path}[{index}]")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_is_described_with_its_default(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        description = field.description or ""
        assert description.endswith((".", "`")), name
        if not field.is_required() and model is not v1alpha1.Sink:
            assert "Default: " in description, name


def test_texts_and_lists_are_bounded() -> None:
    unbounded = [
        path
        for path, value in _values(SCHEMA)
        if (value["type"] == "string" and not ({"maxLength", "enum", "const"} & value.keys()))
        or (value["type"] == "array" and "maxItems" not in value)
        or (value["type"] == "integer" and "maximum" not in value and not path.endswith("generation"))
    ]
    assert unbounded == []


def test_defaults_are_those_of_the_documentation() -> None:
    spec = v1alpha1.EventRouteSpec.model_validate_json('{"provider": "github"}')
    model = (spec.model.name, spec.model.max_tokens, spec.model.timeout)
    assert model == ("claude-haiku-5-5", 1024, "120s")
    assert (spec.retry.attempts, spec.retry.deadline) == (8, "24h")
    history = v1alpha1.History()
    assert (history.scope, history.keep, history.inject, history.ttl) == ("route", 50, 10, "720h")
    assert [sink.model_dump(exclude_none=True) for sink in spec.sinks] == [{"log": {}}]
    for name, field in v1alpha1.Model.model_fields.items():
        assert f"Default: {field.default}" in str(field.description) or field.default is None, name
