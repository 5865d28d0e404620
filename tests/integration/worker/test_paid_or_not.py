"""Whether a call that ended without an answer may have been paid: only one that has never reached the API was not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from eventroute.models import Models
from eventroute.prompt import Prompt
from eventroute.route_table import ModelCall
from eventroute.secret import Secret
from eventroute_cli.local.processes import free_port
from eventroute_worker.answer import Failed, Passing, Reply
from eventroute_worker.claude import Claude
from eventroute_worker.pricing import Prices

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _ask(port: int, *, timeout_s: float = 5) -> Reply:
    async with Claude(
        api_key=Secret(b"k"), base_url=f"http://127.0.0.1:{port}", propagate_trace=False, prices=Prices(Models.load())
    ) as claude:
        call = ModelCall(name="claude-haiku-5-5", max_tokens=9, timeout_s=timeout_s)
        return await claude.ask(call, Prompt("", "?", ()), api_key=None)


@contextlib.asynccontextmanager
async def _serving(serve: Serve) -> AsyncIterator[int]:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        done.set()

    done = asyncio.Event()
    async with await asyncio.start_server(served, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await done.wait()


async def test_where_nobody_listens_nothing_is_paid() -> None:
    reply = await _ask(free_port())
    assert isinstance(reply, Passing)
    assert not reply.may_be_paid


async def test_a_connection_that_is_lost_after_the_request_may_have_been_paid() -> None:
    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with _serving(hang_up) as port:
        reply = await _ask(port)
    assert isinstance(reply, Passing)
    assert reply.may_be_paid


async def test_half_an_answer_may_have_been_paid() -> None:
    async def answer_half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
        await writer.drain()

    async with _serving(answer_half) as port:
        reply = await _ask(port)
    assert isinstance(reply, Passing | Failed)
    assert reply.may_be_paid


async def test_an_answer_that_takes_too_long_may_have_been_paid() -> None:
    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with _serving(say_nothing) as port:
        reply = await _ask(port, timeout_s=0.2)
    assert isinstance(reply, Failed)
    assert reply.may_be_paid


async def test_an_answer_that_cannot_be_read_may_have_been_paid() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()

    async with _serving(babble) as port:
        reply = await _ask(port)
    assert isinstance(reply, Failed)
    assert reply.may_be_paid
