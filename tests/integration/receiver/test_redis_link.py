"""The shared connections: each caller gets its own reply or hears that it is lost, and what was lost comes back."""

import asyncio
import functools
import time

import hiredis
import pytest
from structlog.testing import capture_logs

from eventroute.runtime.link import LinkLostError, RedisLink
from eventroute_cli.local.processes import free_port
from support.redis_link import Reply, Scripted, linked
from support.slow_link import throttled
from support.waiting import until

LARGE = "x" * 70_000  # too much for the connection of ordinary commands


def pong_and(reply: bytes) -> Reply:
    return lambda command: b"+PONG\r\n" if command == [b"PING"] else reply


async def until_both_are_up(link: RedisLink, server: Scripted) -> None:
    await until(lambda: link.is_up and len([talk for talk in server.talks if [b"PING"] in talk]) == 2)


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
            await until(lambda: server.connections >= 6)
            server.reply = pong_and(b"+OK\r\n")
            await until(lambda: link.is_up)
    assert [entry["event"] for entry in logs][:2] == ["redis_unreachable", "redis_connected"]


async def test_a_demoted_server_is_left_for_whoever_is_behind_the_name_now() -> None:
    server = Scripted(pong_and(b"-READONLY You can't write against a read only replica.\r\n"))
    async with server.serving(), linked(server.url) as link:
        await until_both_are_up(link, server)
        with pytest.raises(hiredis.ReplyError, match="READONLY"):
            await link.call("SET", "a", "b")
        await until(lambda: server.connections == 3)


async def test_any_other_refusal_keeps_the_connection() -> None:
    server = Scripted(pong_and(b"-MISCONF Errors writing to the AOF file\r\n"))
    async with server.serving(), linked(server.url) as link:
        await until_both_are_up(link, server)
        for _ in range(3):
            with pytest.raises(hiredis.ReplyError, match="MISCONF"):
                await link.call("SET", "a", "b")
        assert server.connections == 2


@pytest.mark.parametrize("reply", [b"", b"?what is this\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_cut_or_senseless_reply_loses_the_call_and_the_link_connects_anew(reply: bytes) -> None:
    server = Scripted(pong_and(reply))
    async with server.serving(), linked(server.url) as link:
        await until_both_are_up(link, server)
        with pytest.raises(LinkLostError):
            await link.call("GET", "a")
        await until(lambda: server.connections == 3)


async def test_it_signs_in_and_chooses_its_database_before_it_is_up() -> None:
    server = Scripted(lambda command: b"+PONG\r\n" if command == [b"PING"] else b"+OK\r\n")
    async with server.serving(), linked(f"redis://someone:s3cr3t@127.0.0.1:{server.port}/7") as link:
        await until_both_are_up(link, server)
    assert server.talks == [[[b"AUTH", b"someone", b"s3cr3t"], [b"SELECT", b"7"], [b"PING"]]] * 2


async def test_a_wrong_password_is_tried_again_and_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    server = Scripted(lambda _command: b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
    async with server.serving(), linked(f"redis://:s3cr3t@127.0.0.1:{server.port}/0") as link:
        await until(lambda: server.connections >= 4)
        assert not link.is_up
    assert "s3cr3t" not in "".join(capsys.readouterr())


async def test_large_commands_have_a_connection_of_their_own() -> None:
    server = Scripted(pong_and(b"+OK\r\n"))
    async with server.serving(), linked(server.url) as link:
        await until_both_are_up(link, server)
        for value in (LARGE, "b", LARGE, "b"):
            await link.call("SET", "a", value)
    talks = sorted([len(value) for _, _, value in talk[1:]] for talk in server.talks)
    assert talks == [[1, 1], [len(LARGE), len(LARGE)]]


@pytest.mark.parametrize(("lost", "kept"), [("b", LARGE), (LARGE, "b")], ids=["ordinary", "large"])
async def test_each_connection_comes_back_and_the_other_goes_on_meanwhile(lost: str, kept: str) -> None:
    cuts = [b"SET", b"cut", lost.encode()]
    server = Scripted(lambda command: b"" if command == cuts else b"+OK\r\n")
    async with server.serving(), linked(server.url) as link:
        await until_both_are_up(link, server)
        with pytest.raises(LinkLostError):
            await link.call("SET", "cut", lost)
        assert await link.call("SET", "a", kept) == b"OK"
        await until(lambda: server.connections == 3 and [b"PING"] in server.talks[2])
        await until(functools.partial(_is_answered, link, lost))
        assert await link.call("SET", "a", kept) == b"OK"
        assert [cuts] == [command for command in server.commands if command == cuts]  # nothing is sent twice


async def _is_answered(link: RedisLink, value: str) -> bool:
    try:
        return bool(await link.call("SET", "a", value))
    except LinkLostError:
        return False


async def test_without_a_server_waiting_for_it_ends_and_says_so() -> None:
    async with linked(f"redis://127.0.0.1:{free_port()}/0") as link:
        assert not await link.until_up(0.05)


async def test_waiting_for_it_ends_once_the_server_is_there_and_has_loaded() -> None:
    server = Scripted(lambda _command: b"-LOADING Redis is loading the dataset in memory\r\n")
    async with linked(server.url) as link:
        waiting = asyncio.create_task(link.until_up(10))
        async with server.serving():
            await until(lambda: len(server.commands) >= 2)
            assert not waiting.done()
            server.reply = pong_and(b"+OK\r\n")
            assert await waiting
            assert await link.call("GET", "a") == b"OK"
            assert await link.until_up(0)  # it is up already


async def test_a_server_that_went_away_is_waited_for_anew() -> None:
    server = Scripted(pong_and(b""))
    async with linked(server.url) as link:
        async with server.serving():
            assert await link.until_up(10)
            with pytest.raises(LinkLostError):
                await link.call("GET", "a")
            server.reply = lambda _command: b"-LOADING\r\n"
            await until(lambda: not link.is_up)
        assert not await link.until_up(0.05)
        server.reply = pong_and(b"+OK\r\n")
        async with server.serving():
            assert await link.until_up(10)


async def test_a_stalled_server_is_given_up_sooner_by_small_commands_than_by_large_ones() -> None:
    server = Scripted(pong_and(b"+"))  # it takes everything and never ends an answer
    async with server.serving(), linked(server.url) as link:
        await until_both_are_up(link, server)
        started = time.monotonic()
        large = asyncio.ensure_future(link.call("SET", "a", "x" * 5_000_000))  # may take a second more
        small = asyncio.ensure_future(link.call("SET", "a", "b"))
        done, _ = await asyncio.wait([large, small], return_when=asyncio.FIRST_COMPLETED)
        assert done == {small}
        assert time.monotonic() - started >= 0.8
        assert isinstance(small.exception(), LinkLostError)
        with pytest.raises(LinkLostError):
            await large
        assert time.monotonic() - started >= 1.8


async def test_what_follows_a_large_command_may_take_as_long_as_that(valkey_url: str) -> None:
    async with throttled(valkey_url, bytes_per_s=4_000_000) as url, linked(url) as link:
        assert await link.until_up(10)
        await until(functools.partial(_is_answered, link, LARGE))
        calls = [link.call("ECHO", "x" * 1_300_000) for _ in range(3)]  # the last is under way for a second
        assert [len(reply) for reply in await asyncio.gather(*calls)] == [1_300_000] * 3
