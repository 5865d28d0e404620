"""What the worker's loop asks of the queue and when, told exactly: its time passes at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from signal import Signals
from typing import Any, Final

import pytest

from eventroute.ids import RoutePath, RouteUid, route_path, sending_path
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import Amount, Group, Lease, LeaseLost, Retention, Taken, Trouble
from eventroute.runtime.metrics import REGISTRY
from eventroute.runtime.scripts import RedisAway, RedisForbids
from eventroute.throttle import Size
from eventroute_worker.attempt import DEFAULT_RETENTION, Attempt, End, Later, Parked, Settled, Throttled, dead
from eventroute_worker.worker import LEASE_S
from support.fake_queue import NOW_MS, Scene, lease_of
from support.runs import PATH
from support.virtual_time import run_at_once
from support.worker import DONE

OTHER: Final = route_path("team-b", "other")
THIRD: Final = route_path("team-c", "third")
AWAY: Final = RedisAway("LOST", "no answer")
FORBIDDEN: Final = RedisForbids("NOPERM", "no such right")
TROUBLE: Final = Trouble(reason="billing", detail="402", key_id="own", model="")


def plays(scene: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Let a test run in a loop whose time passes at once."""

    def test() -> None:
        run_at_once(scene)

    test.__name__ = scene.__name__
    test.__doc__ = scene.__doc__
    return test


def _nothing(*, next_ms: int | None = None, drain: bool = False) -> Taken:
    return Taken(NOW_MS, next_ms, drain, [])


def _sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


# --- when it looks ---


@plays
async def test_an_idle_worker_looks_once_a_second_for_all_its_slots() -> None:
    scene = Scene(slots=7)
    async with scene.working():
        await asyncio.sleep(2.5)
    assert scene.queue.done == [(at, "look", (0, 15_000, 7, 0, [])) for at in (0, 1, 2)]
    assert LEASE_S == 15


@pytest.mark.parametrize(
    ("next_ms", "at"), [(NOW_MS + 300, 0.3), (NOW_MS + 1_300, 1), (NOW_MS, 0.001), (NOW_MS - 5, 0.001)]
)
def test_it_looks_again_when_something_is_due(next_ms: int, at: float) -> None:
    async def scene() -> None:
        scene = Scene()
        scene.queue.looks = [_nothing(next_ms=next_ms)]
        async with scene.working():
            await asyncio.sleep(1.2)
        assert scene.queue.times("look")[:2] == [0, at]

    run_at_once(scene)


@plays
async def test_a_token_makes_it_look_at_once() -> None:
    scene = Scene()
    async with scene.working():
        await asyncio.sleep(0.4)
        await scene.bells[Group(0)].tokens.put("1")
        await asyncio.sleep(0.5)
    assert scene.queue.times("look") == [0, 0.4]
    assert scene.bells[Group(0)].heard == ["er:{g0}:wake 0 to 0.4", "er:{g0}:wake 0.4 to 0.9", "closed"]


@plays
async def test_it_goes_on_listening_while_it_looks() -> None:
    scene = Scene()
    async with scene.working():
        await asyncio.sleep(4.5)
    assert scene.bells[Group(0)].heard == [f"er:{{g0}}:wake {at} to {at + 2}" for at in (0, 2)] + [
        "er:{g0}:wake 4 to 4.5",
        "closed",
    ]


@plays
async def test_a_worker_whose_slots_are_full_neither_looks_nor_listens_until_one_is_free() -> None:
    scene = Scene(slots=2, grace_s=9)
    async with scene.working():
        await asyncio.sleep(0.5)
        scene.let_wait({"d-1": 3.2, "d-2": 9, "d-3": 9})
        await asyncio.sleep(4)
        scene.bells[Group(0)].heard.clear()
        assert scene.queue.times("look") == [0, 1, 4.2]
    assert scene.handler.begun == [(1, "d-1", 1), (1, "d-2", 1), (4.2, "d-3", 1)]
    assert scene.queue.said("look")[-1] == (0, 15_000, 1, 2, [])


