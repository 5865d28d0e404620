"""Trying changes: in copies of the tree, each in a process of its own that ends at the first test that goes red.

The processes are forked from one that has imported what takes seconds to import, and nothing of EventRoute, so that
most trials take no longer than their tests. What tests start dies with them: servers and programs are told to, by the
kernel.
"""

import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, Final

import pytest

from mutants.change import Change

_SOURCES: Final = (
    "services/core/src",
    "services/receiver/src",
    "services/worker/src",
    "services/cli/src",
    "operator/src",
)
_IMPORTED: Final = (
    "anthropic",
    "arq.worker",
    "hypothesis.stateful",
    "httpx",
    "kopf",
    "litestar",
    "mutmut.mutation.mutators",
    "opentelemetry.sdk.trace",
    "pydantic_settings",
    "pytest_asyncio",
    "redis.asyncio",
    "structlog",
)
_TRIAL_S: Final = 1800.0  # for all tests of a part on a busy machine; each has its own limit (pyproject.toml)
_FEW: Final = 2  # files of tests are read before all others of a part: most changes are noticed there
_AGAIN: Final = 3  # times that a trial is made again without a test that is red by itself


class Verdict(Enum):
    """How a change was noticed; the values are exit codes."""

    SURVIVED = 0
    ASSERTION = 64
    """A test said what is wrong."""
    ERROR = 65
    """A test stumbled."""
    TIME_OUT = 66
    """A test waited in vain, or the trial took too long: noticed, but nobody is told what is wrong."""


@dataclass(frozen=True)
class Tried:
    """A change that was tried."""

    change: Change
    verdict: Verdict
    seconds: float
    test: str
    """Which test went red, the last lines of pytest when none could run."""


class BrokenTestsError(Exception):
    """Tests fail without any change."""


def _forkserver() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


@dataclass
class Trees:
    """Copies of the tree, one for each trial at a time."""

    folder: Path
    context: ForkServerContext = field(default_factory=_forkserver)
    _free: "queue.SimpleQueue[Path]" = field(default_factory=queue.SimpleQueue)
    _moments: Iterator[int] = field(default_factory=lambda: itertools.count(int(time.time()) - 1_000_000))

    def copy(self, root: Path, count: int) -> None:
        """Copy what git tracks or would track."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - the developer's own
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        names = [name for name in listed.split("\0") if name and (root / name).is_file()]
        for number in range(count):
            tree = self.folder / str(number)
            for name in names:
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, tree / name)
            self._free.put(tree)

    def run(
        self,
        tests: Sequence[str],
        *,
        limit_s: float = _TRIAL_S,
        change: Change | None = None,
        but_for: Sequence[str] = (),
    ) -> tuple[Verdict, float, str]:
        """Run tests with a change, or without; returns how that ended, after how many seconds, and at which test."""
        tree = self._free.get()
        try:
            with self._changed(tree, change):
                options = [f"--deselect={test}" for test in but_for]
                about = Path(change.path).stem if change else ""
                return self._run(tree, [*options, *tests], about, limit_s)
        finally:
            self._free.put(tree)

    @contextlib.contextmanager
    def _changed(self, tree: Path, change: Change | None) -> Iterator[None]:
        if change is None:
            yield
            return
        file = tree / change.path
        before = file.read_text(encoding="utf-8")
        try:
            self._write(file, change.apply())
            yield
        finally:
            self._write(file, before)

    def _write(self, file: Path, text: str) -> None:
        """Write with a time of its own: Python goes by seconds and length when it looks for compiled code."""
        file.write_text(text, encoding="utf-8")
        moment = next(self._moments)
        os.utime(file, (moment, moment))

    def _run(self, tree: Path, tests: Sequence[str], about: str, limit_s: float) -> tuple[Verdict, float, str]:
        log = tree / ".trial.log"
        began = time.monotonic()
        process = self.context.Process(target=_trial, args=(tree, tests, about, log))
        process.start()
        process.join(limit_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            return Verdict.TIME_OUT, time.monotonic() - began, "the time limit"
        seconds = time.monotonic() - began
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if process.exitcode in {verdict.value for verdict in Verdict}:
            return Verdict(process.exitcode), seconds, said[-1] if said else ""
        return Verdict.ERROR, seconds, " / ".join(said[-3:])


def try_changes(
    trees: Trees, changes: Sequence[Change], tests: Mapping[str, Sequence[str]], *, at_once: int
) -> Iterator[Tried]:
    """Try changes as they are told to be noticed, by path; yields each when it is over.

    A test that goes red counts when it is green without the change: else it says nothing, and is left out.
    """
    green: set[str] = set()

    def is_green(test: str) -> bool:
        if test not in green and trees.run([test])[0] is Verdict.SURVIVED:
            green.add(test)
        return test in green

    def look(first: str) -> None:
        if not is_green(first) and not is_green(first):  # on a busy machine once says little
            raise BrokenTestsError(f"{first} fails without any change")

    def attempt(change: Change) -> Tried:
        red_by_themselves: list[str] = []
        for _ in range(_AGAIN):
            tried = Tried(change, *trees.run(tests[change.path], change=change, but_for=red_by_themselves))
            if "::" not in tried.test or is_green(tried.test):
                return tried
            red_by_themselves.append(tried.test)
        raise BrokenTestsError(f"{red_by_themselves} fail without any change")

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for _ in pool.map(look, dict.fromkeys(tests[change.path][0] for change in changes)):
            pass
        yield from pool.map(attempt, changes)


def _trial(tree: Path, tests: Sequence[str], about: str, log: Path) -> None:
    """Run in the process of a trial."""
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(tree)
    sys.dont_write_bytecode = False  # whatever the developer is used to: the copy is compiled once
    sources = [str(tree / source) for source in _SOURCES]
    sys.path[:0] = sources
    os.environ["PYTHONPATH"] = os.pathsep.join(sources)  # for the programs that tests start
    first = _First(about)
    options = [
        "-x",
        "-q",
        "--no-header",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
        *(test for test in tests if test.startswith("-")),
    ]
    files = [test for test in tests if not test.startswith("-")]
    code: int = pytest.ExitCode.OK
    for some in filter(None, (files[:_FEW], files[_FEW:])):
        code = pytest.main([*options, *some], plugins=[first])
        if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            break
    if first.test:  # whatever went wrong afterwards
        code = first.verdict.value
        print(first.test)  # noqa: T201 - read by the parent
    sys.stdout.flush()
    os._exit(int(code))


class _First:
    """Notes the first test that goes red, as a plugin of pytest."""

    def __init__(self, about: str) -> None:
        self.verdict = Verdict.ERROR
        self.test = ""
        self._own = f"[{about}-"

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self._own not in item.nodeid)  # what is named after the changed file comes first

    def pytest_exception_interact(self, node: Any, call: pytest.CallInfo[Any]) -> None:
        if call.excinfo is not None and not self.test:
            self.test = node.nodeid
            self.verdict = _judge(call.excinfo.value)


def _judge(error: BaseException) -> Verdict:
    if isinstance(error, BaseExceptionGroup):
        return _judge(error.exceptions[0])
    if isinstance(error, TimeoutError) or str(error).startswith("Timeout"):
        return Verdict.TIME_OUT
    return Verdict.ASSERTION if isinstance(error, (AssertionError, pytest.fail.Exception)) else Verdict.ERROR
