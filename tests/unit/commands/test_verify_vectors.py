"""`verify` gives every published vector the verdict of its source."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from eventroute_cli.fixtures import Unreadable, read_fixtures
from eventroute_cli.verify import judge, verify_command

VECTORS = Path(__file__).parents[2] / "data" / "vectors.json"

app = typer.Typer()
app.command()(verify_command)


def test_every_vector_gets_its_verdict() -> None:
    entries = [entry for entry in read_fixtures(VECTORS) if not isinstance(entry, Unreadable)]
    differing = {entry.id: judge(entry) for entry in entries if judge(entry).differs}
    assert len(entries) == 126
    assert differing == {}


def test_the_command_prints_the_verdicts_as_json(tmp_path: Path) -> None:
    known = json.loads(VECTORS.read_text())
    result = CliRunner().invoke(app, [str(VECTORS), "-o", "json"])
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert [(item["id"], item["verdict"]) for item in printed] == [(item["id"], item["expected"]) for item in known]
    assert all(set(item) == {"id", "verdict", "expected", "reason"} for item in printed)
    assert all((item["reason"] is None) == (item["verdict"] == "valid") for item in printed)


def test_one_verdict_that_differs_makes_the_command_end_with_1(tmp_path: Path) -> None:
    vector = json.loads(VECTORS.read_text())[0]
    file = tmp_path / "vector.json"
    file.write_text(json.dumps([vector, {**vector, "body": vector["body"] + " "}]))
    result = CliRunner().invoke(app, [str(file)])
    assert result.exit_code == 1
    assert "mismatch  expected valid" in result.stdout
    assert "2 requests: 1 valid, 1 invalid, 1 unexpected" in result.stdout


@pytest.mark.parametrize(
    ("options", "environment", "verdict"),
    [([], "other", "valid"), (["--secret", "other"], None, "invalid"), (["--secret", "mysecret"], "other", "valid")],
)
def test_an_option_replaces_a_recorded_secret_and_the_environment_does_not(
    tmp_path: Path, options: list[str], environment: str | None, verdict: str
) -> None:
    file = tmp_path / "vector.json"
    file.write_text(json.dumps(json.loads(VECTORS.read_text())[0]))
    result = CliRunner().invoke(app, [str(file), "-o", "json", *options], env={"EVENTROUTE_SECRET": environment})
    assert json.loads(result.stdout)[0]["verdict"] == verdict


def test_the_environment_fills_in_for_a_secret_that_was_not_recorded(tmp_path: Path) -> None:
    vector = json.loads(VECTORS.read_text())[0]
    file = tmp_path / "vector.json"
    file.write_text(json.dumps({**vector, "secret": None}))
    result = CliRunner().invoke(app, [str(file), "-o", "json"], env={"EVENTROUTE_SECRET": vector["secret"]})
    assert json.loads(result.stdout)[0]["verdict"] == "valid"