@plays
async def test_it_stops_listening_while_its_slots_are_full() -> None:
    scene = Scene(slots=1)
    async with scene.working():
        await asyncio.sleep(0.5)
        scene.let_wait({"d-1": 3})
        await asyncio.sleep(4)
    assert scene.bells[Group(0)].heard[:2] == ["er:{g0}:wake 0 to 1", "er:{g0}:wake 4 to 4.5"]


@plays
async def test_what_frees_its_slot_before_its_end_makes_room_for_the_next_one() -> None:
    scene = Scene(slots=1, begun=3, takes=dict.fromkeys(("d-1", "d-2", "d-3", "d-4"), 10))
    scene.handler.frees = dict.fromkeys(("d-1", "d-2", "d-3"), 1)
    async with scene.working():
        await asyncio.sleep(13)
    # Three may be under way: the fourth begins when the first has ended.
    assert scene.handler.begun == [(0, "d-1", 1), (1, "d-2", 1), (2, "d-3", 1), (11, "d-4", 1)]
    assert [said[2:4] for said in scene.queue.said("look")[:3]] == [(1, 0), (1, 1), (1, 2)]


@plays
async def test_twice_as_many_as_there_are_slots_are_under_way_where_nothing_else_is_said() -> None:
    scene = Scene(slots=1, takes=dict.fromkeys(("d-1", "d-2", "d-3"), 10))
    scene.handler.frees = dict.fromkeys(("d-1", "d-2"), 1)
    async with scene.working():
        await asyncio.sleep(12)
    assert scene.handler.begun == [(0, "d-1", 1), (1, "d-2", 1), (11, "d-3", 1)]


@plays
async def test_as_many_as_were_wanted_mean_that_there_may_be_more() -> None:
    scene = Scene(slots=4, grace_s=9)
    scene.queue.looks = [Taken(NOW_MS, None, drain=False, leases=[lease_of("d-1"), lease_of("d-2")])]
    scene.handler.takes = {"d-1": 5, "d-2": 5}
    async with scene.working():
        await asyncio.sleep(0.5)
    assert scene.queue.times("look") == [0], "two of four: nothing more is there"


@plays
async def test_where_a_look_brought_all_that_a_route_may_have_it_looks_again_at_once() -> None:
    scene = Scene(slots=10)
    running = [lease_of(f"d-{number}", path) for number, path in enumerate([PATH] * 3 + [OTHER])]
    scene.queue.looks = [Taken(NOW_MS, None, drain=False, leases=running)]
    scene.queue.waiting = [lease_of(f"e-{number}", THIRD) for number in range(5)]
    scene.handler.takes = dict.fromkeys([each.delivery for each in running + scene.queue.waiting], 30)
    async with scene.working():
        await asyncio.sleep(1.5)
    looks = [(at, said[2], said[3]) for at, what, said in scene.queue.done if what == "look"]
    assert looks == [(0, 10, 0), (1, 5, 4), (1, 1, 9)]


@plays
async def test_that_something_has_ended_is_no_reason_to_look_where_slots_are_free() -> None:
    scene = Scene(takes={"d-1": 0.4, "d-2": 0.6})
    async with scene.working():
        await asyncio.sleep(1.5)
    assert scene.queue.times("look") == [0, 1]


@plays
async def test_it_is_one_where_a_route_has_all_that_it_may_have() -> None:
    scene = Scene(slots=5)
    leases = [lease_of(f"d-{number}", path) for number, path in enumerate([PATH] * 4 + [OTHER])]
    scene.queue.looks = [Taken(NOW_MS, None, drain=False, leases=leases[:4] + leases[4:])]
    scene.handler.takes = {"d-0": 1.6, "d-1": 30, "d-2": 30, "d-3": 30, "d-4": 0.2}
    async with scene.working():
        await asyncio.sleep(1.9)
    looks = [(at, said[2], said[4]) for at, what, said in scene.queue.done if what == "look"]
    assert looks == [(0, 5, []), *[(0.2, 1, [PATH])] * 2, (1.2, 1, [PATH]), (1.6, 1, [])]


