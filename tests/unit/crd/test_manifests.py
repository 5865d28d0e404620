"""Manifests in files: what is found, what is ignored, and where the mistakes are."""

import json
from pathlib import Path

import pytest

from eventroute.crd.manifest import MAX_FILE_BYTES, ManifestReason, load_manifests, parse_manifests
from eventroute.crd.objects import ObjectKey
from support.routes import manifest

ROUTE = """apiVersion: eventroute.dev/v1alpha1
kind: EventRoute
metadata: {name: triage, namespace: team-a}
spec:
  provider: github
  prompts:
    - user: |
        first
        second
    - user: "first"
"""
SECRET = """apiVersion: v1
kind: Secret
metadata: {name: hook}
data: {encoded: aHVudGVyMg==}
stringData: {plain: hunter3}
"""


def test_a_mistake_has_file_document_line_and_field() -> None:
    text = SECRET + "---\n" + ROUTE + "    - modle: {}\n"
    (problem,) = parse_manifests(text, "routes.yaml").problems
    assert problem == (
        *("routes.yaml", 17, 2, "spec.prompts[2].modle"),
        *(ManifestReason.UNKNOWN_FIELD, 'unknown field; did you mean "model"?'),
    )


def test_mistakes_come_in_the_order_of_their_lines() -> None:
    text = ROUTE.replace("  provider: github\n", "  zzz: 1\n  provider: github\n  aaa: 1\n")
    assert [problem.line for problem in parse_manifests(text).problems] == [5, 7]


def test_a_line_within_a_block_is_a_line_of_the_file() -> None:
    (found,) = parse_manifests(ROUTE).routes
    assert found.origin.line("spec.prompts[0].user", 2) == 9
    assert found.origin.line("spec.prompts[1].user", 1) == 10
    assert found.origin.line("spec.prompts[1].when") == 10, "a field that is not there is where its parent is"
    assert found.origin.line("metadata.uid") == 3


def test_secrets_are_read_in_both_forms_and_do_not_print() -> None:
    manifests = parse_manifests(SECRET)
    (secret,) = manifests.secrets
    assert secret.key == ObjectKey("default", "hook")
    assert {name: value.reveal() for name, value in secret.data.items()} == {"encoded": b"hunter2", "plain": b"hunter3"}
    assert "hunter" not in repr(manifests)


@pytest.mark.parametrize(
    ("line", "field", "message"),
    [
        ("data: {k: 'not base64!'}", "data.k", "is not base64"),
        ("data: {k: hunter2}", "data.k", "is not base64"),
        ("stringData: {k: 5}", "stringData.k", "must be a text"),
        ("data: [hunter2]", "data", "must be an object of texts"),
    ],
)
def test_a_mistake_in_a_secret_does_not_quote_it(line: str, field: str, message: str) -> None:
    text = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: hook}}\n{line}\n"
    (problem,) = parse_manifests(text).problems
    assert (problem.field, problem.line) == (field, 4)
    assert message in problem.message
    assert "hunter" not in repr(problem)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("just text", ManifestReason.NOT_AN_OBJECT),
        ("- a", ManifestReason.NOT_AN_OBJECT),
        ("kind: 5", ManifestReason.NOT_AN_OBJECT),
        ("a: [", ManifestReason.NOT_YAML),
        (ROUTE.replace("v1alpha1", "v1"), ManifestReason.WRONG_API_VERSION),
        ("apiVersion: apps/v1\nkind: Deployment", ManifestReason.IGNORED_KIND),
        ("apiVersion: v1\nkind: Secret", ManifestReason.INVALID_FIELD),
        (SECRET + "---\n" + SECRET, ManifestReason.DUPLICATE_OBJECT),
    ],
)
def test_what_is_not_a_manifest_is_told(text: str, reason: ManifestReason) -> None:
    (problem,) = parse_manifests(text).problems
    assert problem.reason == reason
    assert problem.is_note == (reason == ManifestReason.IGNORED_KIND)


@pytest.mark.parametrize("text", ["", "---\n", "# only a comment\n", "---\n---\n"])
def test_empty_documents_are_nothing(text: str) -> None:
    assert parse_manifests(text).problems == ()


def test_a_list_holds_objects() -> None:
    items = [manifest(), {**manifest(), "spec": {"provider": 5}}]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1)
    manifests = parse_manifests(text)
    assert len(manifests.routes) == 1
    (problem,) = manifests.problems
    assert text.splitlines()[problem.line - 1].strip() == '"provider": 5'


def test_directories_are_read_one_level_deep_unless_recursive(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.yaml").write_text(ROUTE)
    (tmp_path / "a.json").write_text(json.dumps(manifest()))
    (tmp_path / "notes.txt").write_text("not: [a manifest")
    (tmp_path / "sub" / "c.yml").write_text(ROUTE)
    flat, deep = load_manifests([tmp_path]), load_manifests([tmp_path], recursive=True)
    assert [Path(found.origin.file).name for found in flat.routes] == ["a.json", "b.yaml"]
    assert [Path(found.origin.file).name for found in deep.routes] == ["a.json", "b.yaml", "c.yml"]
    assert flat.problems == deep.problems == ()


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"a: 1\nb: \xff\xfe", 2, "is not UTF-8"),
        (b"\xff\xfea\x00", 1, "is not UTF-8"),
        (b"x" * (MAX_FILE_BYTES + 1), 0, "is larger than"),
    ],
)
def test_a_file_that_is_no_text_is_a_problem(tmp_path: Path, data: bytes, line: int, message: str) -> None:
    file = tmp_path / "route.yaml"
    file.write_bytes(data)
    (problem,) = load_manifests([file]).problems
    assert (problem.file, problem.line, problem.reason) == (str(file), line, ManifestReason.UNREADABLE)
    assert message in problem.message


def test_a_byte_order_mark_is_let_through(tmp_path: Path) -> None:
    (tmp_path / "route.yaml").write_bytes(b"\xef\xbb\xbf" + ROUTE.encode())
    assert len(load_manifests([tmp_path]).routes) == 1


def test_files_and_folders_that_are_not_there_are_problems(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    problems = load_manifests([tmp_path / "nowhere.yaml", tmp_path / "empty"]).problems
    assert [problem.reason for problem in problems] == [ManifestReason.UNREADABLE] * 2
    assert "No such file" in problems[0].message
    assert "use -R" in problems[1].message
