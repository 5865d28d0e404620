"""The benchmark runs: every stack answers, nothing is lost or doubled, and each goal has a verdict."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent


@pytest.mark.real
def test_a_quick_run_measures_every_stack_without_losing_or_doubling_a_job(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--json", str(figures)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    sections = json.loads(figures.read_text())["sections"]
    assert [[row["name"] for row in section["rows"]] for section in sections] == [
        ["FastAPI + RQ", "Litestar + arq", "EventRoute", "bare ASGI, no Redis", "load generator's ceiling"],
        ["FastAPI + RQ", "Litestar + arq", "Litestar + arq, tuned", "EventRoute"],
        ["Litestar + arq", "Litestar + arq, tuned", "EventRoute"],
    ]
    goals = [goal for section in sections for goal in section["goals"]]
    assert len(goals) == 9
    for goal in goals:
        verdict = "reached" if goal["is_reached"] else "NOT REACHED"
        assert f"{verdict:<11} {goal['text']}" in run.stdout