@plays
async def test_a_route_counts_as_another_one_for_five_minutes_after_its_last_delivery() -> None:
    scene = Scene(slots=5)
    leases = [lease_of(f"d-{number}", path) for number, path in enumerate([PATH] * 4 + [OTHER])]
    scene.queue.looks = [Taken(NOW_MS, None, drain=False, leases=leases)]
    scene.handler.takes = dict.fromkeys(("d-0", "d-1", "d-2", "d-3"), 999.0) | {"d-4": 0.5}
    async with scene.working():
        await asyncio.sleep(310)
    crowded = {at: said[4] for at, what, said in scene.queue.done if what == "look"}
    assert [crowded[at] for at in (0.5, 298.5)] == [[PATH], [PATH]]
    assert [said for at, said in crowded.items() if at > 301] == [[]] * 9


@plays
async def test_groups_take_turns_in_being_asked_first() -> None:
    groups = Group(0), Group(1), Group(2)
    scene = Scene(groups=groups)
    scene.queue.looks = [_nothing(next_ms=NOW_MS + 700), _nothing(next_ms=NOW_MS + 200), _nothing(next_ms=NOW_MS + 900)]
    async with scene.working():
        await asyncio.sleep(0.3)
    asked = [(at, said[0]) for at, _, said in scene.queue.done]
    assert asked == [(0, 1), (0, 2), (0, 0), (0.2, 2), (0.2, 0), (0.2, 1)]


@plays
async def test_a_group_that_fills_the_slots_is_the_last_one_that_is_asked() -> None:
    groups = Group(0), Group(1)
    scene = Scene(slots=2, groups=groups, grace_s=9)
    scene.queue.waiting = [lease_of(f"d-{number}", group=groups[1]) for number in (1, 2)]
    scene.handler.takes = {"d-1": 5, "d-2": 5}
    async with scene.working():
        await asyncio.sleep(0.5)
    assert [said[0] for said in scene.queue.said("look")] == [1]


@plays
async def test_how_long_a_delivery_was_ready_is_measured() -> None:
    name = "eventroute_worker_pickup_seconds"
    scene = Scene()
    counted, summed = _sample(f"{name}_count"), _sample(f"{name}_sum")
    scene.queue.waiting = [lease_of("d-1", ready_ms=NOW_MS - 2_500), lease_of("d-2", ready_ms=NOW_MS + 9_000)]
    async with scene.working():
        await asyncio.sleep(0.5)
    assert _sample(f"{name}_count") - counted == 2
    assert _sample(f"{name}_sum") - summed == pytest.approx(2.5)


# --- suspects ---


@plays
async def test_what_runs_alone_runs_alone() -> None:
    scene = Scene(slots=3, groups=(Group(0), Group(1)), grace_s=9)
    scene.queue.waiting = [lease_of("d-1", group=Group(1), alone=True), lease_of("d-2")]
    scene.handler.takes = {"d-1": 4}
    async with scene.working():
        await asyncio.sleep(5)
    assert scene.handler.begun == [(0, "d-1", 1), (4, "d-2", 1)]
    assert [(at, said[0]) for at, what, said in scene.queue.done if what == "look"][:2] == [(0, 1), (4, 0)]


@plays
async def test_a_worker_that_drains_leaves_tokens_to_others_and_looks_when_something_has_ended() -> None:
    scene = Scene(slots=3, grace_s=9, takes={"d-1": 0.6})
    scene.queue.looks = [
        Taken(NOW_MS, None, drain=False, leases=[lease_of("d-1")]),
        _nothing(drain=True),
    ]
    scene.queue.waiting = []
    async with scene.working():
        await asyncio.sleep(0.2)
        await scene.bells[Group(0)].tokens.put("1")
        await asyncio.sleep(0.7)
    assert scene.queue.times("look") == [0, 0.2, 0.6]
    assert scene.bells[Group(0)].heard[:2] == ["er:{g0}:wake 0 to 0.2", "er:{g0}:wake 0.6 to 0.9"]


@plays
async def test_a_drain_in_one_group_counts_whatever_the_next_one_says() -> None:
    scene = Scene(groups=(Group(0), Group(1)))
    scene.queue.looks = [_nothing(drain=True), _nothing()]
    async with scene.working():
        await asyncio.sleep(0.5)
    assert [bell.heard for bell in scene.bells.values()] == [["closed"]] * 2


