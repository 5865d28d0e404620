"""What a look of the keeper asks of the queue, call by call, and when it looks: its queue is a fake."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, cast

import pytest
from structlog.testing import capture_logs

from eventroute.ids import RoutePath
from eventroute.queue import Group, Trouble, Upkeep
from eventroute.queue.upkeep import Held, Limit, Standing
from eventroute.runtime.metrics import REGISTRY
from eventroute.runtime.scripts import RedisAway
from eventroute_worker.keeper import Keeper
from eventroute_worker.troubles import Troubles
from support.queue import GROUP
from support.runs import PATH, FakeRoutes, worker_route
from support.virtual_time import run_at_once

OTHER: Final = RoutePath("team-b/other")
KEY: Final = Trouble(reason="billing", detail="402", key_id="own", model="")
GONE: Final = Trouble(reason="authentication", detail="401", key_id="gone", model="")
DAY_MS: Final = 86_400_000


async def _nothing(_: Group) -> None:
    pass


class FakeUpkeep:
    """Says what a test says, and notes what it is asked; calls that only read are not noted."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.held_now: dict[RoutePath, Held] = {}
        self.stands: list[Standing] = []
        self.kept: list[Any] = []
        """What the next calls of `keep` return; (0, 0) unless told."""
        self.returns: dict[str, list[Any]] = {}
        """What the next calls of another name return."""
        self.used: Iterator[int] = iter(())
        """Of a memory of 100, at each look."""
        self.most = 100
        self.known: dict[RoutePath, Limit] = {}
        self.away: Exception | None = None
        self.on_standing: Callable[[Group], Awaitable[None]] = _nothing
        """What happens while a look reads the troubles of a group."""

    async def held(self, _: Group) -> dict[RoutePath, Held]:
        if self.away:
            raise self.away
        return dict(self.held_now)

    async def standing(self, group: Group) -> list[Standing]:
        await self.on_standing(group)
        return list(self.stands)

    async def limits(self, _: Group) -> dict[RoutePath, Limit]:
        return dict(self.known)

    async def limit(self, group: Group, limits: dict[RoutePath, Limit]) -> None:
        if limits:
            self.done.append(("limit", group.number, limits))

    async def routes(self, _: Group) -> list[RoutePath]:
        return [OTHER, PATH]

    async def waiting(self, _: Group) -> dict[str, int]:
        return {}

    async def buckets(self, _: Any) -> dict[str, Any]:
        return {}

    async def memory(self, _: Group) -> tuple[int, int]:
        return next(self.used, 0), self.most

    async def keep(self, group: Group, **options: Any) -> Any:
        self.done.append(("keep", group.number, options))
        return self.kept.pop(0) if self.kept else (0, 0)

    def __getattr__(self, name: str) -> Any:
        async def call(group: Group, *args: Any, **options: Any) -> Any:
            self.done.append((name, group.number, *args, *options.values()))
            found = self.returns.get(name, [])
            return found.pop(0) if found else 0

        return call

    def asked(self) -> list[Any]:
        """List what was asked since the last time, but for what every look asks."""
        done, self.done = self.done, []
        return [each for each in done if each[0] != "keep" and each[:3] != ("release", 0, [])]


def keeper(upkeep: FakeUpkeep, **options: Any) -> Keeper:
    """Make a keeper whose route is served and whose key is in use."""
    usual: dict[str, Any] = {
        "worker": "w",
        "groups": [GROUP],
        "routes": FakeRoutes(worker_route()),
        "troubles": Troubles(),
        "may_meet": lambda trouble: trouble.key_id == "own",
        "limits": dict,
    }
    return Keeper(cast("Upkeep", upkeep), **{**usual, **options})


def _held(reason: str) -> Held:
    return Held(reason, "", 1)


def _told(name: str, reason: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"reason": reason})


