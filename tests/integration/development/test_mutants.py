"""Trying a small change: in a copy, told apart by how a test noticed it; and scripts that a server still takes."""

import subprocess
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from mutants.change import Change
from mutants.report import build_survivor, share_noticed
from mutants.table import ROOT, changes_of
from mutants.trial import BrokenTestsError, Trees, Tried, Verdict, try_changes

pytestmark = pytest.mark.real

LUA = ROOT / "services/core/src/eventroute/queue/lua"
CODE = "LIMIT = 7\n"
TEST = """
import pytest
from limit import LIMIT

def test_the_limit() -> None:
    if LIMIT == 1:
        raise KeyError(LIMIT)
    if LIMIT == 2:
        raise TimeoutError
    assert LIMIT >= 7
"""


def change(number: object) -> Change:
    return Change("operator/src/limit.py", 1, "number", lambda: f"LIMIT = {number}\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree of one module and its test."""
    root = tmp_path / "root"
    for name, text in (("operator/src/limit.py", CODE), ("test_limit.py", TEST), ("pyproject.toml", "")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "-q", root], check=True)  # noqa: S607 - the developer's own
    return root


@pytest.fixture
def trees(tmp_path: Path, root: Path) -> Trees:
    trees = Trees(tmp_path / "copies")
    trees.copy(root, 2)
    return trees


def test_each_change_is_judged_by_the_first_test_that_goes_red_and_only_in_a_copy(trees: Trees, root: Path) -> None:
    numbers = [3, 1, 2, 8, "'"]
    tried = list(
        try_changes(
            trees, [change(number) for number in numbers], {"operator/src/limit.py": ["test_limit.py"]}, at_once=2
        )
    )
    assert [each.verdict for each in tried] == [
        Verdict.ASSERTION,
        Verdict.ERROR,
        Verdict.TIME_OUT,
        Verdict.SURVIVED,
        Verdict.ERROR,
    ]
    assert tried[0].test == "test_limit.py::test_the_limit"
    assert share_noticed(tried) == 0.8
    assert (root / "operator/src/limit.py").read_text() == CODE
    assert build_survivor(tried[3], root) == ["operator/src/limit.py:1 number", "  -LIMIT = 7", "  +LIMIT = 8"]


def test_a_trial_that_does_not_end_is_ended(trees: Trees) -> None:
    endless = Change("operator/src/limit.py", 1, "number", lambda: "while True:\n    pass\n")
    verdict, _, _ = trees.run(["test_limit.py"], limit_s=2, change=endless)
    assert verdict is Verdict.TIME_OUT
    assert trees.run(["test_limit.py"])[0] is Verdict.SURVIVED


def test_tests_that_fail_without_any_change_say_nothing_of_one(trees: Trees, root: Path) -> None:
    (trees.folder / "0/operator/src/limit.py").write_text("LIMIT = 3\n")
    (trees.folder / "1/operator/src/limit.py").write_text("LIMIT = 3\n")
    with pytest.raises(BrokenTestsError, match="test_limit"):
        list(try_changes(trees, [change(8)], {"operator/src/limit.py": ["test_limit.py"]}, at_once=1))


def test_a_test_that_goes_red_by_itself_is_left_out(trees: Trees) -> None:
    for number in (0, 1):
        (trees.folder / f"{number}/test_ever_red.py").write_text("def test_x(): assert False\n")
    tests = {"operator/src/limit.py": ["test_limit.py", "test_ever_red.py"]}
    tried = list(try_changes(trees, [change(3), change(8)], tests, at_once=1))
    assert [(each.verdict, each.test) for each in tried] == [
        (Verdict.ASSERTION, "test_limit.py::test_the_limit"),
        (Verdict.SURVIVED, tried[1].test),
    ]


def tried(changed: Change) -> Tried:
    return Tried(changed, Verdict.SURVIVED, 0, "")


@pytest.mark.parametrize("name", ["admit", "lease", "settle", "unpark", "lib"])
async def test_every_change_of_a_script_is_a_script(name: str, redis: Redis) -> None:
    path = LUA / f"{name}.lua"
    library = (LUA / "lib.lua").read_text()
    changes = changes_of(path.relative_to(ROOT).as_posix())
    assert changes
    for changed in changes:
        first, _, rest = changed.apply().partition("\n")
        source = f"{first}\n{rest}" if name == "lib" else f"{first}\n{library}{rest}"
        try:
            await redis.script_load(source)
        except ResponseError as error:
            pytest.fail(f"{build_survivor(tried(changed), ROOT)}: {error}")
