"""What comes back, from servers that answer well, badly, slowly, for ever, or not at all."""

import asyncio
import gzip

import pytest

from eventroute.outbound import Blocked, Rule
from eventroute_worker.outbound import Answer, Bounds, Missing, NoAnswer, Request
from support.odd_server import Asked, OddServer, Play, answer, odd_server
from support.outbound import NewOutbound

pytestmark = pytest.mark.real

USUAL = Bounds()
SHORT = Bounds(deadline_s=0.5, max_bytes=1000)


async def ask(new_outbound: NewOutbound, server: OddServer, bounds: Bounds = USUAL) -> Answer:
    outbound = await new_outbound(server.port)
    return await outbound.send(Request("POST", f"http://localhost:{server.port}/", body=b"{}"), bounds)


def bytes_then(*pieces: bytes, pause_s: float = 0.0, repeat: bool = False, close: bool = False) -> Play:
    async def play(_: Asked, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        while repeat:
            writer.write(pieces[-1])
            await writer.drain()
            await asyncio.sleep(pause_s)
        if close:
            writer.close()
        else:
            await asyncio.Event().wait()

    return play


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"3e8\r\n" + b"x" * 1000 + b"\r\n"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_an_answer_and_is_never_followed(new_outbound: NewOutbound, status: str) -> None:
    async with odd_server(answer(b"moved")) as elsewhere:
        location = f"Location: http://localhost:{elsewhere.port}/"
        async with odd_server(answer(b"", location, status=status)) as server:
            told = await ask(new_outbound, server)
        assert told.status == int(status[:3])
        assert told.is_redirect
        assert told.headers["location"] == location.removeprefix("Location: ")
        assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "status", ["200 OK", "204 No Content", "404 Not Found", "429 Too Many", "500 Error", "304 Same"]
)
async def test_any_other_status_is_an_answer_too(new_outbound: NewOutbound, status: str) -> None:
    async with odd_server(answer(b"", "Retry-After: 7", status=status)) as server:
        told = await ask(new_outbound, server)
    assert (told.status, told.is_redirect, told.headers["RETRY-AFTER"]) == (int(status[:3]), False, "7")


@pytest.mark.parametrize(("size", "missing"), [(0, None), (999, None), (1000, None), (1001, Missing.TOO_LONG)])
async def test_a_body_is_read_up_to_the_cap(new_outbound: NewOutbound, size: int, missing: Missing | None) -> None:
    async with odd_server(answer(b"x" * size)) as server:
        told = await ask(new_outbound, server, SHORT)
    assert (told.body, told.missing) == (b"x" * min(size, 1000), missing)


async def test_an_endless_body_is_cut_at_the_cap(new_outbound: NewOutbound) -> None:
    async with odd_server(bytes_then(CHUNKED, CHUNK, repeat=True)) as server:
        told = await ask(new_outbound, server, Bounds(max_bytes=1_000_000))
    assert (told.status, len(told.body), told.missing) == (200, 1_000_000, Missing.TOO_LONG)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
async def test_nothing_is_unpacked(new_outbound: NewOutbound, encoding: str) -> None:
    """We ask for bodies as they are; a bomb costs what it weighs on the wire, and not even that."""
    bomb = gzip.compress(b"\0" * 10_000_000)
    async with odd_server(answer(bomb, f"Content-Encoding: {encoding}")) as server:
        told = await ask(new_outbound, server)
        assert (told.status, told.body, told.missing) == (200, b"", Missing.ENCODED)
        assert server.asked[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "play",
    [
        bytes_then(CHUNKED, CHUNK),
        bytes_then(CHUNKED, CHUNK, b"1\r\nx\r\n", pause_s=0.05, repeat=True),
        bytes_then(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 1000),
    ],
    ids=["stops", "trickles", "announces more"],
)
async def test_a_body_that_does_not_end_in_time_leaves_the_status(new_outbound: NewOutbound, play: Play) -> None:
    async with odd_server(play) as server:
        told = await ask(new_outbound, server, Bounds(deadline_s=0.5))
    assert (told.status, told.missing) == (200, Missing.TOO_SLOW)
    assert told.body.startswith(b"x" * 1000)


