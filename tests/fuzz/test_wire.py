"""Damaged bytes on connections to a receiver process: each is answered or closed, and the process lives on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from eventroute.delivery import decode_delivery
from eventroute.ids import DeliveryId, RoutePath
from eventroute.runtime.redis import connect
from eventroute.sealed import SealKey, new_key_text
from support.fuzz import Edit, bounded, edited, edits
from support.queue import GROUP
from support.raw_http import chunked, connected, head, read_answer, whole
from support.receiver_process import OnTheWire, ReceiverProcess, receiver_process
from support.receiving import opened
from support.sample_routes import receiver_route
from support.valkey import valkey_server
from support.waiting import until

DEADLINE_S = 0.5  # of the receiver, for a head and for a body
PATIENCE_S = 10.0  # of the test: machines are busy
CONTRACT = {100, 200, 400, 401, 404, 405, 408, 413, 415, 422, 431}
"""What may be answered while Redis is there and has room; 503 is not among it."""

GENUINE = {opened(number).body for number in range(102)}


def _stream(number: int) -> bytes:
    """Write two requests for one connection, in one of some forms."""
    one, other = opened(2 * number), opened(2 * number + 1)
    pieces = b"".join(chunked(one.body, 20))
    forms = (
        whole(one) + whole(other),
        head(one, ("transfer-encoding", "chunked")) + pieces + whole(other),
        whole(one, target="/hooks/team-a/absent") + whole(other, ("expect", "100-continue")),
        whole(one, ("connection", "close"), method="PUT") + whole(other),
    )
    return forms[number % len(forms)]


@dataclass
class Heard:
    """What a connection had to say."""

    statuses: list[int] = field(default_factory=list)
    is_closed: bool = False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, ReceiverProcess]]:
    folder, key = tmp_path_factory.mktemp("fuzzed"), new_key_text()
    with (
        valkey_server(folder) as url,
        receiver_process(folder, url, key, read_deadline_s=DEADLINE_S, idle_timeout_s=1) as process,
    ):
        yield url, key, process


@pytest.fixture
async def wire(site: tuple[str, str, ReceiverProcess]) -> AsyncIterator[OnTheWire]:
    url, key, process = site
    redis = connect(url)
    await redis.flushall()
    on_the_wire = OnTheWire(process, redis, SealKey.from_text(key))
    await on_the_wire.serve(receiver_route(max_body_bytes=65_536))
    yield on_the_wire
    await redis.aclose()


async def _say(port: int, stream: bytes, *, ends: bool) -> Heard:
    """Send a stream, and hear all that comes back until the other side closes."""
    heard = Heard()
    async with asyncio.timeout(PATIENCE_S), connected(port) as (reader, writer):
        writer.write(stream)
        if ends:
            with contextlib.suppress(OSError):  # answered and closed already
                writer.write_eof()
        try:
            while True:
                heard.statuses.append((await read_answer(reader)).status)
        except ConnectionError:
            heard.is_closed = True
    return heard


streams = st.tuples(st.integers(0, 50), edits(), st.booleans())


@bounded(6)
@given(said=st.lists(streams, min_size=24, max_size=24))
async def test_any_bytes_are_answered_or_the_connection_is_closed_and_nothing_forged_is_queued(
    wire: OnTheWire, said: list[tuple[int, list[Edit], bool]]
) -> None:
    heard = await asyncio.gather(
        *(_say(wire.port, edited(_stream(number), changes), ends=ends) for number, changes, ends in said)
    )
    assert all(each.is_closed for each in heard)
    assert {status for each in heard for status in each.statuses} <= CONTRACT
    assert await _bodies(wire.redis) <= GENUINE
    await until(lambda: _is_well(wire))
    assert _troubles(wire.receiver.log) == []


async def _is_well(wire: OnTheWire) -> bool:
    """Tell whether a good request is answered; a busy machine may take longer to read one than the receiver gives."""
    return (await _say(wire.port, whole(opened()), ends=False)).statuses == [200]


async def _bodies(redis: Redis) -> set[bytes]:
    """Read the bodies of all that is kept."""
    bodies: set[bytes] = set()
    for key in await redis.keys(GROUP.delivery(DeliveryId("*"))):
        body, path, at = await redis.hmget(key, "body", "path", "at")
        delivery = decode_delivery(body, id=DeliveryId(""), route=RoutePath(path.decode()), received_ms=int(at))
        bodies.add(bytes(delivery.payload))
    return bodies


def _troubles(log: Path) -> list[str]:
    """Pick the lines that tell of what should not have happened."""
    words = ("receipt_failed", "Traceback", "error", "never awaited")
    return [line for line in log.read_text(encoding="utf-8").splitlines() if any(word in line for word in words)]
