"""A route that debounces answers later events with the delivery that stands for them, and asks Claude once."""

import pytest
from redis.asyncio import Redis

from eventroute.route_table import DebounceRule
from support.queue import GROUP
from support.receipts import receipts
from support.receiving import Receiving, signed
from support.runs import FakeClaude, FakeRoutes, build_runner, worker_route
from support.sample_routes import receiver_route
from support.worker import running, until_empty

pytestmark = pytest.mark.real

ROUTE = receiver_route(entity="payload.pull_request.user", debounce=DebounceRule(quiet_s=30, max_s=300))


async def _answer(receiver: Receiving, user: object, *, delivery: str) -> dict[str, str]:
    body = {"number": int(delivery), "pull_request": {"user": user}}
    answer = await receiver.post(signed("github", body, event="pull_request", delivery=f"gh-{delivery}"))
    assert answer.status_code == 200
    found: dict[str, str] = answer.json()
    return found


async def test_each_later_event_is_answered_with_the_delivery_that_stands_for_it(receiver: Receiving) -> None:
    await receiver.serve(ROUTE)
    before = receipts()
    first = await _answer(receiver, "ann", delivery="1")
    assert first["status"] == "queued"
    assert await _answer(receiver, "ann", delivery="2") == {**first, "status": "debounced"}
    assert await _answer(receiver, "ann", delivery="2") == {**first, "status": "duplicate"}
    other = await _answer(receiver, "bob", delivery="3")
    assert (other["status"], other["delivery"] == first["delivery"]) == ("queued", False)
    assert {key[1]: count for key, count in (receipts() - before).items()} == {
        "queued": 2,
        "debounced": 1,
        "duplicate": 1,
    }
    assert await receiver.queued() == []


async def test_an_event_of_which_no_entity_can_be_told_runs_for_itself(receiver: Receiving) -> None:
    await receiver.serve(ROUTE)
    found = [await _answer(receiver, None, delivery=name) for name in ("1", "2")]
    assert [each["status"] for each in found] == ["queued", "queued"]
    assert await receiver.queued() == [each["delivery"] for each in found]


async def test_claude_is_asked_once_and_sees_all_of_them(receiver: Receiving, redis: Redis) -> None:
    await receiver.serve(ROUTE)
    ids = {(await _answer(receiver, "ann", delivery=f"{number}"))["delivery"] for number in range(3)}
    (standing,) = ids
    await redis.zadd(GROUP.later, {standing: 1}, xx=True)
    claude = FakeClaude()
    routes = FakeRoutes(worker_route(entity="payload.pull_request.user"))
    async with running(redis, build_runner(redis, claude=claude, routes=routes)):
        await until_empty(redis)
    (asked,) = claude.asked
    lines = [f'{{"event":"pull_request","payload":{{"number":{n},"pull_request":{{"user":"ann"}}}}}}' for n in range(3)]
    assert "\n".join(lines) in asked.user
    about = await redis.hget(f"{GROUP.prefix}d:{standing}", "about")
    assert b'"events":3' in about