async def test_a_part_of_the_routes_is_kept_at_each_look_from_where_the_last_one_ended() -> None:
    upkeep = FakeUpkeep()
    upkeep.kept = [(17, 3), None, (0, 1)]
    looks = keeper(upkeep)
    for _ in range(4):
        await looks.look()
    usual = {"worker": "w", "for_ms": 5000, "routes": 200, "count": 50}
    kept = [said for name, _, said in (each for each in upkeep.done if each[0] == "keep")]
    assert kept == [{**usual, "cursor": at} for at in (0, 17, 17, 0)]


async def test_each_group_has_a_place_of_its_own() -> None:
    upkeep, groups = FakeUpkeep(), [Group(0), Group(1)]
    upkeep.kept = [(17, 0), (5, 0), (0, 0), (0, 0)]
    looks = keeper(upkeep, groups=groups)
    for _ in range(2):
        await looks.look()
    kept = [(number, said["cursor"]) for name, number, said in (each for each in upkeep.done if each[0] == "keep")]
    assert kept == [(0, 0), (1, 0), (0, 17), (1, 5)]


async def test_what_can_be_served_is_let_go_by_whoever_sees_it() -> None:
    upkeep = FakeUpkeep()
    upkeep.held_now = {OTHER: _held("withheld"), PATH: _held("withheld")}
    upkeep.kept = [None]
    with capture_logs() as logs:
        upkeep.returns = {"release": [1]}
        await keeper(upkeep).look()
    assert upkeep.asked() == [("release", 0, [PATH])]
    assert [each["event"] for each in logs] == ["routes_released"]
    with capture_logs() as logs:
        await keeper(upkeep).look()
    assert logs == []


@pytest.mark.parametrize(
    ("held", "broken", "deleted", "asked"),
    [
        ("deleted", False, False, [("forsake", 0, OTHER, 600_000, 200)]),
        ("withheld", False, False, [("hold", 0, OTHER, "deleted")]),
        ("withheld", True, False, []),
        ("deleted", True, False, [("hold", 0, OTHER, "withheld")]),
        ("withheld", True, True, [("hold", 0, OTHER, "deleted")]),
        ("deleted", True, True, [("forsake", 0, OTHER, 600_000, 200)]),
    ],
)
async def test_a_held_route_is_held_for_the_reason_of_now_and_buried_when_it_stays_away(
    held: str, *, broken: bool, deleted: bool, asked: list[Any]
) -> None:
    upkeep, routes = FakeUpkeep(), FakeRoutes(worker_route())
    upkeep.held_now = {OTHER: _held(held)}
    routes.broken = {OTHER} if broken else set()
    routes.deleted = {OTHER: 1} if deleted else {}
    await keeper(upkeep, routes=routes).look()
    assert upkeep.asked() == asked
    routes.version = None
    await keeper(upkeep, routes=routes).look()
    assert upkeep.asked() == []


async def test_a_deleted_route_is_buried_until_nothing_is_left() -> None:
    upkeep = FakeUpkeep()
    upkeep.held_now = {OTHER: _held("deleted")}
    upkeep.returns = {"forsake": [200, 1, 0]}
    with capture_logs() as logs:
        await keeper(upkeep).look()
    assert len(upkeep.asked()) == 3
    assert [(each["event"], each["deliveries"]) for each in logs] == [
        ("deleted_route_forsaken", 200),
        ("deleted_route_forsaken", 1),
    ]
    upkeep.returns = {"forsake": [-1]}
    await keeper(upkeep).look()
    assert len(upkeep.asked()) == 1


# --- troubles ---


async def test_what_is_mended_goes_on_all_of_it_and_what_stands_is_known_and_probed() -> None:
    upkeep, troubles = FakeUpkeep(), Troubles()
    upkeep.stands = [Standing(KEY, 3, {PATH: 3}), Standing(GONE, 5, {OTHER: 5})]
    upkeep.returns = {"unpark": [7, 0]}
    await keeper(upkeep, troubles=troubles).look()
    assert upkeep.asked() == [
        ("unpark", 0, "gone:*", 200),
        ("unpark", 0, "gone:*", 200),
        ("probe", 0, "own:*", 60_000),
        ("probe", 0, "gone:*", 60_000),
    ]
    assert troubles.standing("own", "any") == KEY
    assert troubles.standing("gone", "any") is None


