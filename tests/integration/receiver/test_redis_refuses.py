"""A Redis that answers and will not: senders are to come back, the log says what Redis said, nothing is claimed."""

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from eventroute.outcome import Unavailable
from eventroute.queue import Candidate, Limits
from eventroute_receiver.admit import Admission, NotNow
from support.own_valkey import OwnValkey
from support.queue import GROUP, lease, settle
from support.receipts import receipts
from support.receiving import Receiving, opened
from support.redis_link import Scripted, linked
from support.runs import sample_delivery
from support.sample_routes import receiver_route
from support.waiting import until

TRIAGE = "team-a/triage"

SAID = {
    "CROSSSLOT": ("CROSSSLOT Keys in request don't hash to the same slot", Unavailable.REDIS),
    "NOPERM": ("NOPERM User receiver has no permissions to run the 'evalsha' command", Unavailable.REDIS),
    "OOM": ("OOM command not allowed when used memory > 'maxmemory'.", Unavailable.MEMORY),
    "WRONGTYPE": ("WRONGTYPE Operation against a key holding the wrong kind of value", Unavailable.REDIS),
    "ERR": ("ERR user_script:7: attempt to index a nil value", Unavailable.REDIS),
}


class Refusing:
    """A receiver's edge to a server that refuses scripts in the words that the test says."""

    def __init__(self, server: Scripted, admission: Admission) -> None:
        self._server = server
        self.admission = admission

    async def admit(self, said: str) -> object:
        self._server.reply = lambda _command: f"-{said}\r\n".encode()
        return await self.admission.admit(receiver_route(), [Candidate(sample_delivery(), [])], traceparent="")


@pytest.fixture
async def refusing() -> AsyncIterator[Refusing]:
    server = Scripted(lambda _command: b"+PONG\r\n")
    async with server.serving(), linked(server.url) as link:
        await until(lambda: len(server.commands) == 2 and link.is_up)
        yield Refusing(server, Admission(link, limits=Limits(10, 0)))


@pytest.mark.parametrize("word", SAID)
async def test_what_redis_said_is_logged_in_its_own_words(refusing: Refusing, word: str) -> None:
    said, reason = SAID[word]
    with capture_logs() as logs:
        assert await refusing.admit(said) == NotNow(reason)
    assert logs == [{"event": "redis_refuses", "word": word, "error": said, "log_level": "warning"}]


async def test_it_is_logged_at_most_once_a_second_for_each_kind(refusing: Refusing) -> None:
    with capture_logs() as logs:
        for word in ("NOPERM", "NOPERM", "OOM", "NOPERM", "OOM"):
            await refusing.admit(SAID[word][0])
        assert [entry["word"] for entry in logs] == ["NOPERM", "OOM"]
        refusing.admission._told["NOPERM"] -= 1  # a second passes
        for word in ("NOPERM", "OOM", "NOPERM"):
            await refusing.admit(SAID[word][0])
    assert [entry["word"] for entry in logs] == ["NOPERM", "OOM", "NOPERM"]


async def test_the_autoscaler_hears_that_it_cannot_be_counted_and_the_log_says_why(refusing: Refusing) -> None:
    refusing._server.reply = lambda _command: b"-NOPERM no\r\n"
    with capture_logs() as logs:
        assert await refusing.admission.load() == NotNow(Unavailable.REDIS)
    assert [entry["error"] for entry in logs] == ["NOPERM no"]


async def assert_refused(receiver: Receiving, word: str) -> None:
    """Post an event that Redis refuses, which leaves nothing behind."""
    stored, before = set(await receiver.redis.keys(f"{GROUP.prefix}*")), receipts()
    with capture_logs() as logs:
        answer = await receiver.post(opened())
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (503, b"", "5")
    assert receipts() - before == {(TRIAGE, "unavailable", "redis"): 1}
    assert [entry["word"] for entry in logs if entry["event"] == "redis_refuses"] == [word]
    assert set(await receiver.redis.keys(f"{GROUP.prefix}*")) == stored


async def assert_accepted(receiver: Receiving) -> None:
    """The same event is a new one, whole, and can be worked on."""
    answer = (await receiver.post(opened())).json()
    assert answer["status"] == "queued"
    taken = await lease(receiver.redis)
    assert taken.delivery == answer["delivery"]
    await settle(receiver.redis, taken)


async def test_with_too_few_replicas_nothing_is_claimed_and_the_event_is_accepted_afterwards(
    receiver: Receiving, redis: Redis
) -> None:
    await receiver.serve(receiver_route())
    await redis.config_set("min-replicas-to-write", 1)
    try:
        await assert_refused(receiver, "NOREPLICAS")
    finally:
        await redis.config_set("min-replicas-to-write", 0)
    await assert_accepted(receiver)


async def test_when_it_cannot_write_its_snapshots_it_is_the_same(
    fragile: OwnValkey, fragile_receiver: Receiving
) -> None:
    await fragile_receiver.serve(receiver_route())
    in_the_way = fragile.folder / "dump.rdb"  # a directory where a file would be
    (in_the_way / "x").mkdir(parents=True)
    await fragile_receiver.redis.config_set("save", "3600 1")
    await snapshot(fragile_receiver.redis, "err")
    await assert_refused(fragile_receiver, "MISCONF")
    shutil.rmtree(in_the_way)
    await snapshot(fragile_receiver.redis, "ok")
    await assert_accepted(fragile_receiver)


async def snapshot(redis: Redis, status: str) -> None:
    """Let the server write a snapshot, until it has ended so."""

    async def has_ended() -> bool:
        info = await redis.info("persistence")
        if not info["rdb_bgsave_in_progress"] and info["rdb_last_bgsave_status"] != status:
            await redis.bgsave()
            await asyncio.sleep(0.05)
        return bool(info["rdb_last_bgsave_status"] == status)

    await until(has_ended)
