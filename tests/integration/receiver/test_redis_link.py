"""The shared connections: each caller gets its own reply or hears that it is lost, and what was lost comes back."""

import asyncio

import hiredis
import pytest
from structlog.testing import capture_logs

from eventroute.runtime.link import LinkLostError, RedisLink
from support.redis_link import Reply, Scripted, linked
from support.waiting import until


def pong_and(reply: bytes) -> Reply:
    return lambda command: b"+PONG\r\n" if command == [b"PING"] else reply


async def test_of_a_thousand_calls_at_once_each_gets_its_own_reply(valkey_url: str) -> None:
    async with linked(valkey_url) as link:
        await until(lambda: link.is_up)
        replies = await asyncio.gather(*(link.call("ECHO", str(number)) for number in range(1000)))
    assert replies == [str(number).encode() for number in range(1000)]


async def test_a_caller_that_gave_up_takes_nobody_elses_reply(valkey_url: str) -> None:
    async with linked(valkey_url) as link:
        await until(lambda: link.is_up)
        calls = [asyncio.ensure_future(link.call("ECHO", str(number))) for number in range(10)]
        await asyncio.sleep(0)
        calls[4].cancel()
        replies = await asyncio.gather(*calls, return_exceptions=True)
    assert [reply for reply in replies if isinstance(reply, bytes)] == [b"%d" % n for n in range(10) if n != 4]


async def test_before_it_is_connected_a_call_is_lost_at_once() -> None:
    with pytest.raises(LinkLostError):
        await RedisLink("redis://127.0.0.1:1/0").call("PING")


async def test_a_server_that_is_still_loading_is_not_used_until_it_has_loaded() -> None:
    server = Scripted(lambda _command: b"-LOADING Redis is loading the dataset in memory\r\n")
    async with server.serving(), linked(server.url) as link:
        await until(lambda: len(server.commands) >= 2)
        assert not link.is_up
        server.reply = pong_and(b"+OK\r\n")
        await until(lambda: link.is_up)


async def test_an_outage_is_logged_once_however_long_it_lasts() -> None:
    server = Scripted(lambda _command: b"-LOADING Redis is loading the dataset in memory\r\n")
    with capture_logs() as logs:
        async with server.serving(), linked(server.url) as link:
            await until(lambda: server.connections >= 4)
            server.reply = pong_and(b"+OK\r\n")
            await until(lambda: link.is_up)
    assert [entry["event"] for entry in logs][:2] == ["redis_unreachable", "redis_connected"]


async def test_a_demoted_server_is_left_for_whoever_is_behind_the_name_now() -> None:
    server = Scripted(pong_and(b"-READONLY You can't write against a read only replica.\r\n"))
    async with server.serving(), linked(server.url) as link:
        await until(lambda: link.is_up)
        with pytest.raises(hiredis.ReplyError, match="READONLY"):
            await link.call("SET", "a", "b")
        await until(lambda: server.connections == 2)


async def test_any_other_refusal_keeps_the_connection() -> None:
    server = Scripted(pong_and(b"-MISCONF Errors writing to the AOF file\r\n"))
    async with server.serving(), linked(server.url) as link:
        await until(lambda: link.is_up)
        for _ in range(3):
            with pytest.raises(hiredis.ReplyError, match="MISCONF"):
                await link.call("SET", "a", "b")
        assert server.connections == 1


@pytest.mark.parametrize("reply", [b"", b"?what is this\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_cut_or_senseless_reply_loses_the_call_and_the_link_connects_anew(reply: bytes) -> None:
    server = Scripted(pong_and(reply))
    async with server.serving(), linked(server.url) as link:
        await until(lambda: link.is_up)
        with pytest.raises(LinkLostError):
            await link.call("GET", "a")
        await until(lambda: server.connections == 2)


async def test_it_signs_in_and_chooses_its_database_before_it_is_up() -> None:
    server = Scripted(lambda command: b"+PONG\r\n" if command == [b"PING"] else b"+OK\r\n")
    async with server.serving(), linked(f"redis://someone:s3cr3t@127.0.0.1:{server.port}/7") as link:
        await until(lambda: link.is_up)
    assert server.commands == [[b"AUTH", b"someone", b"s3cr3t"], [b"SELECT", b"7"], [b"PING"]]


async def test_a_wrong_password_is_tried_again_and_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    server = Scripted(lambda _command: b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
    async with server.serving(), linked(f"redis://:s3cr3t@127.0.0.1:{server.port}/0") as link:
        await until(lambda: server.connections == 2)
        assert not link.is_up
    assert "s3cr3t" not in "".join(capsys.readouterr())
