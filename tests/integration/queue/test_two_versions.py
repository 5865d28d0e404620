"""Programs of two versions work on one queue: what the newer one adds, the older one leaves alone."""

import asyncio

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.delivery import encode_delivery
from eventroute.ids import DeliveryId
from eventroute.queue import Trouble
from eventroute.runtime.scripts import ClientCaller, Script
from support.queue import GROUP, admit, fields, upkeep_of, work_on
from support.runs import FakeClaude, build_runner, sample_delivery
from support.worker import running, until_empty

pytestmark = pytest.mark.real

NAME = DeliveryId("d-1")


class _Newer:
    """Calls scripts that are the same but for a line: as another version's, with digests of their own."""

    def __init__(self, redis: Redis) -> None:
        self._call = ClientCaller(redis)

    async def __call__(self, script: Script, key: str, args: list[str]) -> object:
        newer = Script("eventroute.queue", script.name, shared="lib")
        newer.source += b"\n-- newer\n"
        newer.sha = "0" * 40  # nobody has loaded it: it is sent whole
        return await self._call(newer, key, args)


async def test_workers_with_other_scripts_share_the_queue(redis: Redis) -> None:
    claude = FakeClaude()
    newer = work_on(redis)
    newer._call = newer._look = _Newer(redis)  # type: ignore[assignment] # as a newer program would have it
    for number in range(20):
        await admit(redis, sample_delivery(f"d-{number}"))
    older = running(redis, build_runner(redis, claude=claude), slots=2)
    async with older, running(redis, build_runner(redis, claude=claude), slots=2, work=newer):
        await until_empty(redis)
    assert len(claude.asked) == 20
    assert {(await fields(redis, DeliveryId(f"d-{number}")))["outcome"] for number in range(20)} == {"succeeded"}


async def test_fields_that_only_a_newer_version_knows_are_left_alone(redis: Redis) -> None:
    await admit(redis, sample_delivery())
    body = msgspec.json.decode(encode_delivery(sample_delivery()))
    await redis.hset(
        GROUP.delivery(NAME), mapping={"body": msgspec.json.encode({**body, "colour": "blue"}), "colour": "blue"}
    )
    async with running(redis, build_runner(redis)):
        await until_empty(redis)
    found = await fields(redis, NAME)
    assert (found["outcome"], found["colour"]) == ("succeeded", "blue")


async def test_what_is_said_of_holds_and_troubles_may_say_more(redis: Redis) -> None:
    trouble = Trouble(reason="billing", detail="402", key_id="k", model="")
    await redis.hset(GROUP.causes, trouble.cause, msgspec.json.encode({**msgspec.to_builtins(trouble), "colour": 1}))
    await redis.hset(GROUP.held, "team-a/x", b'{"reason":"withheld","detail":"","since":1,"colour":2}')
    upkeep = upkeep_of(redis)
    standing, held = await asyncio.gather(upkeep.standing(GROUP), upkeep.held(GROUP))
    assert [each.trouble for each in standing] == [trouble]
    assert [why.reason for why in held.values()] == ["withheld"]
