"""A Redis Cluster: each namespace's deliveries are on one server, and failovers and moving slots lose none."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, RoutePath, route_path
from eventroute.queue import Group, group_of
from eventroute.route_table import StreamSink
from eventroute.runtime.redis import connect
from eventroute.runtime.redis_url import parse_redis_url
from support.installation import Installation, Receiver, installation
from support.receiving import opened
from support.sample_routes import receiver_route, worker_route
from support.valkey_cluster import ValkeyCluster, valkey_cluster
from support.waiting import until

pytestmark = pytest.mark.real

GROUPS = 4
NAMESPACES = ("team-a", "team-b", "team-c", "team-e", "shop", "billing")
SETTINGS = {
    "EVENTROUTE_RECEIVER_GROUPS": str(GROUPS),
    "EVENTROUTE_WORKER_GROUPS": str(GROUPS),
    "EVENTROUTE_RECEIVER_REPLICAS": "1",
}
PATHS = [route_path(namespace, "triage") for namespace in NAMESPACES]
SINK = StreamSink(name="results", stream="results", max_entries=100_000)
_BUSY_S = 40.0


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ValkeyCluster]:
    (tmp_path / "cluster").mkdir()
    async with valkey_cluster(tmp_path / "cluster") as running:
        yield running


@pytest.fixture
async def site(tmp_path: Path, cluster: ValkeyCluster) -> AsyncIterator[Installation]:
    (tmp_path / "site").mkdir()
    async with installation(tmp_path / "site", redis_url=cluster.url, settings=SETTINGS) as running:
        await running.publish_all(
            [receiver_route(path=path, uid=path) for path in PATHS],
            [worker_route(path=path, uid=path, sinks=(SINK,)) for path in PATHS],
        )
        yield running


@pytest.fixture
async def receiver(site: Installation) -> Receiver:
    """A receiver, and two workers behind it."""
    found = site.receiver("receiver")
    programs = [found, site.worker("one"), site.worker("two")]
    for program in programs:
        program.start()
    for program in programs:
        await program.until_listening()
    await found.until_ready()
    return found


class Sender:
    """A sender that repeats each event until it is acknowledged; keeps which delivery each became."""

    def __init__(self, receiver: Receiver) -> None:
        self.acknowledged: dict[RoutePath, list[DeliveryId]] = {path: [] for path in PATHS}
        self._url = receiver.hooks_url

    async def send(self, numbers: Sequence[int]) -> None:
        """Send one event of each number to each route, four at a time."""
        gate = asyncio.Semaphore(4)
        async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(_BUSY_S), asyncio.TaskGroup() as tasks:
            for number in numbers:
                for path in PATHS:
                    tasks.create_task(self._send(client, gate, path, number))

    async def _send(self, client: httpx.AsyncClient, gate: asyncio.Semaphore, path: RoutePath, number: int) -> None:
        request = opened(number)
        async with gate:
            while True:
                try:
                    answer = await client.post(f"{self._url}/{path}", headers=request.headers, content=request.body)
                except httpx.TransportError:
                    answer = httpx.Response(503)
                if answer.is_success:
                    self.acknowledged[path].append(DeliveryId(answer.json()["delivery"]))
                    return
                await asyncio.sleep(0.05)


async def _streamed(cluster: ValkeyCluster, path: RoutePath) -> list[DeliveryId]:
    """List the deliveries whose answers are in a namespace's stream."""
    group = group_of(path, GROUPS)
    async with connect(cluster.url, tag=group.tag) as redis:
        entries = await redis.xrange(group.stream(path.partition("/")[0], "results"))
    return [DeliveryId(fields[b"delivery"].decode()) for _, fields in entries]


async def _assert_all_answered_once(cluster: ValkeyCluster, sender: Sender) -> None:
    async def is_done() -> bool:
        return all([set(await _streamed(cluster, path)) >= set(sender.acknowledged[path]) for path in PATHS])

    await until(is_done, timeout_s=_BUSY_S)
    for path in PATHS:
        streamed = await _streamed(cluster, path)
        assert len(streamed) == len(set(streamed)), path


async def _owner(cluster: ValkeyCluster, group: Group) -> int:
    slot = parse_redis_url(cluster.url).at(group.tag).slot
    assert slot is not None
    return await cluster.owner(slot)


async def test_every_namespaces_deliveries_are_worked_on_wherever_they_are(
    cluster: ValkeyCluster, receiver: Receiver
) -> None:
    sender = Sender(receiver)
    await sender.send(range(8))
    await _assert_all_answered_once(cluster, sender)
    owners = {await _owner(cluster, group_of(path, GROUPS)) for path in PATHS}
    assert len(owners) > 1
    tags = {b"er:{g%d" % number for number in range(GROUPS)}
    for port in owners:
        async with cluster.server(port) as redis:
            found = {key.partition(b"}")[0] for key in await _keys(redis)}
        assert found
        assert found <= tags


async def test_a_primary_that_is_killed_in_a_burst_loses_nothing_that_was_acknowledged(
    cluster: ValkeyCluster, receiver: Receiver
) -> None:
    sender = Sender(receiver)
    sending = asyncio.create_task(sender.send(range(30)))
    await until(lambda: sum(map(len, sender.acknowledged.values())) > 40, timeout_s=_BUSY_S)
    group = group_of(PATHS[0], GROUPS)
    killed = await _owner(cluster, group)
    cluster.kill(killed)

    async def has_another() -> bool:
        return await _owner(cluster, group) != killed

    await until(has_another, timeout_s=_BUSY_S)
    cluster.restart(killed)  # without a replica the new primary acknowledges nothing, as it was told
    await sending
    await _assert_all_answered_once(cluster, sender)


async def test_a_slot_moves_while_traffic_goes_on(cluster: ValkeyCluster, receiver: Receiver) -> None:
    sender = Sender(receiver)
    sending = asyncio.create_task(sender.send(range(30)))
    await until(lambda: sum(map(len, sender.acknowledged.values())) > 40, timeout_s=_BUSY_S)
    group = group_of(PATHS[0], GROUPS)
    slot, owner = parse_redis_url(cluster.url).at(group.tag).slot, await _owner(cluster, group)
    assert slot is not None
    await cluster.move_slot(slot, next(port for port in cluster.ports[:3] if port != owner))
    await sending
    await _assert_all_answered_once(cluster, sender)
    assert await _owner(cluster, group) != owner


async def _keys(redis: Redis) -> list[bytes]:
    return [key async for key in redis.scan_iter(count=1000)]