# --- shares ---


def _shares(slots: int, running: Sequence[RoutePath]) -> tuple[int, list[RoutePath]]:
    """Let deliveries run of some routes; tells how many are wanted then, and none of which routes."""
    found = []

    async def scene() -> None:
        scene = Scene(slots=slots, grace_s=0)
        leases = [lease_of(f"d-{number}", path) for number, path in enumerate(running)]
        scene.handler.takes = {lease.delivery: 100 for lease in leases}
        scene.queue.looks = [Taken(NOW_MS, NOW_MS + 500, drain=False, leases=leases)]
        async with scene.working():
            await asyncio.sleep(0.6)
        found.append(scene.queue.said("look")[1][2::2])

    run_at_once(scene)
    wanted, crowded = found[0]
    return wanted, crowded


@pytest.mark.parametrize(
    ("slots", "running", "wanted", "crowded"),
    [
        (10, [PATH] * 9, 1, []),  # alone
        (10, [PATH] * 8 + [OTHER], 1, [PATH]),  # eight of ten
        (10, [PATH] * 7 + [OTHER], 1, []),  # a further one, then it has enough
        (10, [PATH] * 3 + [OTHER], 5, []),
        (10, [PATH] * 3 + [OTHER] * 2 + [THIRD] * 4, 1, []),
        (4, [PATH] * 3, 1, []),
        (4, [PATH] * 2 + [OTHER], 1, []),
        (4, [OTHER, PATH], 2, []),
        (2, [PATH], 1, []),
        (3, [PATH, OTHER], 1, []),
        (5, [PATH] * 4, 1, []),
        (5, [PATH] * 3 + [OTHER], 1, []),
        (6, [PATH] * 4 + [OTHER], 1, []),
    ],
)
def test_a_route_leaves_room_for_others(
    slots: int, running: list[RoutePath], wanted: int, crowded: list[RoutePath]
) -> None:
    assert _shares(slots, running) == (wanted, crowded)


# --- ends ---


@pytest.mark.parametrize(
    ("end", "what", "said"),
    [
        (Later(delay_s=1.5, detail="500"), "put_back", ("d-1", 1, 1500, True, "500")),
        (Later(delay_s=0, counts=False), "put_back", ("d-1", 1, 0, False, "")),
        (Parked(trouble=TROUBLE, has_asked=True), "park", ("d-1", "own:*", True, None)),
        (Parked(trouble=TROUBLE, has_asked=False, need=Amount(4, 7)), "park", ("d-1", "own:*", False, Amount(4, 7))),
        (Throttled(bucket="b", size=Size(3, 9)), "wait", ("d-1", "b", Size(3, 9), 0, "")),
        (Throttled(bucket="b", size=Size(3, 9), until_ms=8, detail="429"), "wait", ("d-1", "b", Size(3, 9), 8, "429")),
        (
            Settled(outcome=RunOutcome.TRUNCATED, detail="cut", fields={"about": "it"}, retention=Retention(1, 2, 3)),
            "settle",
            ("d-1", "truncated", "", "cut", Retention(1, 2, 3), {"about": "it"}),
        ),
        (
            dead(DeadReason.RENDER, "no"),
            "settle",
            ("d-1", "dead", "render", "no", DEFAULT_RETENTION, {}),
        ),
        (RedisAway("LOADING", "LOADING x"), "put_back", ("d-1", 1, 1000, False, "Redis: LOADING x")),
        (FORBIDDEN, "put_back", ("d-1", 1, 30_000, False, "Redis: no such right")),
        (KeyError("hush"), "settle", ("d-1", "dead", "internal", "KeyError", DEFAULT_RETENTION, {})),
    ],
)
def test_an_end_is_written_as_it_is(end: Any, what: str, said: Any) -> None:
    async def scene() -> None:
        scene = Scene(slots=1, takes={"d-1": 2})
        scene.handler.ends = {"d-1": end}
        async with scene.working():
            await asyncio.sleep(2.5)
        assert [(at, *rest) for at, *rest in scene.queue.done if rest[0] != "look"] == [(2, what, said)]

    run_at_once(scene)


