"""The load generator: a closed loop over keep-alive connections, each with one request in flight.

It writes ready bytes and reads as much of HTTP as an answer with a `content-length` needs. It knows nothing of what
it measures; every answer but a 200 is a failure.
"""

import asyncio
import gc
import resource
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

HOST: Final = "127.0.0.1"

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(frozen=True)
class Load:
    """What a load came to."""

    requests: int
    failures: Counter[str]
    """Status, or `connection` for requests that got no whole answer, → count."""
    duration_s: float
    latencies_ms: list[float]
    """Of the requests answered with 200, ascending."""
    cpu_s: float
    """What the generator itself used of its core meanwhile."""

    @property
    def acks(self) -> int:
        """How many requests were answered with 200."""
        return len(self.latencies_ms)

    @property
    def rate(self) -> float:
        """Acknowledged requests per second."""
        return self.acks / self.duration_s


@dataclass
class _Tally:
    latencies_ns: list[int] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered, until there is none."""

    def __init__(self, requests: Iterator[bytes], tally: _Tally) -> None:
        self._requests = requests
        self._tally = tally
        self._transport: asyncio.Transport | None = None
        self._in_flight = False
        self._sent_ns = 0
        self._received = b""
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send_next(self) -> None:
        assert self._transport is not None
        request = next(self._requests, None)
        self._in_flight = request is not None
        if request is None:
            self._transport.close()
            return
        self._sent_ns = time.perf_counter_ns()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        if not _is_whole_answer(self._received):
            return
        status, self._received = self._received[9:12], b""
        if status == b"200":
            self._tally.latencies_ns.append(time.perf_counter_ns() - self._sent_ns)
        else:
            self._tally.failures[status.decode()] += 1
        self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.failures["connection"] += self._in_flight
        self.closed.set_result(exc)


async def drive(port: int, requests: Sequence[bytes], *, connections: int, limit_s: float) -> Load:
    """Send each request once over `connections` connections and wait for all answers, at most `limit_s` seconds.

    Requests that were not answered in time, or not sent because every connection was lost, are failures.
    """
    loop = asyncio.get_running_loop()
    remaining, tally = iter(requests), _Tally()
    opened = [
        await loop.create_connection(lambda: _Connection(remaining, tally), HOST, port) for _ in range(connections)
    ]
    gc.collect()
    gc.disable()  # a collection in the middle of a run would count as the server's latency
    used_s, started = _cpu_s(), time.perf_counter()
    try:
        for _, connection in opened:
            connection.send_next()
        await asyncio.wait([connection.closed for _, connection in opened], timeout=limit_s)
        duration_s = time.perf_counter() - started
    finally:
        gc.enable()
        for transport, _ in opened:
            transport.abort()
    unanswered = len(requests) - len(tally.latencies_ns) - tally.failures.total()
    failures = tally.failures + Counter({"connection": unanswered})
    latencies_ms = sorted(ns / 1e6 for ns in tally.latencies_ns)
    return Load(len(requests), failures, duration_s, latencies_ms, _cpu_s() - used_s)


def _is_whole_answer(received: bytes) -> bool:
    head_end = received.find(_HEAD_END)
    if head_end < 0:
        return False
    at = received.lower().find(_LENGTH, 0, head_end)
    if at < 0:
        raise ValueError(f"an answer without content-length: {received[:200]!r}")
    length = int(received[at + len(_LENGTH) : received.index(b"\r\n", at)])
    return len(received) >= head_end + len(_HEAD_END) + length


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
