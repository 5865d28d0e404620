"""A program's own connection, and servers that answer it as a test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import hiredis

from eventroute.runtime.link import RedisLink
from eventroute_cli.local.processes import free_port

Reply = Callable[[list[bytes]], bytes]
"""What a server answers to a command, as bytes of the protocol."""


@contextlib.asynccontextmanager
async def linked(url: str) -> AsyncIterator[RedisLink]:
    """Keep a link open while the block runs, or try to."""
    link = RedisLink(url)
    keeping = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


class Scripted:
    """A server that answers each command as the test says; an empty reply cuts the connection."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.commands: list[list[bytes]] = []
        self.talks: list[list[list[bytes]]] = []
        """The commands of each connection, in the order in which they came."""
        self.port = free_port()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Scripted"]:
        """Listen while the block runs."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        async with server:
            yield self

    @property
    def connections(self) -> int:
        """How many there were so far."""
        return len(self.talks)

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands, talk = hiredis.Reader(), list[list[bytes]]()
        self.talks.append(talk)
        with contextlib.closing(writer):
            while data := await reader.read(65536):
                commands.feed(data)
                while (command := commands.gets()) is not False:
                    self.commands.append(command)
                    talk.append(command)
                    reply = self.reply(command)
                    writer.write(reply)
                    if not reply:
                        return


def naming(port: int) -> Scripted:
    """A Sentinel that names a server on loopback."""
    return Scripted(lambda _command: b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (len(str(port)), port))
