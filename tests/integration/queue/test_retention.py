"""What has ended goes in three steps, body, answer and record, each at its time."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.queue import Retention
from support.queue import GROUP, admit_job, clock_ms, dead_letters, end, fields, lease, state, upkeep_of
from support.runs import PATH

pytestmark = pytest.mark.real

KEPT = Retention(body=60_000, answer=120_000, record=180_000)
PHASES = ("bodies", "answers", "records")


async def _age(redis: Redis, name: DeliveryId, age_ms: int) -> None:
    """Let a delivery have ended so long ago."""
    for kind in PHASES:
        await redis.zadd(GROUP.finished(kind, PATH), {name: await clock_ms(redis) - age_ms}, xx=True)


async def _keep(redis: Redis) -> None:
    assert await upkeep_of(redis).keep(GROUP, worker="w", for_ms=1000, cursor=0, routes=100, count=100) is not None


async def _kept(redis: Redis, name: DeliveryId) -> set[str]:
    if await state(redis, name) == "gone":
        return set()
    return {"record"} | ({"body", "answer"} & (await fields(redis, name)).keys())


@pytest.mark.parametrize(
    ("age_ms", "kept"),
    [
        (50_000, {"body", "answer", "record"}),
        (61_000, {"answer", "record"}),
        (110_000, {"answer", "record"}),
        (121_000, {"record"}),
        (170_000, {"record"}),
        (181_000, set()),
    ],
)
async def test_body_answer_and_record_go_one_after_the_other(redis: Redis, age_ms: int, kept: set[str]) -> None:
    name = await end(redis, "d-1", kept=KEPT)
    await _age(redis, name, age_ms)
    await _keep(redis)
    assert await _kept(redis, name) == kept
    places = [kind for kind in PHASES if await redis.zscore(GROUP.finished(kind, PATH), name) is not None]
    assert len(places) == (1 if kept else 0), "it stands in one place"


async def test_each_step_is_taken_in_its_own_time(redis: Redis) -> None:
    name = await end(redis, "d-1", kept=KEPT)
    seen = []
    for age_ms in (0, 61_000, 121_000, 181_000):
        await _age(redis, name, age_ms)
        await _keep(redis)
        seen.append(await _kept(redis, name))
    assert seen == [{"body", "answer", "record"}, {"answer", "record"}, {"record"}, set()]
    assert await redis.exists(*(GROUP.finished(kind, PATH) for kind in PHASES)) == 0


async def test_a_route_that_keeps_nothing_is_rid_of_it_at_once(redis: Redis) -> None:
    name = await end(redis, "d-1", kept=Retention(body=0, answer=0, record=60_000))
    assert await _kept(redis, name) == {"record"}
    assert await redis.zrange(GROUP.finished("records", PATH), 0, -1) == [name.encode()]
    await end(redis, "d-2", kept=Retention(body=0, answer=0, record=0))
    assert await state(redis, DeliveryId("d-2")) == "gone"


async def test_a_delivery_that_ends_takes_along_what_of_its_route_is_over(redis: Redis) -> None:
    old = [await end(redis, f"d-{number}", kept=KEPT) for number in range(3)]
    for name in old:
        await _age(redis, name, 61_000)
    await end(redis, "d-new", kept=KEPT)
    assert [await _kept(redis, name) for name in old] == [{"answer", "record"}] * 3


async def test_a_record_ends_by_itself_where_nobody_keeps_the_queue(redis: Redis) -> None:
    name = await end(redis, "d-1", kept=KEPT)
    assert 170_000 < await redis.pttl(GROUP.delivery(name)) <= 180_000


async def test_one_worker_keeps_the_queue_for_as_long_as_it_does(redis: Redis) -> None:
    upkeep = upkeep_of(redis)
    options = {"for_ms": 60_000, "cursor": 0, "routes": 100, "count": 100}
    assert await upkeep.keep(GROUP, worker="one", **options) is not None
    assert await upkeep.keep(GROUP, worker="two", **options) is None
    assert await upkeep.keep(GROUP, worker="one", **options) is not None
    await redis.delete(GROUP.keeper)
    assert await upkeep.keep(GROUP, worker="two", **options) is not None


@pytest.mark.parametrize("kind", PHASES)
async def test_what_makes_room_before_its_time_is_what_was_asked_for_and_no_dead_letter(
    redis: Redis, kind: str
) -> None:
    name, dead = await end(redis, "d-1", kept=KEPT), await end(redis, "d-dead", "dead")
    order = PHASES[: PHASES.index(kind) + 1]
    relieved = [await upkeep_of(redis).relieve(GROUP, PATH, each, older_ms=0, count=100) for each in order]
    assert relieved == [1] * len(order)
    assert await _kept(redis, name) == [{"answer", "record"}, {"record"}, set()][PHASES.index(kind)]
    assert await dead_letters(redis) == [dead]
    assert await _kept(redis, dead) == {"body", "answer", "record"}


async def test_what_is_younger_than_it_must_be_stays(redis: Redis) -> None:
    name = await end(redis, "d-1", kept=KEPT)
    assert await upkeep_of(redis).relieve(GROUP, PATH, "bodies", older_ms=60_000, count=100) == 0
    assert await _kept(redis, name) == {"body", "answer", "record"}


async def test_a_route_with_ready_deliveries_gets_its_turn_back_whatever_went_wrong(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await redis.delete(GROUP.rotation)
    await _keep(redis)
    assert (await lease(redis)).delivery == name
