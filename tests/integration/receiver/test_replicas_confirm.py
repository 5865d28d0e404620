"""A reply that waits for replicas: handed out once they have the write, an error when too few of them have."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import hiredis
import pytest

from eventroute.runtime.link import LinkLostError, RedisLink
from support.redis_link import Scripted
from support.waiting import until

pytestmark = pytest.mark.real


class Confirming(Scripted):
    """A server that says how many replicas have a write."""

    def __init__(self, said: bytes) -> None:
        super().__init__(lambda command: self._replies(command, said))

    @staticmethod
    def _replies(command: list[bytes], said: bytes) -> bytes:
        replies = {b"PING": b"+PONG\r\n", b"WAIT": said, b"BAD": b"-ERR unknown command\r\n"}
        return replies.get(command[0], b"+OK\r\n")


@contextlib.asynccontextmanager
async def linked(server: Scripted, *, replicas: int) -> AsyncIterator[RedisLink]:
    link = RedisLink(server.url, replicas=replicas)
    async with server.serving():
        keeping = asyncio.create_task(link.run())
        try:
            await until(lambda: link.is_up and server.connections == 2)
            yield link
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def test_what_one_turn_sends_waits_once_and_within_the_time_for_a_reply() -> None:
    server = Confirming(b":2\r\n")
    async with linked(server, replicas=2) as link:
        assert await asyncio.gather(*(link.call("SET", "a", str(number)) for number in range(3))) == [b"OK"] * 3
        assert await link.call("SET", "a", "b") == b"OK"
    sent = [command for command in server.commands if command[0] != b"PING"]
    assert [command[0] for command in sent] == [b"SET", b"SET", b"SET", b"WAIT", b"SET", b"WAIT"]
    assert sent[3] == [b"WAIT", b"2", b"500"]


@pytest.mark.parametrize("said", [b":1\r\n", b":0\r\n", b"-ERR no WAIT here\r\n"])
async def test_too_few_of_them_are_an_error_that_says_how_many(said: bytes) -> None:
    async with linked(Confirming(said), replicas=2) as link:
        with pytest.raises(hiredis.ReplyError, match=r"^NOREPLICAS .* of 2 replicas have it$"):
            await link.call("SET", "a", "b")


async def test_what_the_server_refused_is_told_as_it_was_said() -> None:
    async with linked(Confirming(b":0\r\n"), replicas=1) as link:
        with pytest.raises(hiredis.ReplyError, match=r"^ERR unknown command"):
            await link.call("BAD")


async def test_a_connection_that_ends_before_they_have_said_so_loses_the_call() -> None:
    async with linked(Confirming(b""), replicas=1) as link:
        with pytest.raises(LinkLostError):
            await link.call("SET", "a", "b")


async def test_without_replicas_nobody_waits() -> None:
    server = Confirming(b":0\r\n")
    async with linked(server, replicas=0) as link:
        assert await link.call("SET", "a", "b") == b"OK"
    assert b"WAIT" not in [command[0] for command in server.commands]
