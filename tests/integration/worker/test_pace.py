"""Answers to one place take turns, in the order in which they came, and all leave it alone when it asks for that."""

import time

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.queue import Desk, State, Wanted
from eventroute.route_table import HttpSink, RemoteSink, SlackApp, SlackSink
from eventroute.secret import Secret
from support.queue import GROUP, admit
from support.runs import STREAM, FakeRoutes, results, sample_delivery, worker_route
from support.sending import working
from support.service import Service
from support.slack import TOKEN, Slack
from support.waiting import until
from support.worker import until_empty

pytestmark = pytest.mark.real

ONE, OTHER = "C024BE91L", "C0LAN2Q65"
SECOND = DeliveryId("d-2:one")


def to_slack(name: str, channel: str) -> SlackSink:
    return SlackSink(name=name, by=SlackApp(token=Secret(TOKEN.encode()), channel=channel))


def route_to(*sinks: RemoteSink) -> FakeRoutes:
    return FakeRoutes(worker_route(sinks=(*sinks, STREAM)))


async def waiting(redis: Redis) -> dict[str, str]:
    """Tell what waits for a time of its own, and why."""
    found = await Desk({GROUP: redis}).look(Wanted(states=frozenset({State.LATER})))
    return {line.id: (await redis.hget(GROUP.delivery(line.id), "last_error") or b"").decode() for line in found.lines}


async def _until_answered(redis: Redis, count: int) -> None:
    async def are_answered() -> bool:
        return len(await results(redis)) == count

    await until(are_answered)


async def _until_asked(redis: Redis, slack: Slack, count: int) -> None:
    """Wait until so many messages are there, or have a turn."""

    async def have_turns() -> bool:
        return len(await waiting(redis)) + len(slack.posted) == count

    await until(have_turns)


async def test_a_channel_takes_a_message_a_second_in_their_order_and_others_do_not_wait_for_it(
    redis: Redis, slack: Slack
) -> None:
    started = time.monotonic()
    async with working(redis, route_to(to_slack("one", ONE), to_slack("other", OTHER)), slack=slack.url, workers=2):
        for number in (1, 2, 3, 4):
            await admit(redis, sample_delivery(f"d-{number}"))
            await _until_asked(redis, slack, 2 * number)
        await until_empty(redis)
    for channel in (ONE, OTHER):
        said = [each["metadata"]["event_payload"]["delivery"] for each in slack.posted if each["channel"] == channel]
        assert said == ["d-1", "d-2", "d-3", "d-4"]
    assert time.monotonic() - started > 3, "three messages after the first, a second each"
    assert slack.asked == 8, "nobody is told to come back"


async def test_who_waits_for_a_turn_says_so_and_holds_up_no_other_sink(redis: Redis, slack: Slack) -> None:
    async with working(redis, route_to(to_slack("one", ONE)), slack=slack.url):
        for number in range(6):
            await admit(redis, sample_delivery(f"d-{number}"))
        await until(lambda: len(slack.posted) >= 1)
        await _until_answered(redis, 6)
        assert len(slack.posted) < 6
        assert set((await waiting(redis)).values()) == {"waits for its turn: others go to the same place"}
        await until_empty(redis)
    assert len(slack.posted) == 6


async def _until_waiting(redis: Redis, name: str) -> None:
    async def has_paused() -> bool:
        return name in await waiting(redis)

    await until(has_paused)


async def test_a_channel_that_asks_for_a_pause_is_left_alone_by_all_who_go_there(redis: Redis, slack: Slack) -> None:
    slack.says = (429, '{"ok":false,"error":"ratelimited"}', {"Retry-After": "3"})
    async with working(redis, route_to(to_slack("one", ONE)), slack=slack.url, workers=2):
        await admit(redis, sample_delivery("d-1"))
        await _until_waiting(redis, "d-1:one")
        slack.says = None
        await admit(redis, sample_delivery("d-2"))
        await _until_waiting(redis, "d-2:one")
        [destination] = await redis.keys(GROUP.pace("*"))
        [turn, spared] = await redis.hget(GROUP.delivery(SECOND), "turn"), await redis.hget(destination, "spared")
        assert int(turn) >= int(spared), "its turn comes when the pause is over"
        assert slack.asked == 1
        await until_empty(redis)
    assert len(slack.posted) == 2
    assert slack.asked == 3


async def test_a_service_takes_any_number_until_it_asks_for_a_pause(redis: Redis, service: Service) -> None:
    sink = HttpSink(name="own", url=service.url, secrets=(), timeout_s=5)
    async with working(redis, route_to(sink)):
        for number in range(10):
            await admit(redis, sample_delivery(f"d-{number}"))
        await until_empty(redis)
        assert len(service.messages) == 10
        service.says = lambda _: (503, {"Retry-After": "3"})
        await admit(redis, sample_delivery("d-10"))
        await _until_waiting(redis, "d-10:own")
        service.says = lambda _: (200, {})
        await admit(redis, sample_delivery("d-11"))
        await _until_waiting(redis, "d-11:own")
        assert len(service.messages) == 11, "who comes meanwhile does not ask"
        await until_empty(redis)
    assert len(service.messages) == 13
