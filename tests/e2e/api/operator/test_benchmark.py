"""The benchmark's section on the control plane runs; what it measures here means nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[3]


def test_a_quick_run_measures_the_control_plane(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--only", "control", "--json", str(figures)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (measured,) = json.loads(figures.read_text(encoding="utf-8"))["sections"]
    assert (len(measured["rows"]), len(measured["goals"])) == (6, 6)
