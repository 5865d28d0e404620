"""No expression and no payload may hold up a process, or end it."""

import threading
import time
from typing import Any

import pytest

from eventroute.expression import EvaluationError, Expression, ExpressionRefused, compile_expression


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("(" * 17 + "1" + ")" * 17, "brackets are nested deeper than 16"),
        ("[" * 190 + "]" * 190, "brackets are nested deeper"),
        ("(" * 390, "brackets are nested deeper"),
        ("'" + "x" * 1100 + "' == ''", "characters; at most 1024"),
        ("!" * 500 + "true", "words and signs; at most 400"),
        ("payload" + ".a" * 300, "words and signs"),
        ("1" + "+1" * 20 + " > 0", "additions; at most 16"),
        ("payload.a.all(x, x.all(y, y.all(z, true)))", "comprehensions are nested deeper than 2"),
        ("payload" + ".map(x, x)" * 5 + " == []", "more than 4 comprehensions"),
        (f"payload.s.matches('{'a' * 600}')", "too long or repeats too much"),
        (r"payload.s.matches('(\\w{100}){100}')", "too long or repeats too much"),
        ("payload.s.matches('a{1,9}{9,99}')", "too long or repeats too much"),
    ],
)
def test_an_expression_that_could_cost_too_much_is_refused(source: str, message: str) -> None:
    with pytest.raises(ExpressionRefused) as refused:
        compile_expression(source)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "source",
    [
        "(" * 16 + "true" + ")" * 16,
        "!" * 398 + "true",
        "true" + " && true" * 199,
        "true ? true : " * 60 + "true",
        "payload" + ".a" * 199 + " == 1",
        "[]" + " in []" * 190,
        "- " * 300 + "1 == 1",
    ],
)
def test_the_longest_allowed_expressions_fit_a_small_stack(source: str) -> None:
    def evaluate() -> None:
        try:
            done.append(compile_expression(source).test({"payload": {}}))
        except ExpressionRefused as refused:
            done.append(refused)

    done: list[object] = []
    before = threading.stack_size(512 * 1024)  # macOS gives threads no more
    try:
        thread = threading.Thread(target=evaluate)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert done


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("size(payload) > 0", ["x"] * 20_000),
        ("payload.s == 'x'", {"s": "x" * 300_000}),
        ("payload == []", nested(900)),
        ("payload.all(x, x == 1)", [1] * 5_000),
        ("payload.map(x, x).size() > 0", [1] * 5_000),
        ("payload.all(x, payload.all(y, x == y))", [1] * 500),
        ("payload.all(x, x.matches('^a{3}$'))", ["aaa"] * 1_000),
        ("(payload + payload + payload + payload).map(x, x).size() > 0", [1] * 1_000),
    ],
)
def test_an_evaluation_that_could_cost_too_much_is_not_begun(source: str, payload: Any) -> None:
    assert compile_expression(source).test({"payload": payload}) == (False, EvaluationError.TOO_LARGE)


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("payload.all(x, x == 1)", [1] * 1_500),
        ("payload.map(x, x).size() > 0", [1] * 1_500),
        ("payload.all(x, size(payload) > 0)", [1] * 1_500),
        ("payload.all(x, payload.all(y, size(payload) > 0))", [1] * 80),
        ("payload.exists(x, x.matches('^b')) || true", ["a"] * 200),
    ],
)
def test_the_dearest_allowed_evaluations_stay_below_the_estimate(source: str, payload: Any) -> None:
    expression = compile_expression(source)
    start = time.thread_time()
    assert expression.test({"payload": payload}).holds
    assert time.thread_time() - start < 1  # 0.25 s by the estimate, on a quiet machine


def test_what_an_expression_does_not_name_costs_nothing() -> None:
    payload = {"small": {"n": 1, "other": ["x"] * 50_000}, "huge": ["x"] * 50_000, "deep": nested(900)}
    assert compile_expression("payload.small.n == 1").test({"payload": payload}) == (True, None)


@pytest.mark.parametrize(
    ("most", "more"),
    [
        ("payload.s.matches('" + "a" * 510 + "')", "payload.s.matches('" + "a" * 511 + "')"),
        ("payload.s.matches('a{73}')", "payload.s.matches('a{74}')"),
        ("1" + "+1" * 16 + " > 0", "1" + "+1" * 17 + " > 0"),
        ("payload" + ".map(x, x)" * 4 + " == []", "payload" + ".map(x, x)" * 5 + " == []"),
        ("payload.all(x, x.all(y, true))", "payload.all(x, x.all(y, y.all(z, true)))"),
        ("(" * 16 + "true" + ")" * 16, "(" * 17 + "true" + ")" * 17),
        ("!" * 399 + "true", "!" * 400 + "true"),
        (f"'{'x' * 1016}' == ''", f"'{'x' * 1017}' == ''"),
    ],
    ids=["pattern", "repeats", "additions", "comprehensions", "nested", "brackets", "words", "characters"],
)
def test_a_limit_is_where_it_is_said_to_be(most: str, more: str) -> None:
    assert isinstance(compile_expression(most), Expression)
    with pytest.raises(ExpressionRefused):
        compile_expression(more)


@pytest.mark.parametrize(
    ("source", "most", "more"),
    [
        ("size(payload) > 0", ["x"] * 9_999, ["x"] * 10_000),
        ("payload.s == 'x'", {"s": "x" * 262_144}, {"s": "x" * 262_145}),
        ("payload == []", nested(63), nested(64)),
    ],
    ids=["values", "characters", "depth"],
)
def test_a_limit_of_what_is_looked_at_is_where_it_is_said_to_be(source: str, most: Any, more: Any) -> None:
    wanted = compile_expression(source)
    assert wanted.test({"payload": most}).error is None
    assert wanted.test({"payload": more}).error is EvaluationError.TOO_LARGE
