import json
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.figures import Goal, Row, Section, Spread
from bench.report import Report, build_markdown, build_report, write_json


@pytest.fixture
def report() -> Report:
    section = Section(
        title="Speed",
        conditions=["on a table"],
        columns=["acks/s", "Valkey core %"],
        rows=[
            Row("ours", {"acks/s": Spread(1234.5, 1000, 2000), "Valkey core %": Spread(4.2, 4.2, 4.2)}),
            Row("theirs", {"acks/s": Spread(99.4, 50, 100), "Valkey core %": None}),
        ],
        goals=[
            Goal(text="near", bound="at least", wanted=8, measured=Spread(8.1, 8, 9), unit="x"),
            Goal(text="far", bound="at most", wanted=5, measured=Spread(5.5, 5.5, 5.5), unit="ms"),
        ],
        faults=["ours: 1 job lost"],
        doubts=["theirs: had half a core"],
    )
    return build_report([section], is_quick=False)


def test_the_page_has_every_figure_with_its_spread_and_every_goal_with_its_verdict(report: Report) -> None:
    page = build_markdown(report).splitlines()
    assert "| ours | 1,234 (1,000-2,000) | 4.20 |" in page
    assert "| theirs | 99.4 (50.0-100) | - |" in page
    assert "| near | at least 8 x | 8.10 (8.00-9.00) x | reached |" in page
    assert "| far | at most 5 ms | 5.50 ms | NOT REACHED |" in page


def test_the_page_does_not_keep_quiet_about_what_spoils_the_figures(report: Report) -> None:
    page = build_markdown(report)
    assert "- **Invalid:** ours: 1 job lost" in page
    assert "- **Disturbed:** theirs: had half a core" in page


def test_json_carries_the_verdicts(report: Report, tmp_path: Path) -> None:
    write_json(report, tmp_path / "report.json")
    (section,) = json.loads((tmp_path / "report.json").read_text())["sections"]
    assert [goal["is_reached"] for goal in section["goals"]] == [True, False]


@pytest.mark.parametrize("arguments", [["--write", "--quick"], ["--write", "--only", "receiver"]])
def test_results_are_written_from_whole_runs_only(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert "whole runs only" in capsys.readouterr().err
