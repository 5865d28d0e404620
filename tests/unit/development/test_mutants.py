"""The small changes that `make mutants` tries: the same ones each time, each of them code, and of every kind."""

import ast

import pytest

from mutants.change import Change, sample, show
from mutants.lua import changes_of_lua
from mutants.python import changes_of_python
from mutants.table import PARTS, ROOT, changes_of

LUA = """#!lua flags=allow-oom
-- not changed: one == two 3
local DAY = 86400 -- a second more or less. Arbitrary
if KEYS[1] == 'x' and not (now < 5) then
  redis.call('ZADD', key, 'NX', now + 3, id)
end
return redis.call('HGET', key, 'state')
"""

PYTHON = '''"""A docstring with 7."""
LIMIT: Final = 5  # arbitrary
Name = str | int


class Wants(Protocol):
    def f(self, a: int = 7) -> str: ...  # not changed


def f(a: int | None, *, by: int = 3) -> str:
    _log.info("not changed", by=4)
    if a is None:
        g(a, by=2)
    match by:
        case 1:
            raise Refused("words for people")
        case 2:
            return "two"
    return "one" if a < 2 else "more"
'''


def told(changes: list[Change], source: str) -> set[tuple[str, str]]:
    return {(change.kind, show(source, change.apply())[-1].lstrip("+- ")) for change in changes}


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("allow-oom taken off", "#!lua"),
        ("== becomes ~=", "if KEYS[1] ~= 'x' and not (now < 5) then"),
        ("< becomes <=", "if KEYS[1] == 'x' and not (now <= 5) then"),
        ("< becomes >=", "if KEYS[1] == 'x' and not (now >= 5) then"),
        ("and becomes or", "if KEYS[1] == 'x' or not (now < 5) then"),
        ("number", "if KEYS[2] == 'x' and not (now < 5) then"),
        ("number", "if KEYS[1] == 'x' and not (now < (4)) then"),
        ("condition negated", "if not (KEYS[1] == 'x' and not (now < 5)) then"),
        ("argument left out", "redis.call('ZADD', key, now + 3, id)"),
        ("argument left out", "redis.call('ZADD', key, 'NX', now + 3)"),
        ("+ becomes -", "redis.call('ZADD', key, 'NX', now - 3, id)"),
        ("call dropped", ""),
        ("name", "return redis.call('HGET', key, 'state_')"),
    ],
)
def test_a_script_is_changed_in_each_way(kind: str, line: str) -> None:
    assert (kind, line) in told(changes_of_lua("x.lua", LUA), LUA)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("number", "def f(a: int | None, *, by: int = 4) -> str:"),
        ("keywords", "if a is not None:"),
        ("condition negated", "if not (a is None):"),
        ("arg removal", "g(None, by=2)"),
        ("arg removal", "g(a, )"),
        ("call dropped", "pass"),
        ("string", 'return "XXtwoXX"'),
        ("swap op", 'return "one" if a <= 2 else "more"'),
        ("if exp", 'return "one" if (a < 2) and False else "more"'),
    ],
)
def test_python_is_changed_in_each_way(kind: str, line: str) -> None:
    assert (kind, line) in told(changes_of_python("x.py", PYTHON), PYTHON)


def test_what_no_test_is_about_stays_as_it_is() -> None:
    for source, changes in ((LUA, changes_of_lua("x.lua", LUA)), (PYTHON, changes_of_python("x.py", PYTHON))):
        words = ("not changed", "rbitrary")
        left_alone = {
            number for number, line in enumerate(source.splitlines(), start=1) if any(word in line for word in words)
        }
        changed = {change.line for change in changes}
        assert changed
        assert not changed & left_alone
    lines = [line for _, line in told(changes_of_python("x.py", PYTHON), PYTHON)]
    assert not [line for line in lines if "&" in line or "XXwords" in line]


def test_the_same_changes_come_each_time() -> None:
    path = "services/core/src/eventroute/queue/lua/settle.lua"
    first, again = (sample(changes_of(path), seed=3, count=20) for _ in range(2))
    assert len(first) == 20
    assert [(each.line, each.apply()) for each in first] == [(each.line, each.apply()) for each in again]
    other = sample(changes_of(path), seed=4, count=20)
    assert [each.apply() for each in first] != [each.apply() for each in other]


def test_every_change_of_python_is_python_and_a_change() -> None:
    path = "services/worker/src/eventroute_worker/troubles.py"
    source = (ROOT / path).read_text(encoding="utf-8")
    changes = changes_of(path)
    assert changes
    for change in changes:
        changed = change.apply()
        assert changed != source
        ast.parse(changed)


def test_each_pattern_of_the_table_finds_something() -> None:
    for part in PARTS:
        for pattern in (*part.files, *part.tests):
            assert list(ROOT.glob(pattern)), pattern