async def test_a_trouble_that_this_process_saw_mended_goes_on_once() -> None:
    upkeep, troubles = FakeUpkeep(), Troubles()
    looks = keeper(upkeep, troubles=troubles)
    troubles.meet(KEY)
    troubles.answered("own", "any")
    upkeep.stands = [Standing(KEY, 0, {})]
    await looks.look()
    assert upkeep.asked() == [("unpark", 0, "own:*", 200)]
    await looks.look()
    assert upkeep.asked() == []


async def test_a_mended_trouble_goes_on_in_all_groups_though_redis_goes_away_during_the_look() -> None:
    upkeep, troubles, groups = FakeUpkeep(), Troubles(), [Group(0), Group(1)]
    looks = keeper(upkeep, troubles=troubles, groups=groups)
    troubles.meet(KEY)
    troubles.answered("own", "any")
    upkeep.stands = [Standing(KEY, 1, {})]

    async def goes_away(group: Group) -> None:
        if group == groups[1]:
            raise RedisAway("LOST", "no answer")

    upkeep.on_standing = goes_away
    with pytest.raises(RedisAway):
        await looks.look()
    upkeep.on_standing = _nothing
    for unparked in ([0, 1], []):
        upkeep.done.clear()
        await looks.look()
        assert [group for name, group, *_ in upkeep.done if name == "unpark"] == unparked


async def test_what_is_mended_anew_during_a_look_goes_on_at_the_next_one() -> None:
    upkeep, troubles = FakeUpkeep(), Troubles()
    looks = keeper(upkeep, troubles=troubles)
    troubles.meet(KEY)
    troubles.answered("own", "any")

    async def comes_and_goes(_: Group) -> None:
        troubles.meet(KEY)
        troubles.answered("own", "any")

    upkeep.on_standing = comes_and_goes
    await looks.look()
    upkeep.on_standing, upkeep.stands = _nothing, [Standing(KEY, 0, {})]
    await looks.look()
    assert upkeep.asked() == [("unpark", 0, "own:*", 200)]


async def test_a_trouble_that_is_met_during_a_look_is_known_after_it() -> None:
    upkeep, troubles = FakeUpkeep(), Troubles()

    async def is_met(_: Group) -> None:
        troubles.meet(KEY)

    upkeep.on_standing = is_met
    looks = keeper(upkeep, troubles=troubles)
    await looks.look()
    assert troubles.standing("own", "any") == KEY, "its delivery is not parked yet"
    upkeep.on_standing = _nothing
    await looks.look()
    assert troubles.standing("own", "any") is None, "and never was"


async def test_who_knows_no_route_takes_no_key_for_out_of_use() -> None:
    upkeep = FakeUpkeep()
    upkeep.stands = [Standing(GONE, 1, {OTHER: 1})]
    await keeper(upkeep, routes=FakeRoutes(version=None)).look()
    assert upkeep.asked() == [("probe", 0, "gone:*", 60_000)]


async def test_the_keeper_tells_what_waits_and_others_nothing() -> None:
    upkeep = FakeUpkeep()
    upkeep.held_now = {OTHER: _held("deleted"), RoutePath("a/b"): _held("deleted"), RoutePath("a/c"): _held("withheld")}
    upkeep.stands = [Standing(KEY, 3, {}), Standing(GONE, 4, {}), Standing(KEY, 2, {})]
    figures = [
        ("eventroute_worker_held_routes", "deleted"),
        ("eventroute_worker_held_routes", "withheld"),
        ("eventroute_worker_parked", "billing"),
        ("eventroute_worker_parked", "authentication"),
    ]
    await keeper(upkeep).look()
    assert [_told(*each) for each in figures] == [2, 1, 5, 4]
    upkeep.kept = [None]
    await keeper(upkeep).look()
    assert [_told(*each) for each in figures] == [None] * 4


# --- limits ---


