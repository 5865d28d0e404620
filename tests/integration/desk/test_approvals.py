"""`eventroute approvals` as people run it: what they are shown, and what their word does."""

import json

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.queue import State
from eventroute.talk import WORD, Ask, Word
from support.acl_users import AclUsers
from support.command import Ended, run_here
from support.queue import admit, fields, lease, work_on
from support.runs import sample_delivery

pytestmark = pytest.mark.real

CALL = 'POST https://api.example.com/refunds\n{"id":"re_1"}'


@pytest.fixture
def url(server: AclUsers, redis: Redis) -> str:
    return server.url("desk")


def typed(url: str, *words: str) -> Ended:
    return run_here("approvals", *words, REDIS_URL=url)


async def ask(redis: Redis, name: str, *calls: str, call: str = CALL) -> None:
    """Let a delivery wait for people's word."""
    await admit(redis, sample_delivery(name))
    taken = await lease(redis)
    await work_on(redis).begin(taken, traceparent="")
    asked = Ask(tool="refund", call=call, digest="d1", asked_ms=1, until_ms=2**45)
    asks = {each: msgspec.json.encode(asked) for each in calls}
    await work_on(redis).ask(taken, asks, until_ms=2**45, error="a person is to approve: refund")


async def word(redis: Redis, name: str, call: str) -> Word:
    return msgspec.json.decode((await fields(redis, DeliveryId(name)))[f"{WORD}{call}"], type=Word)


async def test_what_waits_is_listed_with_exactly_what_would_be_sent(redis: Redis, url: str) -> None:
    await ask(redis, "d-1", "toolu_1")
    listed = typed(url, "list")
    assert listed.code == 0
    assert f"  {CALL.replace(chr(10), chr(10) + '  ')}\n" in listed.output
    assert "refund," in listed.output
    assert "team-a/triage" in listed.output
    assert "d-1 toolu_1\n" in listed.output
    [entry] = json.loads(typed(url, "list", "-o", "json").output)
    assert (entry["delivery"], entry["call"], entry["request"]) == ("d-1", "toolu_1", CALL)
    assert typed(url, "list", "--route", "team-a").output == listed.output
    assert typed(url, "list", "--route", "team").output == "no call waits for a person\n"
    story = " ".join(run_here("explain", "d-1", REDIS_URL=url).output.split())
    assert "waits, at no cost, for a person's word on a call of a tool" in story
    assert "later approval" in run_here("runs", "list", REDIS_URL=url).output


async def test_what_cannot_be_seen_is_shown_as_what_it_is(redis: Redis, url: str) -> None:
    await ask(redis, "d-1", "toolu_1", call='POST https://x.example.com/\n"pay \u202e1\u200b0\x1b[2Jß"')
    assert '  "pay \\u202e1\\u200b0\\x1b[2Jß"\n' in typed(url, "list").output


@pytest.mark.parametrize(("verb", "approved"), [("approve", True), ("decline", False)])
async def test_a_word_is_kept_with_who_has_said_it(redis: Redis, url: str, verb: str, approved: bool) -> None:
    await ask(redis, "d-1", "toolu_1")
    said = typed(url, verb, "d-1", "--yes", "--note", "looked at it")
    assert said.code == 0, said.output
    assert CALL.splitlines()[0] in said.output
    found = await word(redis, "d-1", "toolu_1")
    assert (found.approved, found.digest, found.note) == (approved, "d1", "looked at it")
    assert "@" in found.by
    assert (await lease(redis)).delivery == "d-1"
    again = typed(url, verb, "d-1", "--yes")
    assert again.code == 2
    assert "no call waits for a person" in again.output


async def test_of_several_calls_the_one_that_is_meant_has_to_be_named(redis: Redis, url: str) -> None:
    await ask(redis, "d-1", "toolu_1", "toolu_2")
    unclear = typed(url, "approve", "d-1", "--yes")
    assert unclear.code == 2
    assert "toolu_1 (refund), toolu_2 (refund)" in unclear.output
    assert typed(url, "approve", "d-1", "toolu_2", "--yes").code == 0
    assert f"{WORD}toolu_1" not in await fields(redis, DeliveryId("d-1"))
    assert typed(url, "decline", "d-1", "--yes").code == 0, "one is left"
    assert not (await word(redis, "d-1", "toolu_1")).approved


async def test_nothing_is_approved_without_a_yes(redis: Redis, url: str) -> None:
    await ask(redis, "d-1", "toolu_1")
    said = typed(url, "approve", "d-1")
    assert said.code == 2
    assert "Approve this call? Nobody is there to ask: say --yes" in said.output
    assert f"{WORD}toolu_1" not in await fields(redis, DeliveryId("d-1"))


async def test_the_desk_lists_it_as_waiting(redis: Redis, url: str) -> None:
    await ask(redis, "d-1", "toolu_1")
    listed = json.loads(run_here("runs", "list", "--state", State.LATER, "-o", "json", REDIS_URL=url).output)
    assert [(each["id"], each["asks"]) for each in listed] == [("d-1", 1)]
