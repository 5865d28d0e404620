"""What a route does not want kept never reaches Redis, however the event ends; its filter still sees it."""

import json

import pytest
from redis.asyncio import Redis

from eventroute.queue import Group
from eventroute.route_table import RedactRule
from support.receiving import Receiving, opened, signed
from support.sample_routes import receiver_route

pytestmark = pytest.mark.real

RULE = RedactRule(headers=("x-tenant",), payload=("pull_request.title",))


async def _everything(redis: Redis) -> bytes:
    """Read all that Redis holds of deliveries."""
    found = [await redis.hgetall(name) async for name in redis.scan_iter(match=f"{Group(0).prefix}d:*")]
    return b" ".join(value for fields in found for value in fields.values())


async def test_named_values_are_replaced_before_the_event_is_kept(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(redact=RULE, filter='payload.pull_request.title == "Change 1"'))
    request = opened()
    request.headers = [*request.headers, (b"x-tenant", b"acme-inc")]
    answer = await receiver.post(request)
    assert answer.json()["status"] == "queued"
    delivery = await receiver.delivery(answer.json()["delivery"])
    payload = json.loads(bytes(delivery.payload))
    assert payload == {"action": "opened", "number": 1, "pull_request": {"title": "[redacted]"}}
    assert delivery.headers["x-tenant"] == "[redacted]"
    assert not {b"acme-inc", b"Change 1"} & set((await _everything(receiver.redis)).split(b'"'))


async def test_of_a_body_that_nobody_can_read_nothing_is_kept(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(redact=RULE))
    answer = await receiver.post(signed("github", b'{"title": "hush', event="pull_request", delivery="gh-1"))
    assert answer.json()["status"] == "unparsable"
    assert b"hush" not in await _everything(receiver.redis)
