"""Which deliveries are meant, as people write it."""

from datetime import datetime

import pytest

from eventroute.errors import Refused
from eventroute.ids import DeliveryId, RoutePath
from eventroute.queue import Line, State, Wanted
from eventroute_cli.desk.filters import Period, Which, wanted

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("", 0),
        ("90s", 1_799_999_910_000),
        ("2h", 1_799_992_800_000),
        ("7d", 1_799_395_200_000),
        ("999999999d", 0),
        ("2026-05-01T12:00+00:00", 1_777_636_800_000),
    ],
)
def test_times_are_ages_or_dates(text: str, ms: int) -> None:
    assert wanted(period=Period(since=text), now=NOW).since_ms == ms
    assert wanted(period=Period(until=text), now=NOW).until_ms == ms


def test_a_date_without_a_zone_is_local() -> None:
    may = datetime(2026, 5, 1).astimezone()
    assert wanted(period=Period(since="2026-05-01")).since_ms == int(may.timestamp() * 1000)


@pytest.mark.parametrize("text", ["yesterday", "2w", "-1h", "12", "0001-01-01", "٣h"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="--since"):
        wanted(period=Period(since=text))


def test_unknown_words_are_refused_with_those_there_are() -> None:
    with pytest.raises(Refused, match='did you mean "render"'):
        wanted(Which(reason="rendr"))
    with pytest.raises(Refused, match="running, later, held"):
        wanted(states=["asleep"])


def test_a_route_is_one_or_all_of_a_namespace() -> None:
    line = Line(id=DeliveryId("d"), route=RoutePath("team-a/triage"), state=State.READY)
    assert [Wanted(route=route).has(line) for route in ("team-a", "team-a/triage", "team", "team-a/tri", "")] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_outcomes_choose_the_sets_to_look_into() -> None:
    assert Wanted(states=frozenset({"succeeded"})).has_state(State.SETTLED)
    assert not Wanted(states=frozenset({"succeeded"})).has_state(State.DEAD)
    assert Wanted(states=frozenset({"dead"})).has_state(State.DEAD)
    assert not Wanted(states=frozenset({"dead"})).has_state(State.READY)
