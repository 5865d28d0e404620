"""Every reason that a condition can have is explained, and nothing else is."""

import re
from pathlib import Path

import pytest

from eventroute.compile import Condition, Reason
from eventroute.crd.status import CONDITIONS, REASONS, ConditionType, StatusReason
from eventroute.outcome import RunOutcome

PAGE = (Path(__file__).parents[3] / "k8s/crd/REFERENCE.md").read_text(encoding="utf-8")


def test_all_reasons_are_explained_and_no_others() -> None:
    assert set(REASONS) == {*map(str, Reason), *map(str, StatusReason)}


def test_every_condition_is_explained_and_can_be_both() -> None:
    assert set(CONDITIONS) == set(ConditionType)
    for condition in ConditionType:
        statuses = {page.status for page in REASONS.values() if condition in page.conditions}
        assert "True" in statuses
        assert "False" in statuses or condition is ConditionType.READY


def test_the_compilers_conditions_are_among_them() -> None:
    assert {str(condition) for condition in Condition} < {str(condition) for condition in ConditionType}


def test_every_end_of_a_run_is_a_reason_of_the_last_delivery() -> None:
    ends = {reason for reason, page in REASONS.items() if page.conditions == (ConditionType.LAST_DELIVERY_SUCCEEDED,)}
    assert ends == {"Queued", *(outcome.title().replace("_", "") for outcome in RunOutcome)}


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_is_one_word_and_its_explanation_two_sentences(reason: str) -> None:
    page = REASONS[reason]
    assert re.fullmatch(r"[A-Z][A-Za-z]+", reason)
    assert page.meaning.endswith(".")
    assert page.remedy.endswith(".")
    assert f"| {page.status} | `{reason}` | " in PAGE
