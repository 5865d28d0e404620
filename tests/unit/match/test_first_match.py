"""The first prompt whose pattern and condition hold is asked; a condition that fails does not hold."""

from eventroute.expression import EvaluationError
from eventroute.match import Match
from support.routes import event, plan


def test_the_first_matching_prompt_wins() -> None:
    route = plan(prompts=[{"events": ["push"]}, {"events": ["issues.*"]}, {"events": ["*"]}])
    assert route.match(event({}, name="issues.opened")) == Match(1)


def test_a_condition_that_is_false_gives_way_to_the_next_prompt() -> None:
    route = plan(prompts=[{"when": "payload.n > 10"}, {"when": "payload.n > 5"}])
    assert route.match(event({"n": 7})) == Match(1)


def test_a_condition_is_not_evaluated_for_events_that_its_pattern_does_not_accept() -> None:
    route = plan(prompts=[{"events": ["push"], "when": "payload.missing"}, {"events": ["*"]}])
    assert route.match(event({})) == Match(1, ())


def test_a_condition_that_cannot_be_evaluated_does_not_hold_and_is_told() -> None:
    route = plan(prompts=[{"when": "payload.user.age > 18"}, {"events": ["*"]}])
    assert route.match(event({"user": {}})) == Match(1, ((0, EvaluationError.MISSING_FIELD),))


def test_no_prompt_may_match() -> None:
    assert plan(prompts=[{"events": ["push"]}]).match(event({})).position is None
