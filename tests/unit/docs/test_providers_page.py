"""The page of providers says what the scheme table says."""

from pathlib import Path

import pytest

from eventroute.schemes import SCHEMES
from eventroute.schemes.__main__ import main

PAGE = Path(__file__).parents[3] / "services/PROVIDERS.md"


def test_the_committed_page_is_current() -> None:
    assert main(["--check", str(PAGE)]) == 0


@pytest.mark.parametrize("name", SCHEMES)
def test_every_provider_is_on_it(name: str) -> None:
    assert f"| `{name}`" in PAGE.read_text(encoding="utf-8")


def test_an_outdated_page_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "PROVIDERS.md"
    old.write_text(PAGE.read_text(encoding="utf-8").replace("github", "gitbut"), encoding="utf-8")
    assert main(["--check", str(old)]) == 1
    assert "make generate" in capsys.readouterr().err


def test_wrong_arguments_are_told() -> None:
    assert main([]) == 2
