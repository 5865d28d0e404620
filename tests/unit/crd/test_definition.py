"""The generated files are current, and the definition says what people and the API server look for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventroute.crd.__main__ import DEFINITIONS, REFERENCE, main
from eventroute.crd.definition import build_definition, write_definition
from eventroute.crd.structural import structural_schema
from eventroute.crd.v1alpha1 import EventRouteSpec

ROOT = Path(__file__).parents[3]
SCHEMA: dict[str, Any] = build_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def _nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from _nodes(inner, f"{path}.{name}")
    if "items" in schema:
        yield from _nodes(schema["items"], f"{path}[]")


def test_the_committed_files_are_current() -> None:
    assert main(["--check", "--root", str(ROOT)]) == 0


def test_the_chart_holds_the_very_same_bytes() -> None:
    first, second = (ROOT / file for file in DEFINITIONS)
    assert first.read_bytes() == second.read_bytes()


def test_an_outdated_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--write", "--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0
    (tmp_path / REFERENCE).write_text("old", encoding="utf-8")
    (tmp_path / DEFINITIONS[1]).unlink()
    assert main(["--check", "--root", str(tmp_path)]) == 1
    complaints = capsys.readouterr().err
    assert complaints.count("make generate") == 2
    assert str(DEFINITIONS[1]) in complaints


@pytest.mark.parametrize("arguments", [[], ["--write", "--check"], ["--read"]])
def test_wrong_arguments_are_told(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_writing_is_repeatable() -> None:
    assert write_definition() == write_definition()
    assert "&id" not in write_definition()


def test_the_schema_has_no_defaults_and_every_field_has_words() -> None:
    for path, node in [
        *_nodes(SCHEMA["properties"]["spec"], "spec"),
        *_nodes(SCHEMA["properties"]["status"], "status"),
    ]:
        assert "default" not in node, path
        assert node.get("description") or path.endswith("[]"), path


def test_status_is_a_door_of_its_own() -> None:
    assert build_definition()["spec"]["versions"][0]["subresources"] == {"status": {}}


def test_conditions_are_merged_by_their_type() -> None:
    conditions = SCHEMA["properties"]["status"]["properties"]["conditions"]
    assert (conditions["x-kubernetes-list-type"], conditions["x-kubernetes-list-map-keys"]) == ("map", ["type"])


def test_durations_carry_their_bounds_as_rules() -> None:
    timeout = structural_schema(EventRouteSpec, "spec")["properties"]["model"]["properties"]["timeout"]
    (rule,) = timeout["x-kubernetes-validations"]
    assert rule["rule"] == "duration(self) >= duration('1s') && duration(self) <= duration('10m')"
    assert rule["message"] == "must be between 1s and 10m"


def test_column_names_are_unique() -> None:
    columns = [column["name"] for column in build_definition()["spec"]["versions"][0]["additionalPrinterColumns"]]
    assert len({name.upper() for name in columns}) == len(columns) == 10


def test_the_file_is_yaml_of_the_definition() -> None:
    assert yaml.safe_load((ROOT / DEFINITIONS[0]).read_text(encoding="utf-8")) == build_definition()
