"""A route whose model goes away says so while it works, and that it does not once the model is gone."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from eventroute.crd.objects import ObjectKey
from eventroute.crd.status import StatusReason
from eventroute.route_table import ModelCall, WorkerRoute
from eventroute.runtime.notices import Notice
from eventroute_operator.judge import Judged
from eventroute_operator.obstacles import Obstacle, Obstacles
from support.cluster_objects import TRIAGE, cluster_with, route_body
from support.routes import model_call
from support.runs import prompt_rule, worker_route

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
TODAY = NOW.date()
OLD, NEW, THIRD = "claude-haiku-4-5", "claude-haiku-5-5", "claude-sonnet-5-5"
LATER, GONE = Notice(retires=date(2026, 12, 20)), Notice(is_retired=True, retires=date(2026, 11, 30))
RETIRES, UNAVAILABLE = StatusReason.MODEL_RETIRES, StatusReason.MODEL_UNAVAILABLE


def call(name: str, fallback: str | None = None) -> ModelCall:
    return model_call(name=name, **({"fallback": fallback} if fallback else {}))


def route(*calls: ModelCall) -> WorkerRoute:
    return worker_route(prompts=tuple(prompt_rule(model=each) for each in calls))


def judged(asked: WorkerRoute | None, key: ObjectKey = TRIAGE) -> Judged:
    found = cluster_with(route_body()).routes[TRIAGE]
    return Judged(replace(found, key=key), (), None, asked, {})


def told(asked: WorkerRoute, notices: Mapping[str, Notice]) -> Obstacle | None:
    return Obstacles(notices=notices).of(judged(asked), None, NOW)


@pytest.mark.parametrize(
    ("retires", "words"),
    [
        (date(2027, 1, 31), "retires on 2027-01-31"),
        (date(2027, 1, 30), "retires on 2027-01-30, in 60 days or less"),
        (date(2026, 12, 16), "retires on 2026-12-16, in 60 days or less"),
        (date(2026, 12, 15), "retires on 2026-12-15, in 14 days or less"),
        (date(2026, 12, 5), "retires on 2026-12-05, in 14 days or less"),
        (date(2026, 12, 4), "retires on 2026-12-04, in 3 days or less"),
        (date(2026, 12, 2), "retires on 2026-12-02, in 3 days or less"),
        (TODAY, "retires any moment, since 2026-12-01"),
        (None, "deprecated, retires on a day to be announced"),
    ],
)
def test_the_day_is_told_in_words_that_change_60_14_and_3_days_before(retires: date | None, words: str) -> None:
    assert told(route(call(OLD)), {OLD: Notice(retires=retires)}) == (RETIRES, f"model {OLD}: {words}")


@pytest.mark.parametrize(
    ("calls", "notices", "expected"),
    [
        ([call(NEW)], {OLD: GONE}, None),
        ([call(OLD)], {OLD: GONE}, (UNAVAILABLE, OLD)),
        ([call(NEW), call(OLD)], {OLD: GONE}, (UNAVAILABLE, OLD)),
        ([call(OLD, NEW)], {OLD: GONE}, (RETIRES, OLD)),
        ([call(OLD, NEW)], {OLD: GONE, NEW: GONE}, (UNAVAILABLE, OLD)),
        ([call(NEW, OLD)], {OLD: GONE}, (RETIRES, OLD)),
        ([call(NEW, OLD)], {OLD: LATER}, (RETIRES, OLD)),
        ([call(NEW), call(THIRD)], {NEW: LATER, THIRD: Notice(retires=date(2026, 12, 19))}, (RETIRES, THIRD)),
        ([call(NEW), call(THIRD)], {NEW: Notice(), THIRD: LATER}, (RETIRES, THIRD)),
        ([call(NEW), call(OLD)], {NEW: LATER, OLD: GONE}, (UNAVAILABLE, OLD)),
    ],
)
def test_what_is_gone_stands_in_the_way_unless_another_model_answers(
    calls: list[ModelCall], notices: dict[str, Notice], expected: tuple[StatusReason, str] | None
) -> None:
    found = told(route(*calls), notices)
    model = found.message.removeprefix("model ").split(":")[0] if found else ""
    assert (found and (found.reason, model)) == expected


def test_what_stands_in_the_way_now_is_told_first() -> None:
    asked = route(call(OLD))
    held = Obstacle(StatusReason.HELD, "held")
    obstacles = Obstacles(by_route={asked.path: held}, notices={OLD: LATER})
    assert obstacles.of(judged(asked), None, NOW) == held
    assert obstacles.of(judged(None, ObjectKey("team-a", "other")), None, NOW) is None
