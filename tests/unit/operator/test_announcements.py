"""Events tell of transitions, once, and never of what passes by itself."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from eventroute.crd.objects import ObjectKey
from eventroute.ids import route_path
from eventroute_operator.announce import Announcer, announcements, build_event, warning_of_budget
from eventroute_operator.cluster import RouteObject
from support.cluster_objects import TRIAGE, cluster_with, route_body


def route() -> RouteObject:
    return cluster_with(route_body()).routes[TRIAGE]


def status(ready: str, reason: str = "Ready", revision: str = "aa") -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "reason": reason, "message": "why"}
    return {"conditions": [condition], "secrets": [{"name": "hook", "key": "secret", "revision": revision}]}


READY = status("True")
MISSING = status("False", "SecretNotFound")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, READY, [("Normal", "Programmed")]),
        ({}, MISSING, [("Warning", "SecretNotFound")]),
        (READY, READY, []),
        (MISSING, MISSING, []),
        (READY, MISSING, [("Warning", "SecretNotFound")]),
        (MISSING, status("False", "InvalidTemplate"), [("Warning", "InvalidTemplate")]),
        (MISSING, READY, [("Normal", "Programmed")]),
        (READY, status("False", "Propagating"), []),
        (READY, status("True", revision="bb"), [("Normal", "SecretRotated")]),
        (MISSING, status("False", "SecretNotFound", revision="bb"), []),
        ({"conditions": None, "secrets": None}, READY, [("Normal", "Programmed")]),
    ],
)
def test_an_event_tells_of_a_transition(
    before: dict[str, Any], after: dict[str, Any], told: list[tuple[str, str]]
) -> None:
    assert [(each.type, each.reason) for each in announcements(route(), before, after)] == told


def working(reason: str, message: str) -> dict[str, Any]:
    condition = {"type": "Working", "status": "True", "reason": reason, "message": message}
    return {**READY, "conditions": [*READY["conditions"], condition]}


SOON, SOONER = working("ModelRetires", "in 14 days"), working("ModelRetires", "in 3 days")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (READY, SOON, ["in 14 days"]),
        (SOON, SOON, []),
        (SOON, SOONER, ["in 3 days"]),
        (SOONER, working("Working", "all is well"), []),
        (READY, working("KeyRefused", "401"), []),
    ],
)
def test_a_model_that_goes_away_is_told_again_as_its_day_comes_nearer(
    before: dict[str, Any], after: dict[str, Any], told: list[str]
) -> None:
    found = [(each.type, each.reason, each.message) for each in announcements(route(), before, after)]
    assert found == [("Warning", "ModelRetires", message) for message in told]


IDLE, IDLER = working("NothingMatched", "1 event"), working("NothingMatched", "2 events")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (READY, IDLE, ["1 event"]),
        (IDLE, IDLER, []),
        (IDLER, working("Working", "all is well"), []),
        ({}, IDLE, ["the route is served as it is written", "1 event"]),
    ],
)
def test_a_route_of_whose_events_nothing_comes_is_told_once(
    before: dict[str, Any], after: dict[str, Any], told: list[str]
) -> None:
    assert [each.message for each in announcements(route(), before, after)] == told


def test_an_event_names_its_route() -> None:
    (told,) = announcements(route(), {}, MISSING)
    event = build_event(told, datetime(2026, 1, 31, 12, tzinfo=UTC))
    assert event["regarding"]["uid"] == "uid-triage"
    assert event["metadata"]["namespace"] == "team-a"
    assert event["eventTime"] == "2026-01-31T12:00:00.000000Z"
    assert (event["reason"], event["note"]) == ("SecretNotFound", "why")


async def test_more_events_than_anybody_reads_are_dropped() -> None:
    posted: list[object] = []

    async def post(event: object) -> None:
        posted.append(event)

    announcer = Announcer(post)
    (told,) = announcements(route(), {}, MISSING)
    for _ in range(1000):
        announcer.announce(told)
    assert len(announcer._waiting) == 200


@pytest.mark.parametrize(
    ("scope", "regarding", "whose"),
    [
        ("team-a/two", ["team-a/two"], "route team-a/two"),
        ("team-a", ["team-a/one"], "namespace team-a"),
        ("*", ["team-a/one", "team-b/one"], "the installation"),
        ("team-c", [], ""),
        ("team-a/gone", [], ""),
    ],
)
def test_a_budget_that_is_nearly_spent_is_told_once_in_each_namespace(
    scope: str, regarding: list[str], whose: str
) -> None:
    keys = [("team-b", "one"), ("team-a", "two"), ("team-a", "one")]
    routes = {route_path(*key): replace(route(), key=ObjectKey(*key)) for key in keys}
    told = list(warning_of_budget(scope, 1_800_000_000_000, routes))
    assert [route_path(*each.route.key) for each in told] == regarding
    assert {(each.type, each.reason, each.message) for each in told} <= {
        (
            "Warning",
            "BudgetNearlySpent",
            f"the budget of {whose} is nearly spent; its period ends at 2027-01-15T08:00:00Z",
        )
    }
