"""A route is denied only by a receiver that knows all routes: some providers give a webhook up at its first 404."""

import hmac

import msgspec

from eventroute import keys
from eventroute.route_table import RECEIVER, ReceiverRoute
from eventroute.runtime.tables import publish
from eventroute.schemes import Request
from eventroute.sealed import SealKey, new_key_text
from eventroute.secret import Secret
from support.probes import probing
from support.receipts import receipts
from support.receiving import Receiving, opened
from support.sample_routes import receiver_route
from support.waiting import until


async def test_a_cold_receiver_is_not_ready_and_sends_nobody_away_for_good(receiver: Receiving) -> None:
    before = receipts()
    answer = await receiver.post(opened())
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (503, b"", "5")
    assert receipts() - before == {("", "unavailable", "cold_table"): 1}
    async with probing(receiver) as probes:
        assert (await probes.get("/readyz")).status_code == 503


async def test_an_empty_table_is_a_table(receiver: Receiving) -> None:
    await receiver.serve()
    assert (await receiver.post(opened())).status_code == 404


async def test_an_entry_that_cannot_be_read_is_503_and_the_others_are_served(receiver: Receiving) -> None:
    broken = receiver_route(name="broken")
    await publish(receiver.redis, RECEIVER, {broken.path: broken}, SealKey.from_text(new_key_text()))
    await add_to_table(receiver, receiver_route())
    before = receipts()
    answer = await receiver.post(opened(), name="broken")
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (503, b"", "5")
    assert receipts() - before == {("", "unavailable", "broken_route"): 1}
    assert (await receiver.post(opened())).status_code == 200
    assert (await receiver.post(opened(), name="unheard-of")).status_code == 404


async def test_a_secret_that_is_no_key_breaks_its_own_route_only(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(), receiver_route(name="broken", secrets=(Secret(b""),)))
    assert (await receiver.post(signed_with(b""), name="broken")).status_code == 503
    assert (await receiver.post(opened())).status_code == 200


async def test_a_broken_route_is_served_once_it_is_mended(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(secrets=(Secret(b""),)))
    assert (await receiver.post(opened())).status_code == 503
    await receiver.serve(receiver_route())
    assert (await receiver.post(opened())).status_code == 200


async def test_a_deleted_route_takes_nothing_at_once_and_is_denied_only_when_its_name_is_free(
    receiver: Receiving,
) -> None:
    await receiver.serve(receiver_route(), receiver_route(name="doomed"))
    await receiver.serve(receiver_route())
    before = receipts()
    answer = await receiver.post(opened(), name="doomed")
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (503, b"", "5")
    assert receipts() - before == {("", "unavailable", "broken_route"): 1}
    version = await publish(
        receiver.redis, RECEIVER, {receiver_route().path: receiver_route()}, receiver.key, name_held_s=0
    )
    await until(lambda: receiver.receiver.table.version == version)
    assert (await receiver.post(opened(), name="doomed")).status_code == 404


async def test_a_route_made_anew_serves_at_once(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    await receiver.serve()
    assert (await receiver.post(opened())).status_code == 503
    await receiver.serve(receiver_route(uid="uid-of-the-second-life"))
    assert (await receiver.post(opened())).json()["status"] == "queued"


async def test_a_changed_secret_counts_from_the_next_request(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    await receiver.serve(receiver_route(secrets=(Secret(b"the-secret-after-the-rotation"),)))
    assert (await receiver.post(opened())).status_code == 401
    assert (await receiver.post(opened(secret="the-secret-after-the-rotation"))).status_code == 200


async def test_a_route_without_a_secret_accepts_nothing(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(secrets=()))
    assert (await receiver.post(opened())).status_code == 401
    assert (await receiver.post(signed_with(b""))).status_code == 401


async def add_to_table(receiver: Receiving, route: ReceiverRoute) -> None:
    """Publish one more entry and leave those that another key has sealed as they are."""
    table = keys.table("receiver")
    strangers = await receiver.redis.hgetall(table)
    await receiver.redis.delete(table)
    await publish(receiver.redis, RECEIVER, {route.path: route}, receiver.key)
    version = int(strangers.pop(b"@version")) + 60_000
    await receiver.redis.hset(table, mapping={**strangers, b"@version": version})
    change = {"previous": 0, "version": version, "paths": []}
    await receiver.redis.publish(keys.table_changed("receiver"), msgspec.json.encode(change))
    await until(lambda: receiver.receiver.table.version == version)


def signed_with(key: bytes) -> Request:
    """Sign with what the table calls no key: an empty one is known to everybody."""
    request = opened()
    signature = b"sha256=" + hmac.digest(key, request.body, "sha256").hex().encode()
    request.headers = [
        (name, signature if name == b"x-hub-signature-256" else value) for name, value in request.headers
    ]
    return request
