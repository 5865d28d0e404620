"""Which names an expression may use, told from those that its comprehensions define."""

import pytest

from eventroute.expression import ExpressionRefused, compile_expression

SCOPE = {
    "payload": {"a": [1, 2, 3], "x": {"payload": 4, "y-z": 5}, "name": "n"},
    "event": "e",
    "headers": {"x-y": "1"},
    "route": {"namespace": "team-a", "name": "triage"},
}


@pytest.mark.parametrize(
    "source",
    [
        "payload.a.exists(i, i == 2)",
        "payload.a.all(payload, payload > 0)",
        "payload.a.exists(x, payload.a.exists(y, y == x + 1))",
        "payload.a.map(x, x * 2).exists(x, x == 6)",
        "payload.x.payload == 4",
        'payload["x"]["y-z"] == 5',
        "payload['x'].payload == 4",
        'headers["x-y"] == "1"',
        'route.namespace == "team-a" && event == "e"',
        'payload.name.matches("^n$")',
        "has(payload.x.payload) && !has(payload.x.nope)",
        '"a" in payload',
        'payload[payload.name == "n" ? "x" : "a"].payload == 4',
        "size(payload.a) == 3 && payload.a.size() == 3",
        "payload // a comment with unknown_name\n.a[0] == 1",
        "'unknown_name' != \"it's\" && '''\nunknown''' != r'\\'",
        "[payload.a][0][1] == 2",
        '{"k": payload.a}.k[2] == 3',
    ],
)
def test_known_names_are_found_and_evaluated(source: str) -> None:
    assert compile_expression(source).test(SCOPE) == (True, None)


@pytest.mark.parametrize(
    ("source", "name", "line", "column"),
    [
        ("paylod.a == 1", "paylod", 1, 1),
        ("payload.a.exists(i, j == 1)", "j", 1, 21),
        ("payload.a.exists(i, true) && i == 1", "i", 1, 30),
        ("i == 1 || payload.a.exists(i, i == 1)", "i", 1, 1),
        ("payload.a.exists(x, x.map(y, y) == y)", "y", 1, 36),
        ("true &&\n  (false ||\n   nope)", "nope", 3, 4),
        ("'''\n''' == nope", "nope", 2, 8),
        ("payload[nope]", "nope", 1, 9),
        ("{nope: 1}", "nope", 1, 2),
        ("entity == 'x'", "entity", 1, 1),
    ],
)
def test_an_unknown_variable_is_refused_with_its_place(source: str, name: str, line: int, column: int) -> None:
    with pytest.raises(ExpressionRefused, match=f'unknown variable "{name}"') as refused:
        compile_expression(source)
    assert (refused.value.unknown_variable, refused.value.line, refused.value.column) == (True, line, column)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("payload.name.lowerAscii() == 'n'", 'unknown function "lowerAscii"'),
        ("payload.a.exist(x, x)", 'unknown function "exist"; did you mean "exists"?'),
        ("now() > 1", 'unknown function "now"'),
        ("payload.name.matches(payload.x)", "needs a pattern in quotes"),
        ("payload.name.matches('[')", "not a valid regular expression"),
        ("Payload{a: 1}", "messages cannot be built"),
        (".payload.a", "without the leading dot"),
        ("", "is empty"),
        (" \n", "is empty"),
        ("payload.a ==", "mismatched input"),
        ("payload.a)", "extraneous input"),
        ("payload § 1", "unexpected '§'"),
        ("payload.`a`", "unexpected '`'"),
        ("'open", "unexpected"),
        ("payload.a.exists(x.y, true)", "simple name"),
        ("payload.a.exists(x)", "needs a name and an expression"),
        ("payload.?a", ""),
    ],
)
def test_what_cannot_be_evaluated_is_refused(source: str, message: str) -> None:
    with pytest.raises(ExpressionRefused) as refused:
        compile_expression(source)
    assert message in str(refused.value)
    assert not refused.value.unknown_variable


def test_the_caller_says_which_variables_there_are() -> None:
    assert compile_expression("entity == 'x'", {"entity"}).test({"entity": "x"}).holds
    with pytest.raises(ExpressionRefused):
        compile_expression("payload.a", {"entity"})


@pytest.mark.parametrize(
    "source",
    [
        'headers["X-GitHub-Event"] == "push"',
        "headers[ 'X-Github-Event' ]\n== 'push'",
        '"X-GitHub-Event" in headers',
        'headers.Host == "H"',
        "has(headers.HOST)",
        '!("X-Gitlab-Event" in headers) && !has(headers.Accept)',
        """'headers["X-Quoted"]' == "headers" + '["X-Quoted"]'""",  # a text about them stays as it is
        'payload.headers["X-Own"] == "own"',
    ],
)
def test_a_header_is_found_by_its_name_in_any_case(source: str) -> None:
    headers = {"x-github-event": "push", "host": "H"}
    scope = {"payload": {"headers": {"X-Own": "own"}}, "event": "e", "headers": headers, "route": {}}
    assert compile_expression(source).test(scope) == (True, None)


def test_what_an_expression_says_of_a_header_is_refused_where_it_was_written() -> None:
    with pytest.raises(ExpressionRefused, match='unknown variable "nope"') as refused:
        compile_expression('headers["X-A"] ==\n  nope')
    assert (refused.value.line, refused.value.column) == (2, 3)
