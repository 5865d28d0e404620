"""The workflows are what GitHub takes: actionlint finds nothing, and finds what is wrong."""

import subprocess
from pathlib import Path
from typing import Final

from e2e.support.prepare import BIN

ROOT: Final = Path(__file__).parents[3]
WORKFLOWS: Final = sorted((ROOT / ".github/workflows").glob("*.yml"))


def lint(*paths: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "actionlint", "-no-color", "-shellcheck=", "-pyflakes=", *paths],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_nothing_is_wrong_with_our_workflows() -> None:
    found = lint(*WORKFLOWS)
    assert (found.returncode, found.stdout) == (0, ""), found.stdout + found.stderr


def test_a_mistake_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("needs: version\n", "needs: nothing\n"))
    found = lint(wrong)
    assert found.returncode == 1
    assert 'needs job "nothing"' in found.stdout
