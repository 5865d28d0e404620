"""What an evaluation gives: a truth or a text, or a named error that counts as neither."""

from typing import Any

import pytest

from eventroute.expression import EvaluationError, Text, compile_expression

PAYLOAD: dict[str, Any] = {
    "n": 3,
    "f": 1.5,
    "s": "text",
    "t": True,
    "nothing": None,
    "list": [1, "a"],
    "empty": "",
    "big": 2**70,
    "long": "x" * 1025,
}


def scope(**payload: Any) -> dict[str, Any]:
    return {"payload": {**PAYLOAD, **payload}, "event": "e", "headers": {}, "route": {}}


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("payload.nope == 1", EvaluationError.MISSING_FIELD),
        ("payload.nope.deeper == 1", EvaluationError.MISSING_FIELD),
        ("payload.list[5] == 1", EvaluationError.MISSING_FIELD),
        ("headers['x'] == '1'", EvaluationError.MISSING_FIELD),
        ("payload.n + payload.s == 1", EvaluationError.TYPE_MISMATCH),
        ("payload.s.deeper == 1", EvaluationError.TYPE_MISMATCH),
        ("payload.s > 1", EvaluationError.TYPE_MISMATCH),
        ("payload.n / 0 == 1", EvaluationError.ARITHMETIC),
        ("9223372036854775807 + payload.n > 0", EvaluationError.ARITHMETIC),
        ("int(payload.s) == 1", EvaluationError.INVALID_VALUE),
        ("timestamp(payload.s) > timestamp('2026-01-01T00:00:00Z')", EvaluationError.INVALID_VALUE),
        ("payload.s", EvaluationError.WRONG_RESULT),
        ("payload.n", EvaluationError.WRONG_RESULT),
        ("payload.nothing", EvaluationError.WRONG_RESULT),
    ],
)
def test_an_error_does_not_match_and_has_a_name(source: str, error: EvaluationError) -> None:
    assert compile_expression(source).test(scope()) == (False, error)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("payload.s", Text("text")),
        ("payload.n", Text("3")),
        ("payload.big - payload.big == 0.0 ? string(payload.n) : ''", Text("3")),
        ("payload.s + '/' + string(payload.n)", Text("text/3")),
        ("payload.nothing", Text(None)),
        ("payload.empty", Text(None)),
        ("payload.nope", Text(None, EvaluationError.MISSING_FIELD)),
        ("payload.t", Text(None, EvaluationError.WRONG_RESULT)),
        ("payload.f", Text(None, EvaluationError.WRONG_RESULT)),
        ("payload.list", Text(None, EvaluationError.WRONG_RESULT)),
        ("payload.long", Text(None, EvaluationError.TOO_LARGE)),
    ],
)
def test_a_text_is_a_text_or_a_whole_number(source: str, text: Text) -> None:
    assert compile_expression(source).text(scope()) == text


def test_has_asks_without_an_error() -> None:
    assert compile_expression("has(payload.nope) && payload.nope == 1").test(scope()) == (False, None)


def test_a_definite_answer_outweighs_an_error_beside_it() -> None:
    assert compile_expression("payload.nope == 1 || payload.n == 3").test(scope()) == (True, None)


def test_a_payload_need_not_be_an_object() -> None:
    assert compile_expression("payload == 'just text'").test({"payload": "just text"}).holds
    assert compile_expression("payload.a == 1").test({"payload": [1]}).error
    assert compile_expression("payload == null").test({"payload": None}).holds
