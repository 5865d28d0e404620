"""Whatever the text and the payload, the answer is an expression or a refusal, a value or a named error."""

from typing import Any

import cel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventroute.expression import ExpressionRefused, compile_expression

FRAGMENTS = st.sampled_from(
    [
        *(
            "payload",
            "event",
            "x",
            ".",
            ".a",
            "['b']",
            "[0]",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            ",",
            "?",
            ":",
            "+",
            "-",
            "!",
        ),
        *(
            "==",
            "<",
            "&&",
            "||",
            " in ",
            "1",
            "2.5",
            "'t'",
            "b'\\xff'",
            "r'\\d'",
            '"""',
            "null",
            "true",
            "//",
            "\n",
            "\\",
        ),
        *("has(", "size(", "int(", "string(", "timestamp(", "duration(", ".exists(x,", ".map(x,", ".filter(x,"),
        *(".matches('", ".contains(", ".getFullYear()", "1u", "0x1F", "1e999", "9223372036854775808", "§", "\0", "😀"),
    ]
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "x", ""]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FRAGMENTS, max_size=14).map("".join) | st.text(max_size=60), JSON)
def test_nothing_raises_but_a_refusal(source: str, payload: Any) -> None:
    try:
        expression = compile_expression(source)
    except ExpressionRefused:
        return
    variables = {"payload": payload, "event": "e", "headers": {}, "route": {}}
    assert expression.test(variables).holds in {True, False}
    assert expression.text(variables).value is None or expression.text(variables).value != ""


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        [
            "payload.a == payload.b",
            "has(payload.a) && has(payload.a.b)",
            "has(payload.a.b) || payload.b == 1",
            "payload.a.b == payload['a']['x']",
            "payload.a[0] == payload.b[0]",
            "payload.a.exists(x, x == payload.b)",
            "payload.a.exists(a, a == payload.b)",
            "'b' in payload.a",
            "payload.a.size() > 0",
            "payload.a.b.contains('x') || payload.a.all(k, k == 'b')",
            "size(payload.a) > size(payload.a.b)",
            "payload == {} || payload.a == null",
        ]
    ),
    JSON,
)
def test_handing_in_only_the_named_fields_changes_no_answer(source: str, payload: Any) -> None:
    variables = {"payload": payload}
    try:
        whole: object = cel.evaluate(source, variables)
    except Exception:  # noqa: BLE001  # whatever it is, ours must be an error as well
        whole = None
    ours = compile_expression(source).test(variables)
    assert (None if ours.error else ours.holds) == whole
