"""Every test says what it expects: by an assertion, by a helper whose name says that it asserts, or by waiting for it.

Waiting counts, as `until…` fails when it waits in vain.
"""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
EXPECTS = re.compile(r"raises|fail|_?(assert|until|wait_until)(_\w+)?")


def expects_something(test: ast.AST) -> bool:
    """Look for an assertion in a test, or for a call of something with a name that promises one."""
    for node in ast.walk(test):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call) and EXPECTS.fullmatch(ast.unparse(node.func).rpartition(".")[2]):
            return True
    return False


def idle_tests(source: str) -> list[str]:
    """Name the tests of a module that expect nothing."""
    functions = [each for each in ast.parse(source).body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [each.name for each in functions if each.name.startswith("test_") and not expects_something(each)]


@pytest.mark.parametrize("body", ["render('x')", "refused(scheme)", "render(assert_=1)", "await asyncio.timeout(5)"])
def test_a_test_that_expects_nothing_is_named(body: str) -> None:
    assert idle_tests(f"async def test_it():\n    {body}\n") == ["test_it"]


@pytest.mark.parametrize(
    "body",
    [
        "assert render('x')",
        "with pytest.raises(ValueError): render('x')",
        "_assert_refused(scheme)",
        "await until(lambda: render('x'))",
        "await team.until_ready()",
    ],
)
def test_a_test_that_expects_something_is_not(body: str) -> None:
    assert idle_tests(f"async def test_it():\n    {body}\n") == []


def test_no_test_expects_nothing() -> None:
    modules = sorted(TESTS.rglob("test_*.py"))
    assert len(modules) > 300
    idle = {str(module.relative_to(TESTS)): idle_tests(module.read_text(encoding="utf-8")) for module in modules}
    assert {module: names for module, names in idle.items() if names} == {}
