"""How far a published route has come, by what the processes say of themselves."""

import pytest

from eventroute.crd.status import StatusReason
from eventroute.ids import RoutePath
from eventroute.runtime.tables import Heartbeat
from eventroute_operator.fleet import SILENCE_S, Fleet, Published, Serving, programming, redis_troubles

PATH = RoutePath("team-a/triage")
BROKEN = Serving(9, frozenset({PATH}))


@pytest.mark.parametrize(
    ("published", "fleet", "reason"),
    [
        (Published(5, 5), Fleet(Serving(5), Serving(5)), StatusReason.PROGRAMMED),
        (Published(5, 5), Fleet(Serving(9), Serving(9)), StatusReason.PROGRAMMED),
        (Published(5, 5), Fleet(Serving(5), Serving()), StatusReason.PROGRAMMED),
        (Published(5, 5), Fleet(Serving(4), Serving(5)), StatusReason.PROPAGATING),
        (Published(5, 5), Fleet(Serving(5), Serving(4)), StatusReason.PROPAGATING),
        (Published(None, 5), Fleet(Serving(5), Serving(5)), StatusReason.PROPAGATING),
        (Published(5, None), Fleet(Serving(5), Serving()), StatusReason.PROPAGATING),
        (Published(5, 5), Fleet(Serving(), Serving(5)), StatusReason.NO_RECEIVERS),
        (Published(5, 5), Fleet(BROKEN, Serving(5)), StatusReason.UNREADABLE),
        (Published(5, 5), Fleet(Serving(5), BROKEN), StatusReason.UNREADABLE),
        (Published(5, 5), Fleet(Serving(5), Serving(5), is_away=True), StatusReason.REDIS_UNAVAILABLE),
    ],
)
def test_a_route_has_come_as_far_as_the_slowest_process(
    published: Published, fleet: Fleet, reason: StatusReason
) -> None:
    assert programming(PATH, published, fleet) is reason


def test_another_routes_trouble_is_not_this_ones() -> None:
    broken = Serving(9, frozenset({RoutePath("team-a/other")}))
    assert programming(PATH, Published(5, 5), Fleet(broken, broken)) is StatusReason.PROGRAMMED


def test_the_oldest_of_several_processes_counts() -> None:
    beats = [Heartbeat(version=9, broken=[]), Heartbeat(version=7, broken=[PATH])]
    assert Serving().after(beats, 1.0) == Serving(7, frozenset({PATH}), 1.0)


def test_a_process_without_a_table_serves_nobody_and_does_not_count() -> None:
    cold = Heartbeat(version=None, broken=[])
    assert Serving().after([cold, Heartbeat(version=9, broken=[])], 1.0).oldest == 9
    assert Serving().after([cold], 100.0).oldest is None


def test_what_is_wrong_with_redis_is_told_once_whoever_finds_it_and_how_many() -> None:
    beats = [Heartbeat(version=9, broken=[], redis=told) for told in (["b", "a"], ["a"], [])]
    receivers, workers = Serving().after(beats, 1.0), Serving().after(beats[1:], 1.0)
    assert redis_troubles(Fleet(receivers, workers)) == "a; b"
    assert redis_troubles(Fleet(receivers.after(beats[2:], 2.0), workers.after(beats[2:], 2.0))) == ""


def test_a_short_silence_is_not_an_absence() -> None:
    before = Serving(9, frozenset(), heard=100.0)
    assert before.after([], 100.0 + SILENCE_S - 1) == before
    assert before.after([], 100.0 + SILENCE_S) == Serving()