@pytest.mark.parametrize(
    "play",
    [
        bytes_then(),
        bytes_then(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", pause_s=0.05, repeat=True),
        bytes_then(b"HTTP/1.1 100 Continue\r\n\r\n", pause_s=0.05, repeat=True),
        bytes_then(b"H", b"T", b"T", b"P", pause_s=0.3),
    ],
    ids=["silence", "headers for ever", "100 for ever", "a byte at a time"],
)
async def test_a_head_that_does_not_come_in_time_is_no_answer(new_outbound: NewOutbound, play: Play) -> None:
    async with odd_server(play) as server:
        with pytest.raises(NoAnswer) as caught:
            await ask(new_outbound, server, SHORT)
    assert caught.value.may_have_arrived


@pytest.mark.parametrize(
    "play",
    [
        bytes_then(close=True),
        bytes_then(b"HTTP/1.1 200", close=True),
        bytes_then(b"SSH-2.0-OpenSSH_9.6\r\n", close=True),
        bytes_then(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"),
        bytes_then(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),
        bytes_then(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        bytes_then(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
        bytes_then(b"\x16\x03\x01" * 100, close=True),
    ],
    ids=["closes", "cuts the head", "not HTTP", "1000 headers", "long header", "length -1", "two lengths", "TLS"],
)
async def test_what_is_no_answer_is_told_as_none(new_outbound: NewOutbound, play: Play) -> None:
    async with odd_server(play) as server:
        with pytest.raises(NoAnswer) as caught:
            await ask(new_outbound, server, Bounds(deadline_s=5))
    assert caught.value.may_have_arrived
    assert "deadline" not in str(caught.value)
    assert len(server.asked) == 1, "nothing is sent twice"


@pytest.mark.parametrize(
    "play",
    [
        bytes_then(CHUNKED, CHUNK, close=True),
        bytes_then(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 1000, close=True),
    ],
    ids=["chunks end early", "too short"],
)
async def test_a_body_that_is_cut_leaves_the_status(new_outbound: NewOutbound, play: Play) -> None:
    async with odd_server(play) as server:
        told = await ask(new_outbound, server)
    assert (told.status, told.missing) == (200, Missing.BROKEN)


async def test_a_body_that_makes_no_sense_leaves_the_status(new_outbound: NewOutbound) -> None:
    async with odd_server(bytes_then(CHUNKED, CHUNK, b"zz\r\n", close=True)) as server:
        told = await ask(new_outbound, server, Bounds(deadline_s=0.5))
    assert (told.status, told.body) == (200, b"x" * 1000)
    assert told.missing in {Missing.BROKEN, Missing.TOO_SLOW}


async def test_the_deadline_is_for_all_of_it_looking_up_included(new_outbound: NewOutbound) -> None:
    async def never(_: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    outbound = await new_outbound(resolve=never)
    with pytest.raises(NoAnswer, match=r"https://example\.com/…: no answer within 0\.2 s") as caught:
        await outbound.send(Request("POST", "https://example.com/secret"), Bounds(deadline_s=0.2))
    assert not caught.value.may_have_arrived
    with pytest.raises(NoAnswer, match=r"not found within 0\.2 s"):
        await outbound.checked_addresses("example.com", 443, deadline_s=0.2)


@pytest.mark.parametrize("speaks", [False, True])
async def test_a_server_that_reads_no_body_holds_nobody_up(new_outbound: NewOutbound, *, speaks: bool) -> None:
    """The request's body is larger than what stands in buffers, so that sending it does not end."""
    heard: list[asyncio.StreamWriter] = []

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        if speaks:
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    async with await asyncio.start_server(deaf, "127.0.0.1", 0, limit=2**16) as server:
        port = server.sockets[0].getsockname()[1]
        outbound = await new_outbound(port)
        large = Request("POST", f"http://localhost:{port}/", body=b"x" * 20_000_000)
        async with asyncio.timeout(20):
            if speaks:
                assert (await outbound.send(large, Bounds(deadline_s=60))).status == 413
            else:
                with pytest.raises(NoAnswer) as caught:
                    await outbound.send(large, SHORT)
                assert caught.value.may_have_arrived
        for writer in heard:
            writer.transport.abort()


async def test_nobody_listens(new_outbound: NewOutbound) -> None:
    async with odd_server(answer()) as server:
        port = server.port
    outbound = await new_outbound(port)
    with pytest.raises(NoAnswer, match=r"no connection to 127\.0\.0\.1: Connect") as caught:
        await outbound.send(Request("POST", f"http://localhost:{port}/secret"))
    assert not caught.value.may_have_arrived
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "10.0.0.1"),
        ("host", "evil.example"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "Upgrade"),
        ("Upgrade", "h2c"),
        ("Accept-Encoding", "gzip"),
        ("Proxy-Authorization", "Basic x"),
        ("Expect", "100-continue"),
        ("X", "a\r\nHost: evil.example"),
        ("X", "a\nb"),
        ("X", "a\x00b"),
        ("X", "ä"),
        ("X\r\nHost", "a"),
        ("X Y", "a"),
        ("", "a"),
        ("X:", "a"),
    ],
)
async def test_no_header_changes_what_was_judged(new_outbound: NewOutbound, name: str, value: str) -> None:
    async with odd_server(answer()) as server:
        outbound = await new_outbound(server.port)
        with pytest.raises(Blocked) as caught:
            await outbound.send(Request("GET", f"http://localhost:{server.port}/", {name: value}))
        assert caught.value.rule is Rule.HEADER
        assert server.connections == 0


async def test_a_request_is_what_was_asked_for_and_no_more(new_outbound: NewOutbound) -> None:
    async with odd_server(answer()) as server:
        outbound = await new_outbound(server.port)
        headers = {"Content-Type": "application/json", "X-Key": "a b\tc"}
        await outbound.send(Request("PUT", f"http://localhost:{server.port}/%7Ea//../b?c=%2F", headers, b"{}"))
        (asked,) = server.asked
    assert asked.line == "PUT /%7Ea//../b?c=%2F HTTP/1.1"
    assert asked.body == b"{}"
    assert asked.headers == {
        "host": f"localhost:{server.port}",
        "user-agent": "EventRoute",
        "accept": "*/*",
        "content-type": "application/json",
        "x-key": "a b\tc",
        "accept-encoding": "identity",
        "content-length": "2",
    }