@plays
async def test_an_attempt_that_has_lost_its_lease_writes_nothing_and_is_counted() -> None:
    scene, before = Scene(), _sample("eventroute_worker_leases_lost_total")
    scene.queue.waiting = [lease_of("d-1")]
    scene.handler.ends = {"d-1": LeaseLost("gone")}
    async with scene.working():
        await asyncio.sleep(0.5)
    assert {what for _, what, _ in scene.queue.done} == {"look"}
    assert _sample("eventroute_worker_leases_lost_total") - before == 1


@plays
async def test_an_end_that_is_too_late_is_written_once_and_counted() -> None:
    scene, before = Scene(), _sample("eventroute_worker_leases_lost_total")
    scene.queue.waiting = [lease_of("d-1")]
    scene.queue.refusals = [LeaseLost("gone")]
    async with scene.working():
        await asyncio.sleep(5)
    assert scene.queue.times("settle") == [0]
    assert _sample("eventroute_worker_leases_lost_total") - before == 1


@plays
async def test_runs_are_counted_by_outcome_and_for_their_route_once_their_end_stands() -> None:
    scene, uid = Scene(), RouteUid("uid-1")
    ends: dict[str, End | Exception] = {
        "d-1": replace(DONE, route=uid, trace_id="ab"),
        "d-2": replace(dead(DeadReason.RENDER, "x"), route=uid),
        "d-3": DONE,
        "d-4": Later(delay_s=0),
    }
    succeeded = _sample("eventroute_worker_runs_total", outcome="succeeded", reason="")
    rendered = _sample("eventroute_worker_runs_total", outcome="dead", reason="render")
    scene.queue.waiting, scene.handler.ends = [lease_of(name) for name in ends], ends
    scene.handler.takes = {"d-2": 1}
    async with scene.working():
        await asyncio.sleep(2)
    assert _sample("eventroute_worker_runs_total", outcome="succeeded", reason="") - succeeded == 2
    assert _sample("eventroute_worker_runs_total", outcome="dead", reason="render") - rendered == 1
    [(route, figures)] = scene.tally._routes.items()
    assert (route, dict(figures.runs)) == (uid, {"succeeded": 1, "dead": 1})
    assert figures.last is not None
    assert (figures.last.outcome, figures.last.delivery, figures.last.trace_id) == ("dead", "d-2", "")


@plays
async def test_what_is_under_way_is_counted_until_its_end_stands() -> None:
    scene, before = Scene(slots=2, takes={"d-1": 1, "d-2": 2}), _sample("eventroute_worker_in_flight")
    async with scene.working():
        seen = []
        for _ in range(3):
            await asyncio.sleep(0.9)
            seen.append(_sample("eventroute_worker_in_flight") - before)
    assert seen == [2, 1, 0]


@plays
async def test_the_next_delivery_is_leased_before_the_end_of_the_last_one_is_written() -> None:
    scene = Scene(slots=1)
    scene.queue.waiting = [lease_of("d-1"), lease_of("d-2")]
    async with scene.working():
        await asyncio.sleep(0.5)
    assert [what for _, what, _ in scene.queue.done][:3] == ["look", "look", "settle"]


@plays
async def test_an_end_waits_for_a_redis_that_is_away_for_as_long_as_its_lease_lives() -> None:
    scene = Scene(slots=1, lease_s=3)
    scene.queue.waiting = [lease_of("d-1")]
    scene.queue.refusals = [AWAY] * 99
    async with scene.working():
        await asyncio.sleep(10)
    times = scene.queue.times("settle")
    assert times == [pytest.approx(0.1 * number) for number in range(31)]
    assert len(times) == 31


@plays
async def test_an_end_that_redis_refuses_is_tried_again_less_and_less_often() -> None:
    scene, before = Scene(slots=1, grace_s=99), _sample("eventroute_worker_ends_refused_total")
    scene.queue.waiting = [lease_of("d-1")]
    scene.queue.refusals = [FORBIDDEN] * 8
    async with scene.working():
        await asyncio.sleep(300)
    assert scene.queue.times("settle") == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert _sample("eventroute_worker_ends_refused_total") - before == 8


