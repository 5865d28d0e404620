"""Answers that are handed over to sinks: what of them a repeated call, a replay, a discard or a full queue changes."""

from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, RoutePath, route_path
from eventroute.queue import Admissions, Admitted, Candidate, Desk, Full, Lease, LeaseLost, Limits, Mode
from eventroute.runtime.scripts import ClientCaller
from support.queue import GROUP, KEPT, admit_in_lane, admit_job, lease, settle, state, work_on
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

OTHER = route_path("team-b", "other")
SENDING = DeliveryId("d-1:own")
FIRST, SECOND = b'{"text":"first"}', b'{"text":"second"}'


async def take(redis: Redis) -> Lease:
    """Take the next answer that is to be sent."""
    taken = await work_on(redis).lease(GROUP, worker="w", lease_ms=15_000, wanted=0, sendings=1, busy=0)
    return taken.leases[0]


async def hand_over(redis: Redis, name: str, *, sinks: Sequence[str] = ("own",), answer: bytes = FIRST) -> Lease:
    """Hand the answer of a ready delivery over; its lease is returned."""
    taken = await lease(redis)
    assert taken.delivery == name
    await work_on(redis).save(taken, answer)
    await work_on(redis).hand_over(taken, answer, sinks)
    return taken


async def send(redis: Redis) -> bytes:
    """Send the next answer, which is returned."""
    taken = await take(redis)
    begun = await work_on(redis).begin(taken, traceparent="")
    await settle(redis, taken, "sent", kept=KEPT._replace(body=0, answer=0, record=0))
    return begun.answer or b""


async def replay(redis: Redis, name: str, mode: Mode) -> str:
    return (await Desk({GROUP: redis}).replay([DeliveryId(name)], mode=mode))[DeliveryId(name)]


async def test_a_call_whose_reply_was_lost_sends_nothing_twice(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    parent = await hand_over(redis, "d-1")
    await send(redis)
    await work_on(redis).hand_over(parent, FIRST, ["own"])
    assert await state(redis, SENDING) == "gone"


@pytest.mark.parametrize("mode", ["resume", "sinks", "whole"])
async def test_an_answer_that_could_not_be_sent_is_sent_by_any_replay_of_it(redis: Redis, mode: Mode) -> None:
    await admit_job(redis, "d-1")
    await settle(redis, await hand_over(redis, "d-1"))
    await settle(redis, await take(redis), "dead", "sink")
    assert await replay(redis, SENDING, mode) == "ok"
    assert await send(redis) == FIRST


@pytest.mark.parametrize("is_under_way", [True, False])
async def test_a_newer_answer_takes_the_place_of_one_that_is_not_sent_yet(redis: Redis, *, is_under_way: bool) -> None:
    await admit_job(redis, "d-1")
    await settle(redis, await hand_over(redis, "d-1"))
    old = await take(redis) if is_under_way else None
    await replay(redis, "d-1", "whole")
    await settle(redis, await hand_over(redis, "d-1", answer=SECOND))
    if old:
        assert await redis.zscore(GROUP.running, SENDING) is None
        with pytest.raises(LeaseLost):
            await settle(redis, old, "sent")
    assert await send(redis) == SECOND
    assert (await redis.hgetall(GROUP.usage))[b"depth"] == b"0"
    assert await redis.zcard(GROUP.running) == 0


async def test_a_lane_goes_on_when_a_newer_answer_takes_the_place_of_its_first(redis: Redis) -> None:
    await admit_in_lane(redis, "d-1", "d-2")
    await settle(redis, await hand_over(redis, "d-1"))
    await settle(redis, await hand_over(redis, "d-2"))
    await take(redis)
    await replay(redis, "d-1", "whole")
    await settle(redis, await hand_over(redis, "d-1", answer=SECOND))
    assert [(await send(redis)) for _ in range(2)] == [SECOND, FIRST]


async def test_what_waits_to_be_sent_takes_its_routes_share_of_the_queue(redis: Redis) -> None:
    """A route whose sinks are down leaves room for others, as one does whose deliveries wait."""
    admissions = Admissions(ClientCaller(redis), limits=Limits(10, 0))

    async def offer(name: str, path: RoutePath = PATH) -> Admitted | Full:
        found = await admissions.admit(path, [Candidate(sample_delivery(name, route=path), [])], rate=None)
        assert isinstance(found, Admitted | Full)
        return found

    for number in range(5):
        assert isinstance(await offer(f"d-{number}"), Admitted)
        await settle(redis, await hand_over(redis, f"d-{number}"))
    assert isinstance(await offer("d-6"), Full)
    assert isinstance(await offer("d-7", OTHER), Admitted)
    assert (await lease(redis)).delivery == "d-7"
    for _ in range(5):
        await send(redis)
    assert isinstance(await offer("d-8"), Admitted)
    own = await redis.hgetall(GROUP.route(PATH))
    assert (own[b"sendings"], own[b"sending_bytes"]) == (b"0", b"0")


async def test_a_sink_whose_answer_was_discarded_is_not_said_to_have_it_nor_told_again_unasked(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    await settle(redis, await hand_over(redis, "d-1", sinks=["own", "team"]))
    await settle(redis, await take(redis), "dead", "sink")
    await send(redis)
    desk = Desk({GROUP: redis})
    assert await desk.discard([SENDING]) == {SENDING: "ok"}
    found = await desk.show(DeliveryId("d-1"))
    assert found is not None
    assert (found.sinks_done, found.sendings) == (["team"], [])
    await replay(redis, "d-1", "resume")
    begun = await work_on(redis).begin(await lease(redis), traceparent="")
    assert begun.sinks_done == {"own", "team"}


async def test_a_sink_is_told_of_a_delivery_that_is_not_known_any_more(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    await settle(redis, await hand_over(redis, "d-1"), kept=KEPT._replace(body=0, answer=0, record=0))
    assert await state(redis, DeliveryId("d-1")) == "gone"
    await settle(redis, await take(redis), "dead", "sink")
    assert await replay(redis, SENDING, "sinks") == "ok"
    await settle(redis, await take(redis), "dead", "sink")
    assert await Desk({GROUP: redis}).discard([SENDING]) == {SENDING: "ok"}
    assert await redis.keys(GROUP.delivery(DeliveryId("*"))) == []


async def test_what_of_large_answers_is_on_its_way_is_told_of_each_sink(redis: Redis) -> None:
    sinks = [f"s{number}" for number in range(7)]
    await admit_job(redis, "d-1")
    await redis.hset(GROUP.delivery(DeliveryId("d-1")), "body", b"x" * 1024 * 1024)
    await settle(redis, await hand_over(redis, "d-1", sinks=sinks))
    found = await Desk({GROUP: redis}).show(DeliveryId("d-1"))
    assert found is not None
    assert (found.sinks_done, len(found.sendings)) == ([], 7)
