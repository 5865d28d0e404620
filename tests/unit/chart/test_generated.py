"""Schema and settings page follow from values.yaml, whose comments are both."""

from typing import Any

import chartgen
import pytest

VALUES = """\
# About the file, and no setting.

# The receiver.
receiver:
  # Number of pods | of receivers.
  #: {minimum: 1}
  replicas: 2
  # Where it may
  # run.
  #: {additionalProperties: {type: string}}
  nodeSelector: {}
# Names.
#: {items: {type: string}}
names: [a]
# A share.
ratio: 0.5
# Whether.
enabled: true
"""


def schema(text: str = VALUES) -> dict[str, Any]:
    return chartgen.build_schema(chartgen.read_settings(text))


def test_types_follow_from_defaults() -> None:
    properties = schema()["properties"]
    kinds = {name: value["type"] for name, value in properties.items() if name != "global"}
    assert kinds == {"receiver": "object", "names": "array", "ratio": "number", "enabled": "boolean"}
    assert properties["receiver"]["properties"]["replicas"]["type"] == "integer"


def test_a_schema_line_adds_to_the_type() -> None:
    receiver = schema()["properties"]["receiver"]["properties"]
    assert receiver["replicas"]["minimum"] == 1
    assert receiver["nodeSelector"]["additionalProperties"] == {"type": "string"}


def test_unknown_keys_are_refused_at_every_level() -> None:
    assert schema()["additionalProperties"] is False
    assert schema()["properties"]["receiver"]["additionalProperties"] is False


def test_a_chart_around_this_one_may_have_its_global_values() -> None:
    assert schema()["properties"]["global"]["type"] == "object"


def test_comments_are_the_descriptions() -> None:
    receiver = schema()["properties"]["receiver"]
    assert receiver["description"] == "The receiver."
    assert receiver["properties"]["nodeSelector"]["description"] == "Where it may run."


def test_the_page_has_a_row_per_setting() -> None:
    page = chartgen.build_settings_page(chartgen.read_settings(VALUES))
    assert "| `receiver.replicas` | `2` | Number of pods \\| of receivers. |" in page
    assert "### receiver\n\nThe receiver.\n" in page
    assert "#:" not in page
    assert "About the file" not in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n", "a: no comment says what it is"),
        ("# A.\na:\n  b: 1\n", "a.b: no comment says what it is"),
        ("# A.\n\na: 1\n", "a: no comment says what it is"),
        ("#: {minimum: 1}\na: 1\n", "a: no comment says what it is"),
        ("# A.\na: {}\n", "a: say `#: {additionalProperties: …}`"),
        ("# A.\na: []\n", "a: say `#: {items: …}`"),
        ("# A.\na: null\n", "a: a default is a text, number, boolean, list or map"),
        ("", "not a map"),
    ],
)
def test_what_is_left_unsaid_is_refused(text: str, message: str) -> None:
    with pytest.raises(chartgen.BadValues, match=message.replace("{", "\\{")):
        chartgen.read_settings(text)


def test_the_charts_files_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert chartgen.main(["--check"]) == 0, capsys.readouterr().err
