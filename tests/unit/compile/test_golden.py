"""What a manifest becomes, in whole: a case per folder of tests/golden/compile."""

from pathlib import Path

import pytest

from eventroute.compile import MAX_MESSAGE_LENGTH, Reason
from eventroute.schemes import SecretProblem
from support import golden


@pytest.mark.parametrize("case", golden.cases(), ids=lambda case: case.name)
def test_a_manifest_becomes_what_is_written_down(case: Path) -> None:
    assert golden.outcome(case) == golden.expected(case)


@pytest.mark.parametrize("case", golden.cases(), ids=lambda case: case.name)
def test_a_route_is_in_the_tables_of_what_it_serves_and_in_no_other(case: Path) -> None:
    outcome = golden.outcome(case)
    for side, plane in (("intake", "receiver"), ("work", "worker")):
        assert outcome[plane].keys() == {each["path"] for each in outcome["verdicts"] if side in each["serves"]}


def test_every_reason_has_a_case() -> None:
    seen = {
        problem["reason"]
        for case in golden.cases()
        for verdict in golden.expected(case)["verdicts"]
        for problem in verdict["problems"]
    }
    assert seen == {str(reason) for reason in Reason}


def test_every_problem_of_a_secret_is_a_reason() -> None:
    assert {problem.value for problem in SecretProblem} <= {reason.value for reason in Reason}


def test_messages_name_the_route_and_stay_short() -> None:
    for case in golden.cases():
        for verdict in golden.expected(case)["verdicts"]:
            for problem in verdict["problems"]:
                assert problem["message"].startswith(f"route {verdict['path']}: ")
                assert len(problem["message"]) <= MAX_MESSAGE_LENGTH
