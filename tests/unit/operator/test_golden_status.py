"""What a route says of itself in every situation, in full: the pairs stand in `tests/golden/status`."""

from datetime import timedelta

import pytest

from eventroute.crd.status import MAX_MESSAGE_LENGTH, REASONS, StatusReason
from eventroute.runtime.stats import LastDelivery, RouteStats
from eventroute_operator.scaling import Scaling
from support.golden_status import BUSY, FOLDER, NOW, SITUATIONS, expected, judged, status


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_situation_is_told_as_expected(situation: str) -> None:
    assert SITUATIONS[situation]() == expected(situation)


def test_no_file_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(SITUATIONS)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_reason_is_documented_for_its_condition(situation: str) -> None:
    conditions = {each["type"]: each for each in SITUATIONS[situation]()["conditions"]}
    for kind, condition in conditions.items():
        page = REASONS[condition["reason"]]
        assert kind == "Ready" or kind in page.conditions or condition["status"] == "Unknown"
        assert len(condition["message"]) <= MAX_MESSAGE_LENGTH


def test_a_status_that_is_told_again_is_the_same() -> None:
    first = status(stats=BUSY)
    assert status(stats=BUSY, before=first, now=NOW + timedelta(days=1)) == first


@pytest.mark.parametrize("outcome", ["queued", "succeeded", "refused", "truncated", "no_text", "discarded", "dead"])
def test_every_outcome_of_a_delivery_has_a_word(outcome: str) -> None:
    stats = RouteStats(receipts={}, runs={}, secrets={}, last=LastDelivery(0, outcome, "d-1", ""))
    conditions = status(stats=stats)["conditions"]
    assert conditions[-1]["reason"] == {"no_text": "NoText"}.get(outcome, outcome.capitalize())


def test_an_outcome_of_a_newer_worker_is_left_out_of_the_conditions() -> None:
    stats = RouteStats(receipts={}, runs={}, secrets={}, last=LastDelivery(0, "novel", "d-1", ""))
    told = status(stats=stats)
    assert told["lastDelivery"]["outcome"] == "novel"
    assert told["conditions"][-1]["type"] == "Ready"


def test_a_long_message_is_cut() -> None:
    told = status(scaling=Scaling(StatusReason.AUTOSCALER_NOT_READY, "x" * 1000))
    assert len(told["conditions"][5]["message"]) == MAX_MESSAGE_LENGTH


def test_a_status_holds_no_secret() -> None:
    assert "5b1f0c8de2a94e7fb0a3" not in str(status(judged()))
