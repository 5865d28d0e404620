"""A route that allows 25 MiB is one route among many: whatever such a body holds, the others are served meanwhile."""

import asyncio
import time

import pytest

from eventroute.ids import RoutePath
from support.queue import letters
from support.raw_http import exchange, whole
from support.receiver_process import OnTheWire
from support.receiving import Receiving, opened, signed
from support.routes import SECRET, compiled
from support.sample_routes import receiver_route

MIB = 1 << 20
LARGE = RoutePath("team-a/large")


@pytest.fixture
async def served(wire: OnTheWire) -> OnTheWire:
    await wire.serve(receiver_route(), receiver_route(name="large", max_body_bytes=25 * MIB))
    return wire


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * (25 * MIB), 422),
        (b'{"a":' * (5 * MIB), 422),
        (b'{"n":' + b"9" * (24 * MIB) + b"}", 200),
        (b'{"text":"' + b"x" * (24 * MIB) + b'"}', 200),
        (b'{"many":[' + b"{}," * (8 * MIB) + b"{}]}", 200),
    ],
    ids=["nothing but [", "objects in objects", "one number", "one text", "small objects"],
)
async def test_others_are_served_while_a_huge_body_is_judged(served: OnTheWire, body: bytes, status: int) -> None:
    request = signed("github", body, event="unheard_of", delivery="gh-large")
    judging = asyncio.create_task(exchange(served.port, whole(request, target="/hooks/team-a/large"), timeout_s=20))
    slowest, number = 0.0, 0
    while not judging.done():
        number += 1
        started = time.monotonic()
        assert (await exchange(served.port, whole(opened(number)))).status == 200
        slowest = max(slowest, time.monotonic() - started)
        await asyncio.sleep(0.005)
    assert (await judging).status == status
    assert number > 3
    assert slowest < 3  # some 0.06 s on an idle machine; while others keep it busy, much more
    assert len(await letters(served.redis, LARGE)) == (1 if status == 422 else 0)
    assert len(await served.queued()) == number + (1 if status == 200 else 0)


async def test_a_forged_huge_body_is_not_even_parsed(served: OnTheWire) -> None:
    request = signed("github", b"[" * (25 * MIB), secret="forged-by-somebody-else")
    answer = await exchange(served.port, whole(request, target="/hooks/team-a/large"), timeout_s=20)
    assert (answer.status, answer.body) == (401, b"")
    assert await letters(served.redis, LARGE) == []


@pytest.mark.parametrize(("said", "status"), [({}, 200), ({"maxBodyBytes": MIB}, 413)])
async def test_a_route_that_says_nothing_takes_what_its_provider_sends(
    receiver: Receiving, said: dict[str, int], status: int
) -> None:
    await receiver.serve(*compiled(**said).receiver.values())
    body = b'{"commits":[],"ref":"%s"}' % (b"x" * (24 * MIB))
    answer = await receiver.post(signed("github", body, event="push", delivery="gh-large", secret=SECRET.decode()))
    assert answer.status_code == status
