"""The hooks' application is a Litestar: its lifespan runs what a receiver needs, its test client reaches the hooks."""

from litestar import Litestar
from litestar.testing import AsyncTestClient
from pydantic import SecretStr
from redis.asyncio import Redis

from eventroute.route_table import RECEIVER
from eventroute.runtime.tables import publish
from eventroute.sealed import SealKey, new_key_text
from eventroute_receiver.app import Receiver, build_receiver
from eventroute_receiver.settings import ReceiverSettings
from support.receipts import receipts
from support.receiving import opened
from support.sample_routes import receiver_route
from support.waiting import until


def built(url: str, key: str) -> Receiver:
    return build_receiver(ReceiverSettings(redis_url=SecretStr(url), table_key=SecretStr(key)))


async def test_litestars_test_client_starts_the_receiver_and_delivers(valkey_url: str, redis: Redis) -> None:
    key, route = new_key_text(), receiver_route()
    await publish(redis, RECEIVER, {route.path: route}, SealKey.from_text(key))
    receiver = built(valkey_url, key)
    assert isinstance(receiver.hooks, Litestar)
    request = opened()
    headers = {name.decode(): value.decode() for name, value in request.headers}
    async with AsyncTestClient(receiver.hooks) as client:
        await until(lambda: receiver.link.is_up and receiver.table.version is not None)
        answer = await client.post("/hooks/team-a/triage", content=request.body, headers=headers)
        before = receipts()
        others = [await client.get(path) for path in ("/", "/hooks", "/schema", "/favicon.ico", "/hooks/team-a/absent")]
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    assert {(other.status_code, other.content) for other in others} == {(404, b"")}
    assert receipts() - before == {("", "unknown_route", ""): len(others)}
    assert not receiver.link.is_up


async def test_the_lifespan_begins_and_ends_the_background_work(valkey_url: str) -> None:
    receiver = built(valkey_url, new_key_text())
    assert not receiver.link.is_up
    async with receiver.hooks.lifespan():
        await until(lambda: receiver.link.is_up)
    assert not receiver.link.is_up
