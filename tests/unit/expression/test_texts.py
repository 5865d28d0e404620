"""What an evaluation may cost is told from the characters that it would touch, before it touches them."""

from typing import Any

import pytest

from eventroute.expression import _FUNCTIONS, _METHODS, EvaluationError, compile_expression
from support.growth import is_linear

LONG = "x" * 262_000
HALF = "x" * 131_000


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("payload.l.map(x, payload.s + payload.s).size() > 0", {"l": list(range(230)), "s": LONG}),
        ("payload.l.map(x, payload.s).size() > 0", {"l": list(range(230)), "s": LONG}),
        ("payload.l.map(x, [payload.s, payload.s, payload.s]).size() > 0", {"l": list(range(100)), "s": HALF}),
        ("payload.l.map(x, payload).size() > 0", {"l": list(range(230)), "s": LONG}),
        ("payload.l.filter(x, payload.l.filter(y, x == y).size() > 0).size() > 0", {"l": ["x" * 5_000] * 40}),
        ("[payload.s].map(x, x+x+x+x).map(x, x+x+x+x).map(x, x+x+x+x).map(x, x+x+x+x).size() > 0", {"s": LONG}),
        ("payload.l.all(x, payload.s.contains('ab') || true)", {"l": list(range(1_000)), "s": LONG}),
        ("payload.l.all(x, !payload.s.matches('b{9}'))", {"l": list(range(20)), "s": LONG}),
        ("payload.s.matches('([a-z]x?){25}bcdef')", {"s": LONG}),
        (f"payload.l.map(x, '{'x' * 900}').size() > 0", {"l": [1] * 1_400}),
        ("payload.a.size() > 0", {"a": {"k" * 1_000 + str(n): 1 for n in range(300)}}),
    ],
)
def test_what_would_touch_too_many_characters_is_not_begun(source: str, payload: Any) -> None:
    assert compile_expression(source).test({"payload": payload}) == (False, EvaluationError.TOO_LARGE)


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("payload.s.matches('x(ab)?$')", {"s": LONG}),
        ("payload.s.contains('xx') && !payload.s.startsWith('b') && payload.s + payload.s != ''", {"s": LONG}),
        ("payload.l.exists(x, x.s.contains('x') && x.n == 3)", {"l": [{"n": n, "s": "x" * 2_000} for n in range(100)]}),
        ("payload.l.exists(x, x.s == payload.who)", {"l": [{"s": "x" * 2_000}] * 100 + [{"s": "a"}], "who": "a"}),
        ("payload.l.map(x, x.s).exists(s, s == 'a')", {"l": [{"s": "x" * 2_000}] * 100 + [{"s": "a"}]}),
        ("payload.l.filter(x, x.s in ['a', 'b', 'c']).size() == 1", {"l": [{"s": "x" * 500}] * 200 + [{"s": "a"}]}),
        (
            "payload.commits.exists(c, c.files.exists(f, f.startsWith('docs/') && c.author == payload.who))",
            {"commits": [{"author": "ada", "files": [f"docs/{n}.md" for n in range(20)]}] * 20, "who": "ada"},
        ),
        ("payload.l.exists(x, x.s.matches('(?i)fix(es|ed)? #[0-9]+'))", {"l": [{"s": "Fixes #1"}] * 20}),
    ],
)
def test_what_is_ordinary_stays_allowed(source: str, payload: Any) -> None:
    assert compile_expression(source).test({"payload": payload}) == (True, None)


EXPRESSIONS = [
    *("payload.s.size() > 0", "size(payload.s) > 0", "has(payload.s)", "int(payload.s) > 0", "uint(payload.s) > 0u"),
    *("double(payload.s) > 0.0", "string(payload.s) == ''", "timestamp(payload.s) == timestamp(payload.s)"),
    *("duration(payload.s) == duration(payload.s)", "payload.s.contains('aaaaaaab')", "payload.s.contains(payload.s)"),
    *("payload.s.startsWith(payload.s)", "payload.s.endsWith(payload.s)", "payload.s.matches('(a|aa|b)+c$')"),
    *("payload.s == payload.s", "payload.s < payload.s", "payload.s + payload.s == ''", "payload.s in payload.l"),
    *("payload.l.all(x, x == '')", "payload.l.exists(x, x == '')", "payload.l.exists_one(x, x == '')"),
    *("payload.l.map(x, x).size() > 0", "payload.l.filter(x, x != '').size() > 0", "payload.l == payload.l"),
    *(f"timestamp(payload.s).{name}() > 0" for name in sorted(_METHODS) if name.startswith("get")),
]
PIECES = ["a", "1", "9", "aab", "ß", "1h", "-", "0.", "2026-01-01T00:00:00Z", " ", "1e"]


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_a_function_takes_time_in_proportion_to_its_text(source: str) -> None:
    expression = compile_expression(source)
    for piece in PIECES:
        texts = {n: (piece * n)[:n] for n in (60_000, 120_000)}
        scopes = {n: {"payload": {"s": text, "l": [text[:500]] * 60}} for n, text in texts.items()}
        assert is_linear(lambda n, scopes=scopes: expression.test(scopes[n]), length=60_000), piece  # type: ignore[misc]


def test_every_function_has_its_growth_looked_at() -> None:
    for name in _METHODS | _FUNCTIONS:
        assert any(f"{name}(" in source for source in EXPRESSIONS), name
