"""When a route that answers 200 says that nothing comes of it, and what it says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventroute.crd.status import MAX_MESSAGE_LENGTH
from eventroute.outcome import LeftOut
from eventroute.runtime.stats import Effect
from eventroute_operator.idle import nothing_matched

BEGAN = datetime(2026, 1, 31, 11, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
FILTERED = {LeftOut.FILTERED: {"push": 1}}
UNNAMED = {LeftOut.NO_PROMPT: {"pull_request.opened": 1}}


def said(*, after: timedelta = HOUR, of: int = 3, **effect: Any) -> str | None:
    found = Effect(**{"generation": 3, "since_ms": int(BEGAN.timestamp() * 1000), "left": FILTERED, **effect})
    return nothing_matched(found, of, BEGAN + after)


@pytest.mark.parametrize(
    "effect",
    [
        {},
        {"left": UNNAMED, "queued": 5},
        {"left": {LeftOut.WHEN: {"push": 1}}, "queued": 1},
        {"left": {LeftOut.UNDECIDED: {"push": 1}}},
        {"left": {LeftOut.OWN_ACTION: {"": 1}}},
        {"after": timedelta(days=20)},
    ],
)
def test_it_is_told_when_all_that_was_judged_was_left_out(effect: dict[str, Any]) -> None:
    assert said(**effect)


@pytest.mark.parametrize(
    "effect",
    [
        {"after": HOUR - timedelta(seconds=1)},
        {"of": 4},
        {"of": 2},
        {"left": {}},
        {"left": {}, "queued": 5},
        {"queued": 1},
        {"asked": 1},
        {"asked": 1, "queued": 9, "left": UNNAMED},
    ],
    ids=["early", "spec changed", "older spec", "no event", "all wait", "one waits", "one found", "some found"],
)
def test_it_is_not_told_when_something_came_of_one_or_nobody_can_know(effect: dict[str, Any]) -> None:
    assert said(**effect) is None


def test_nothing_is_told_of_a_route_without_events() -> None:
    assert nothing_matched(None, 3, BEGAN) is None


def test_the_message_has_the_counts_of_each_cause_the_types_of_the_first_and_the_fields() -> None:
    types = {"pull_request.opened": 20, "issues.opened": 6, "push": 3, "fork": 1}
    assert said(queued=30, left={LeftOut.FILTERED: {"ping": 2}, LeftOut.NO_PROMPT: types}) == (
        "32 events since 2026-01-31T11:00Z, none for Claude: 30 of types that no prompt's `events` name "
        "(pull_request.opened 20, issues.opened 6, push 3, …), 2 filtered; see spec.prompts, spec.filter"
    )


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (FILTERED, "1 event since 2026-01-31T11:00Z, none for Claude: 1 filtered (push 1); see spec.filter"),
        (
            {LeftOut.FILTERED: {"push": 1}, LeftOut.UNDECIDED: {"push": 2}},
            "2 that `filter` fails on (push 2), 1 filtered; see spec.filter",
        ),
        ({LeftOut.OWN_ACTION: {"": 4}}, "for Claude: 4 own actions; see spec.ownActors"),
        ({LeftOut.WHEN: {"push": 4}}, "for Claude: 4 for which no `when` is true (push 4); see spec.prompts"),
    ],
)
def test_the_message_says_where_to_look(left: dict[LeftOut, dict[str, int]], words: str) -> None:
    assert (said(left=left) or "").endswith(words)


@pytest.mark.parametrize("name", ["two words", "\x1b[31mred", "новый", "a\nb", "<b>", ""])
def test_a_name_that_a_stranger_made_up_is_not_shown(name: str) -> None:
    assert "1 filtered; see" in (said(left={LeftOut.FILTERED: {name: 1}}) or "")
    assert "3 filtered (push 1, …); see" in (said(left={LeftOut.FILTERED: {name: 2, "push": 1}}) or "")


def test_the_message_fits_whatever_came_and_keeps_its_end() -> None:
    types = {f"{number}{'x' * 39}": 9_000 + number for number in range(9)}
    message = said(left=dict.fromkeys(LeftOut, types)) or ""
    assert len(message) <= MAX_MESSAGE_LENGTH
    assert message.endswith("; see spec.filter, spec.prompts, spec.ownActors")
    one = said(left={LeftOut.NO_PROMPT: types}) or ""
    assert len(one) <= MAX_MESSAGE_LENGTH
    assert " (8xxx" in one
    assert one.endswith("…); see spec.prompts")
