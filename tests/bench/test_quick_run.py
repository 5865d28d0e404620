"""The benchmark runs: every stack answers, nothing is lost or doubled, and each goal has a verdict."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
FASTAPI, LITESTAR, TUNED, OURS = "FastAPI + RQ", "Litestar + arq", "Litestar + arq, tuned", "EventRoute"
BARE_DURABLE, BARE, CEILING = (
    "bare ASGI + EventRoute's script and spans",
    "bare ASGI, no Redis",
    "load generator's ceiling",
)
SHARING = [
    "lease, nothing running",
    "lease, 200 running",
    "pick-up, nothing else queued",
    "pick-up, 300 held",
    "pick-up, 300 waiting",
    "two workers",
]
SPANS = [f"{traced} traced, {spans} Redis" for traced in ("a tenth", "all") for spans in ("without", "with")]
PHASES = ["queued", "ended, with its body", "ended, with its answer", "ended, its record", "its claims alone"]
THROTTLE = [f"{stack}, requests" for stack in (OURS, "arq, retries", "arq, backoff")]
DURABILITY = ["no file", "fsync each second", "fsync before each answer", "a replica has it, no file"]


def bench(*arguments: str) -> tuple[int, str]:
    """Run the benchmark; returns its exit code and all that it said. None of its processes outlives a time-out."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as run:
        try:
            output, _ = run.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
    return run.returncode, output


@pytest.mark.real
@pytest.mark.parametrize(
    ("section", "rows", "goals"),
    [
        ("receiver", [FASTAPI, LITESTAR, OURS, BARE_DURABLE, BARE, CEILING], 3),
        ("pickup", [FASTAPI, LITESTAR, TUNED, OURS], 3),
        ("throughput", [LITESTAR, TUNED, OURS], 3),
        ("sharing", SHARING, 4),
        ("throttle", THROTTLE, 4),
        ("spans", SPANS, 0),
        ("memory", PHASES, 3),
        ("durability", DURABILITY, 0),
    ],
)
def test_a_quick_run_measures_every_stack_without_losing_or_doubling_a_job(
    section: str, rows: list[str], goals: int, tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    code, output = bench("--quick", "--only", section, "--json", str(figures))
    assert code == 0, output
    (measured,) = json.loads(figures.read_text())["sections"]
    assert [row["name"] for row in measured["rows"]] == rows
    assert len(measured["goals"]) == goals
    for goal in measured["goals"]:
        verdict = "reached" if goal["is_reached"] else "NOT REACHED"
        assert f"{verdict:<11} {goal['text']}" in output