async def test_limits_that_are_new_changed_or_gone_are_written_and_no_others() -> None:
    upkeep, routes = FakeUpkeep(), FakeRoutes(worker_route())
    paths = {name: RoutePath(f"team-a/{name}") for name in ("new", "same", "more", "lanes", "gone", "broken")}
    known = {
        "same": Limit(1),
        "more": Limit(2),
        "lanes": Limit(3),
        "gone": Limit(3, holds_lanes=True),
        "broken": Limit(4),
    }
    upkeep.known = {paths[name]: limit for name, limit in known.items()}
    routes.broken = {paths["broken"]}
    new = {paths["new"]: Limit(5), paths["more"]: Limit(6), paths["lanes"]: Limit(3, holds_lanes=True)}
    limits = {**new, paths["same"]: Limit(1)}
    await keeper(upkeep, routes=routes, limits=lambda: limits).look()
    assert upkeep.asked() == [("limit", 0, {**new, paths["gone"]: Limit()})]
    routes.version = None
    await keeper(upkeep, routes=routes, limits=lambda: limits).look()
    assert upkeep.asked() == []


async def test_each_group_hears_of_its_own_routes_limits() -> None:
    upkeep = FakeUpkeep()
    paths = [RoutePath(f"team-{number}/x") for number in range(8)]
    await keeper(upkeep, groups=[Group(0), Group(1)], limits=lambda: dict.fromkeys(paths, Limit(1))).look()
    said = {each[1]: set(each[2]) for each in upkeep.asked() if each[0] == "limit"}
    assert said.keys() == {0, 1}
    assert said[0] | said[1] == set(paths)
    assert not said[0] & said[1]


# --- a Redis that fills up ---


async def test_nothing_goes_before_seven_tenths_of_the_memory_are_used() -> None:
    for used, most in ((70, 100), (99, 0), (0, 0)):
        upkeep = FakeUpkeep()
        upkeep.used, upkeep.most = iter([used]), most
        await keeper(upkeep).look()
        assert upkeep.asked() == []


async def test_bodies_go_first_then_answers_then_records_of_a_day_until_there_is_room() -> None:
    upkeep = FakeUpkeep()
    upkeep.used = iter([71] * 10 + [70])
    upkeep.returns = {"relieve": [500, 500, 0, 3, 0, 9, 0, 0, 0, 500]}
    with capture_logs() as logs:
        await keeper(upkeep).look()
    order = [(kind, path) for _, _, path, kind, _, _ in upkeep.asked()]
    assert order == [
        *[("bodies", each) for each in (PATH, OTHER, PATH, OTHER, OTHER)],
        *[("answers", each) for each in (PATH, OTHER, PATH)],
        *[("records", each) for each in (PATH, OTHER)],
    ]
    assert logs == []


async def test_each_kind_goes_by_its_age_and_so_much_at_a_time_and_what_does_not_help_is_told() -> None:
    upkeep = FakeUpkeep()
    upkeep.used = iter([71] * 99)
    with capture_logs() as logs:
        await keeper(upkeep).look()
    assert {each[3:] for each in upkeep.asked()} == {("bodies", 0, 500), ("answers", 0, 500), ("records", DAY_MS, 500)}
    assert [each["event"] for each in logs] == ["redis_fills_up"]


# --- when it looks ---


def test_it_looks_once_a_second_and_at_once_when_woken_and_tells_once_of_a_redis_that_is_away() -> None:
    seen: list[float] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        upkeep, troubles = FakeUpkeep(), Troubles()
        looks = keeper(upkeep, troubles=troubles)
        original = looks.look

        async def look() -> None:
            seen.append(round(loop.time(), 3))
            await original()

        looks.look = look  # type: ignore[method-assign] # to see when
        task = asyncio.create_task(looks.run())
        await asyncio.sleep(2.5)
        looks.wake()
        await asyncio.sleep(0.5)
        troubles.meet(KEY)
        troubles.answered("own", "any")
        with capture_logs() as logs:
            for away in (RedisAway("LOST", "no answer"), None, RedisAway("LOST", "no answer")):
                upkeep.away = away
                await asyncio.sleep(1.9)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert [each["event"] for each in logs] == ["upkeep_failed"] * 2

    run_at_once(scene)
    assert seen == [1, 2, 2.5, 3, 4, 5, 6, 7, 8]