@plays
async def test_a_worker_that_leaves_does_not_wait_for_what_redis_refuses() -> None:
    scene = Scene(slots=1, grace_s=99)
    scene.queue.waiting = [lease_of("d-1")]
    scene.queue.refusals = [FORBIDDEN] * 99
    async with scene.working():
        await asyncio.sleep(1.5)
    assert scene.queue.times("settle") == [0, 1]
    assert scene.now == 1.5


# --- leases ---


@plays
async def test_leases_are_renewed_three_times_in_their_life_each_group_by_one_call() -> None:
    groups = Group(0), Group(1)
    scene = Scene(groups=groups, lease_s=6, slots=8)
    scene.queue.waiting = [lease_of("d-1"), lease_of("d-2"), lease_of("e-1", group=groups[1])]
    scene.handler.takes = {"d-1": 5, "d-2": 3, "e-1": 3}
    async with scene.working():
        await asyncio.sleep(7)
    renewed = [(at, *said) for at, what, said in scene.queue.done if what == "renew"]
    assert sorted(renewed) == [(2, 0, ["d-1", "d-2"], 6000), (2, 1, ["e-1"], 6000), (4, 0, ["d-1"], 6000)]


@plays
async def test_what_others_have_taken_is_given_up_and_what_was_leased_again_since_is_not() -> None:
    scene = Scene(lease_s=6)
    scene.queue.waiting = [lease_of("d-1", fence=3), lease_of("d-2", fence=4)]
    scene.handler.takes = {"d-1": 50, "d-2": 5}
    scene.queue.lost = [lease_of("d-1").delivery]
    async with scene.working():
        await asyncio.sleep(5.5)
    assert [(at, said) for at, what, said in scene.queue.done if what == "put_back"] == [(2, ("d-1", 3, 0, False, ""))]
    assert scene.queue.times("settle") == [5]


@plays
async def test_renewing_goes_on_when_redis_was_away() -> None:
    scene = Scene(lease_s=6, slots=1, takes={"d-1": 9})
    async with scene.working():
        await asyncio.sleep(1)
        scene.queue.away = AWAY
        await asyncio.sleep(2)
        scene.queue.away = FORBIDDEN
        await asyncio.sleep(2)
        scene.queue.away = None
        await asyncio.sleep(2)
    assert scene.queue.times("renew") == [2, 4, 6]


@plays
async def test_after_a_while_without_redis_it_renews_before_it_looks() -> None:
    scene = Scene(lease_s=6, slots=3, takes={"d-1": 50})
    async with scene.working():
        await asyncio.sleep(2.05)  # it has just renewed
        scene.queue.away = AWAY
        await asyncio.sleep(3.5)
        scene.queue.away = None
        scene.queue.done.clear()
        await asyncio.sleep(1.95)
    assert [what for _, what, _ in scene.queue.done][:2] == ["renew", "look"]


@plays
async def test_it_renews_no_more_often_than_it_must() -> None:
    scene = Scene(lease_s=6, slots=3, takes={"d-1": 50})
    async with scene.working():
        await asyncio.sleep(7)
    assert scene.queue.times("renew") == [2, 4, 6]


@plays
async def test_what_is_leased_again_while_it_still_runs_is_put_back_until_the_first_attempt_has_ended() -> None:
    scene = Scene(slots=3)
    scene.queue.waiting = [lease_of("d-1", fence=1)]
    scene.handler.takes = {"d-1": 50}
    async with scene.working():
        await asyncio.sleep(0.5)
        scene.queue.waiting = [lease_of("d-1", fence=2)]
        await asyncio.sleep(1)
        scene.queue.waiting = [lease_of("d-1", fence=3)]
        scene.handler.takes = {}
        await asyncio.sleep(1)
    ends = [(at, said) for at, what, said in scene.queue.done if what not in {"look", "renew"}]
    assert ends[:2] == [(1, ("d-1", 2, 200, False, "")), (1, ("d-1", 1, 0, False, ""))]
    assert scene.handler.begun == [(0, "d-1", 1), (2, "d-1", 3)]
    assert ends[2][1][1] == "succeeded"


