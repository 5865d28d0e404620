"""The load generator's ceiling: a socket that answers every request with the same bytes and looks at none of them.

It counts the bytes of requests instead of parsing them, which works because all requests of the benchmark are equally
long. Started as `python -m bench.peers.constant PORT`.
"""

import asyncio
import sys
from typing import cast

import uvloop

from bench.deliveries import render

_REQUEST_BYTES = len(render(0).request)
_ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 19\r\n\r\n{"status":"queued"}'


class _Constant(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._received = 0

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        while self._received >= _REQUEST_BYTES:
            self._received -= _REQUEST_BYTES
            self._transport.write(_ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Constant, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
