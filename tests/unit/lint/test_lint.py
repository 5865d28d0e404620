"""`eventroute lint`: each problem with its file and line, an exit code that scripts can use, and JSON for the rest."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from eventroute.errors import Refused
from eventroute_cli.__main__ import app

ROUTE = """apiVersion: eventroute.dev/v1alpha1
kind: EventRoute
metadata: {name: triage, namespace: team-a}
spec:
  provider: github
  secretRefs: [{name: hook, key: secret}]
  prompts:
    - user: |
        Title: {{ payload.title }}
        Issue: {{ isue.title }}
"""
GOOD = ROUTE.replace("isue", "payload")
SECRET = """apiVersion: v1
kind: Secret
metadata: {name: hook, namespace: team-a}
stringData: {secret: 5b1f0c8de2a94e7fb0a3}
"""


def lint(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["lint", *map(str, arguments)], env={"COLUMNS": "80", "NO_COLOR": "1"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(result: Result) -> Sequence[str]:
    return result.output.splitlines()


def test_a_problem_is_one_line_with_file_and_line_and_ends_with_one(folder: Path) -> None:
    (folder / "route.yaml").write_text(ROUTE)
    (folder / "secret.yaml").write_text(SECRET)
    result = lint("route.yaml", "secret.yaml")
    problem, summary = lines(result)
    assert problem.startswith("route.yaml:10: error UnknownVariable: route team-a/triage: prompts[0].user, line 2: ")
    assert problem.endswith('unknown variable "isue" (column 11)')
    assert summary == "1 route, 1 error"
    assert result.exit_code == 1


def test_what_is_right_ends_with_zero(folder: Path) -> None:
    (folder / "all.yaml").write_text(GOOD + "---\n" + SECRET)
    result = lint("all.yaml")
    assert (lines(result), result.exit_code) == (["1 route: no errors"], 0)


def test_a_warning_ends_with_zero(folder: Path) -> None:
    (folder / "all.yaml").write_text(GOOD + "    - {}\n---\n" + SECRET)
    result = lint("all.yaml")
    assert "warning UnreachablePrompt" in lines(result)[0]
    assert (lines(result)[1], result.exit_code) == ("1 route, 1 warning: no errors", 0)


def test_a_missing_secret_is_an_error_unless_secrets_are_elsewhere(folder: Path) -> None:
    (folder / "route.yaml").write_text(GOOD)
    strict, lenient = lint("route.yaml"), lint("route.yaml", "--no-secrets")
    assert "route.yaml:6: error SecretNotFound" in strict.output
    assert strict.exit_code == 1
    assert "route.yaml:6: note SecretNotFound" in lenient.output
    assert lenient.exit_code == 0


def test_secrets_may_come_from_a_file_of_lines(folder: Path) -> None:
    (folder / "route.yaml").write_text(GOOD)
    (folder / ".env").write_text("team-a/hook/secret=5b1f0c8de2a94e7fb0a3\n")
    assert lint("route.yaml", "--env-file", ".env").exit_code == 0
    (folder / ".env").write_text("HOOK=5b1f0c8de2a94e7fb0a3\n")
    result = lint("route.yaml", "--env-file", ".env")
    assert ".env:1: error InvalidLine: write NAMESPACE/NAME/KEY=value" in lines(result)
    assert "5b1f0c" not in result.output
    assert lint("route.yaml", "--env-file", "nowhere").exit_code == 1


def test_a_secret_of_the_file_wins_over_that_of_a_manifest(folder: Path) -> None:
    (folder / "all.yaml").write_text(GOOD + "---\n" + SECRET.replace("5b1f0c8de2a94e7fb0a3", "changeme"))
    assert lint("all.yaml").exit_code == 1
    (folder / ".env").write_text("team-a/hook/secret=5b1f0c8de2a94e7fb0a3\n")
    assert lint("all.yaml", "--env-file", ".env").exit_code == 0


def test_json_holds_the_same(folder: Path) -> None:
    (folder / "all.yaml").write_text(ROUTE + "---\n" + SECRET)
    result = lint("all.yaml", "-o", "json")
    report = json.loads(result.output)
    assert {name: report[name] for name in ("routes", "errors", "warnings", "notes")} == {
        "routes": 1,
        "errors": 1,
        "warnings": 0,
        "notes": 0,
    }
    (problem,) = report["problems"]
    assert (problem["file"], problem["line"], problem["severity"]) == ("all.yaml", 10, "error")
    assert (problem["reason"], problem["route"]) == ("UnknownVariable", "team-a/triage")
    assert problem["field"] == "spec.prompts[0].user"
    assert result.exit_code == 1


def test_one_broken_file_does_not_hide_what_is_wrong_in_the_others(folder: Path) -> None:
    (folder / "a.yaml").write_text("a: [")
    (folder / "b.yaml").write_text(ROUTE.replace("provider", "provder"))
    (folder / "c.yaml").write_text(ROUTE + "---\n" + SECRET)
    assert [line.split(" error ")[0] for line in lines(lint("."))[:-1]] == [
        "a.yaml:2:",
        "b.yaml:4:",
        "b.yaml:5:",
        "c.yaml:10:",
    ]


def test_no_route_at_all_is_an_error(folder: Path) -> None:
    (folder / "secret.yaml").write_text(SECRET)
    result = lint("secret.yaml")
    assert (lines(result)[0], result.exit_code) == ("error NoRoutes: no EventRoute in these files", 1)


def test_markup_in_a_manifest_is_only_text(folder: Path) -> None:
    (folder / "route.yaml").write_text(GOOD.replace("provider: github", 'provider: github\n  "[red]x": 1'))
    assert '"[red]x' not in lint("route.yaml").output
    assert "spec.[red]x: unknown field" in lint("route.yaml").output


def test_help_shows_examples() -> None:
    output = lint("--help").output
    assert "eventroute lint -R k8s/ --no-secrets" in output
    assert "--policy values.yaml" in output
    assert "--models models.json" in output
    assert lint().exit_code == 2


def test_what_the_platform_does_not_allow_is_an_error(folder: Path) -> None:
    (folder / "all.yaml").write_text(GOOD + "---\n" + SECRET)
    (folder / "policy.yaml").write_text("maxTokens: 512\nnamespaces: {team-b: {maxTokens: 4096}}\n")
    result = lint("all.yaml", "--policy", "policy.yaml")
    assert lines(result)[0].startswith(
        "all.yaml:4: error PolicyViolation: route team-a/triage: model: maxTokens 1024 is"
    )
    assert result.exit_code == 1
    (folder / "policy.yaml").write_text("maxTokens: 512\nnamespaces: {team-a: {maxTokens: 4096}}\n")
    assert lint("all.yaml", "--policy", "policy.yaml").exit_code == 0


def test_a_policy_is_found_in_the_charts_values_too(folder: Path) -> None:
    (folder / "all.yaml").write_text(GOOD + "---\n" + SECRET)
    (folder / "values.yaml").write_text("receiver: {replicas: 2}\noperator: {policy: {maxTokens: 512}}\n")
    result = lint("all.yaml", "--policy", "values.yaml")
    assert "maxTokens 1024 is more than the 512 that are allowed" in result.output
    assert result.exit_code == 1


def test_the_policy_of_a_namespace_whose_name_yaml_reads_as_a_number_is_read_as_helm_reads_it(folder: Path) -> None:
    (folder / "all.yaml").write_text((GOOD + "---\n" + SECRET).replace("team-a", '"83"'))
    (folder / "policy.yaml").write_text("namespaces: {0123: {maxTokens: 512}}\n")
    assert "maxTokens 1024 is more than the 512" in lint("all.yaml", "--policy", "policy.yaml").output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("maxToken: 5", "maxToken: Extra inputs"),
        ("models: [a", "no YAML"),
        ("namespaces: {a: {effort: most}}", "namespaces.a.effort"),
        ("- a", "all of it"),
        ("operator: {replicas: 2}", "these are chart values without operator.policy"),
        ("operator: {policy: {maxToken: 5}}", "maxToken: Extra inputs"),
        ("operator: {policy: {}}\nmaxTokens: 5", "operator: Extra inputs"),
        ("effort: &a low\nnamespaces: {a: {effort: *a}}", "no YAML: line 2: aliases"),
    ],
)
def test_a_policy_that_is_not_understood_is_told(folder: Path, text: str, said: str) -> None:
    (folder / "all.yaml").write_text(GOOD + "---\n" + SECRET)
    (folder / "policy.yaml").write_text(text)
    result = lint("all.yaml", "--policy", "policy.yaml")
    assert isinstance(result.exception, Refused)
    assert "policy: policy.yaml: " in str(result.exception)
    assert said in str(result.exception)