# --- a Redis that is away ---


@plays
async def test_it_looks_less_and_less_often_while_redis_is_away_and_as_before_afterwards() -> None:
    scene = Scene()
    scene.queue.looks = [AWAY, FORBIDDEN, *[AWAY] * 6, _nothing(), AWAY]
    async with scene.working():
        await asyncio.sleep(11)
    times = scene.queue.times("look")
    assert times[:11] == [0, 0.1, 0.3, 0.7, 1.5, 3.1, 5.1, 7.1, 9.1, 10.1, 10.2]


@plays
async def test_a_worker_that_leaves_does_not_wait_for_redis() -> None:
    scene = Scene()
    scene.queue.away = AWAY
    async with scene.working():
        await asyncio.sleep(6)
    assert scene.now == 6


@plays
async def test_it_says_when_it_went_round_last() -> None:
    scene = Scene()
    async with scene.working() as worker:
        await asyncio.sleep(1.5)
        assert worker.last_turn == 1
    async with Scene().working() as another:
        assert another.id != worker.id
        assert len(another.id) == 32


# --- leaving ---


@plays
async def test_it_waits_for_what_runs_and_no_longer() -> None:
    scene = Scene(grace_s=20, takes={"d-1": 3, "d-2": 7})
    async with scene.working():
        await asyncio.sleep(1)
    assert (scene.queue.times("settle"), scene.now) == ([3, 7], 7)
    assert scene.queue.times("look") == [0]


@plays
async def test_what_has_not_ended_when_the_grace_is_over_is_given_back() -> None:
    scene = Scene(grace_s=4)
    scene.queue.waiting = [lease_of("d-1"), lease_of("d-2", fence=7)]
    scene.handler.takes = {"d-1": 3, "d-2": 70}
    async with scene.working():
        await asyncio.sleep(1)
    assert (scene.queue.times("settle"), scene.now) == ([3], 5)
    assert [(at, said) for at, what, said in scene.queue.done if what == "put_back"] == [(5, ("d-2", 7, 0, False, ""))]


@plays
async def test_a_second_stop_waits_for_nothing() -> None:
    scene = Scene(grace_s=40, takes={"d-1": 30})
    async with scene.working() as worker:
        await asyncio.sleep(1)
        worker.stop()
        await asyncio.sleep(2)
        assert scene.queue.times("put_back") == []
        worker.stop()
        await asyncio.sleep(0.01)
        assert scene.queue.times("put_back") == [3]


@plays
async def test_an_attempt_that_ignores_its_end_is_left_behind_after_five_seconds() -> None:
    scene = Scene(grace_s=2, takes={"d-1": 60, "d-2": 60})
    scene.handler.ignoring = {"d-1"}
    async with scene.working():
        await asyncio.sleep(1)
    assert scene.queue.times("put_back") == [3]
    assert scene.now == pytest.approx(8, abs=0.11)


@plays
async def test_what_is_leased_while_it_leaves_is_given_back_at_once() -> None:
    scene = Scene()
    async with scene.working() as worker:
        await asyncio.sleep(0.5)
        scene.queue.looks = [Taken(NOW_MS, None, drain=False, leases=[lease_of("d-1"), lease_of("d-2", fence=5)])]
        scene.queue.refusals = [AWAY]
        scene.queue.meanwhile = worker.stop
        await asyncio.sleep(1)
    assert scene.queue.said("put_back") == [("d-1", 1, 0, False, ""), ("d-2", 5, 0, False, "")]
    assert scene.handler.begun == []
    assert scene.now == 1.5


@plays
async def test_an_end_that_is_being_written_is_not_broken_off() -> None:
    scene = Scene(grace_s=0, lease_s=6)
    scene.queue.waiting = [lease_of("d-1")]
    scene.queue.refusals = [AWAY] * 40
    scene.queue.lost = [lease_of("d-1").delivery]
    async with scene.working():
        await asyncio.sleep(3)
        assert scene.queue.times("renew") == [2]
    assert len(scene.queue.times("settle")) == 41
    assert scene.queue.times("put_back") == []
    assert scene.now == pytest.approx(4)


