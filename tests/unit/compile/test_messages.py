"""Messages are cut, not lost; conditions follow from what is wrong."""

import pytest

from eventroute.compile import MAX_MESSAGE_LENGTH, Condition
from support.routes import compiled


def test_a_long_message_is_cut() -> None:
    problem = compiled(filter="x" * 1000).verdicts[0].problems[0]
    assert len(problem.message) == MAX_MESSAGE_LENGTH
    assert problem.message.endswith("…")


@pytest.mark.parametrize(
    ("spec", "condition"),
    [
        ({"filter": "nope"}, Condition.ACCEPTED),
        ({"prompts": [{"when": "nope"}]}, Condition.PROMPTS_VALID),
        ({"secretRefs": []}, Condition.SECRETS_RESOLVED),
    ],
)
def test_an_error_makes_its_condition_false_and_no_other(spec: dict[str, object], condition: Condition) -> None:
    verdict = compiled(**spec).verdicts[0]
    assert [other for other in Condition if verdict.of(other)] == [condition]


def test_a_warning_makes_no_condition_false() -> None:
    verdict = compiled(prompts=[{}, {}]).verdicts[0]
    assert verdict.problems
    assert verdict.is_served
    assert not verdict.of(Condition.PROMPTS_VALID)