@plays
async def test_a_signal_stops_it() -> None:
    scene = Scene(grace_s=40, takes={"d-1": 30})
    async with scene.working() as worker:
        await asyncio.sleep(0.5)
        for _ in range(2):
            worker.handle_sig_wait_for_completion(Signals.SIGTERM)
            await asyncio.sleep(0.5)
        assert scene.queue.times("put_back") == [1]
        assert scene.queue.times("look") == [0]


# --- answers to send ---


def sending_of(name: str) -> Lease:
    return lease_of(f"{name}:own", sending_path(PATH, "own"))


@plays
async def test_answers_are_sent_beside_deliveries_in_slots_of_their_own() -> None:
    scene = Scene(slots=1, sendings=2, takes=dict.fromkeys(("d-1", "d-2"), 10))
    scene.queue.waiting += [sending_of(name) for name in ("e-1", "e-2", "e-3")]
    scene.handler.takes |= {"e-1:own": 3, "e-2:own": 5, "e-3:own": 1}
    async with scene.working():
        await asyncio.sleep(12)
    assert [(at, name) for at, name, _ in scene.handler.begun] == [
        *((0, "d-1"), (0, "e-1:own"), (0, "e-2:own"), (3, "e-3:own"), (10, "d-2")),
    ]


@plays
async def test_the_next_answer_is_sent_as_soon_as_one_has_been_sent() -> None:
    scene = Scene(slots=2, sendings=1)
    scene.queue.waiting += [sending_of(name) for name in ("e-1", "e-2", "e-3")]
    scene.handler.takes |= dict.fromkeys(("e-1:own", "e-2:own", "e-3:own"), 0.25)
    async with scene.working():
        await asyncio.sleep(2)
    assert [(at, name) for at, name, _ in scene.handler.begun] == [(0, "e-1:own"), (0.25, "e-2:own"), (0.5, "e-3:own")]


@plays
async def test_a_worker_whose_slots_are_full_sends_at_once_what_it_has_to_send_itself() -> None:
    scene = Scene(slots=1, sendings=1, takes={"d-1": 3})

    async def handle(attempt: Attempt) -> End:
        if not attempt.lease.sink:
            await asyncio.sleep(0.4)
            scene.queue.waiting.append(sending_of("d-1"))
            attempt.has_more()
        return await scene.handler(attempt)

    async with scene.working(handle):
        await asyncio.sleep(4)
    assert [(at, name) for at, name, _ in scene.handler.begun] == [(0.4, "d-1"), (0.4, "d-1:own")]


@plays
async def test_a_worker_whose_slots_are_full_looks_once_a_second_for_what_others_have_to_send() -> None:
    scene = Scene(slots=1, sendings=1, takes={"d-1": 3})
    async with scene.working():
        await asyncio.sleep(1.5)
        scene.queue.waiting.append(sending_of("e-1"))
        await asyncio.sleep(2)
    assert [(at, name) for at, name, _ in scene.handler.begun] == [(0, "d-1"), (2, "e-1:own")]
    assert scene.queue.times("look")[:3] == [0, 1, 2]
    assert [said[2] for said in scene.queue.said("look")[:3]] == [1, 0, 0], "no delivery is taken without a slot"


@plays
async def test_answers_under_way_are_not_counted_among_deliveries_in_hand() -> None:
    scene = Scene(slots=1, sendings=5, takes={"d-1": 9, "d-2": 9})
    scene.queue.waiting += [sending_of(f"e-{number}") for number in range(5)]
    scene.handler.takes |= {f"e-{number}:own": 9 for number in range(5)}
    scene.handler.frees = {"d-1": 1}
    async with scene.working():
        await asyncio.sleep(2)
    assert [(at, name) for at, name, _ in scene.handler.begun if name.startswith("d-")] == [(0, "d-1"), (1, "d-2")]
