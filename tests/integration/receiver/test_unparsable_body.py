"""A genuine request that cannot be read is refused for good, and kept once for a person to look at."""

import asyncio

import msgspec
import pytest

from eventroute.ids import DeliveryId, RoutePath
from eventroute.schemes import Request
from support.queue import GROUP, fields
from support.receipts import receipts
from support.receiving import Receiving, signed
from support.sample_routes import receiver_route

TRIAGE = RoutePath("team-a/triage")

UNREADABLE = {
    "nothing": b"",
    "no UTF-8": b"\xff\xfe{\x00}\x00",
    "no UTF-8 in a text": b'{"a":"\xff"}',
    "a byte-order mark": b'\xef\xbb\xbf{"a":1}',
    "a NUL": b'{"a":1}\x00',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "too deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "one level too deep": b'{"a":' + b"[" * 500 + b"]" * 500 + b"}",
    "too deep a list": b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "a list": b'[{"a":1}]',
    "a text": b'"a"',
    "a number": b"1",
    "null": b"null",
    "cut off": b'{"action":"opened"',
    "followed by more": b'{"action":"opened"} {"action":"closed"}',
    "a comment": b'{"a":1 /* b */}',
    "single quotes": b"{'a':1}",
    "a form": b"payload=%7B%7D",
}


def sent(body: bytes, delivery: str = "gh-1") -> Request:
    return signed("github", body, delivery=delivery)


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
async def test_it_is_refused_for_good_and_kept_as_it_came(receiver: Receiving, body: bytes) -> None:
    await receiver.serve(receiver_route())
    before = receipts()
    answer = await receiver.post(sent(body))
    (kept,) = await receiver.letters()
    assert (answer.status_code, answer.json()) == (422, {"status": "unparsable", "delivery": kept})
    assert receipts() - before == {("team-a/triage", "unparsable", ""): 1}
    assert await receiver.queued() == []
    letter = await receiver.delivery(kept)
    assert msgspec.json.decode(letter.payload) == body.decode("utf-8", "backslashreplace")
    assert (letter.route, letter.provider) == ("team-a/triage", "github")
    assert "x-hub-signature-256" not in letter.headers
    assert 30 * 86_400 < await receiver.redis.ttl(GROUP.delivery(kept)) <= 31 * 86_400
    told = await fields(receiver.redis, kept)
    assert (told["state"], told["outcome"], told["reason"]) == ("dead", "dead", "unparsable")
    assert told["detail"]


async def test_it_is_kept_once_however_often_and_under_whatever_id_it_is_sent(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    answers = [await receiver.post(sent(b"{", delivery)) for delivery in ("gh-1", "gh-1", "gh-2")]
    assert {answer.status_code for answer in answers} == {422}
    assert len({answer.json()["delivery"] for answer in answers}) == 1
    assert len(await receiver.letters()) == 1


async def test_a_repeat_changes_nothing_of_what_was_kept(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    delivery = DeliveryId((await receiver.post(sent(b"{"))).json()["delivery"])
    names = GROUP.delivery(delivery), GROUP.dead(TRIAGE), GROUP.route(TRIAGE), GROUP.usage
    kept = [await receiver.redis.dump(name) for name in names]
    await asyncio.sleep(0.005)  # a time of receipt of its own
    answer = await receiver.post(sent(b"{"))
    assert (answer.status_code, answer.json()["delivery"]) == (422, delivery)
    assert kept == [await receiver.redis.dump(name) for name in names]


@pytest.mark.parametrize("size", [65_536, 65_537, 1_000_000])
async def test_its_beginning_is_kept_and_not_more(receiver: Receiving, size: int) -> None:
    await receiver.serve(receiver_route())
    body = (b"{" + b"\xff\x00" * size)[:size]
    delivery = DeliveryId((await receiver.post(sent(body))).json()["delivery"])
    text = msgspec.json.decode((await receiver.delivery(delivery)).payload)
    assert text == body[:65_536].decode("utf-8", "backslashreplace")
    assert await receiver.redis.hstrlen(GROUP.delivery(delivery), "body") < 7 * 65_536
    other = (await receiver.post(sent(body[:-1] + b"}"))).json()["delivery"]
    assert other != delivery  # told apart by all of the body


async def test_it_takes_no_room_in_the_queue_and_wakes_nobody(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    await receiver.post(sent(b"{"))
    assert await receiver.redis.hmget(GROUP.usage, "depth", "bytes") == [b"0", b"0"]
    assert await receiver.redis.exists(GROUP.wake, GROUP.rotation, GROUP.ready(TRIAGE)) == 0


async def test_a_route_keeps_so_many_bytes_of_dead_letters_and_other_routes_keep_theirs(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(), receiver_route(name="other"))
    await receiver.post(sent(b"{"))
    size = int(await receiver.redis.hget(GROUP.route(TRIAGE), "dead_bytes"))
    assert size == await receiver.redis.hstrlen(GROUP.delivery((await receiver.letters())[0]), "body")
    await receiver.redis.hset(GROUP.route(TRIAGE), "dead_bytes", 32 * 1024 * 1024 - size)
    before = receipts()
    assert (await receiver.post(sent(b"["))).status_code == 422  # the last one that fits
    assert (await receiver.post(sent(b'"'))).status_code == 503
    assert receipts() - before == {(TRIAGE, "unparsable", ""): 1, (TRIAGE, "unavailable", "route_full"): 1}
    assert (await receiver.post(sent(b"{"))).status_code == 422  # kept already
    assert (await receiver.post(sent(b'"'), "other")).status_code == 422
    assert [len(await receiver.letters(name)) for name in ("triage", "other")] == [2, 1]


async def test_two_of_them_are_two_dead_letters(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    for body in (b"{", b"{{"):
        await receiver.post(sent(body))
    assert len(await receiver.letters()) == 2


async def test_the_provider_is_told_to_stop_where_it_listens(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("slack"))
    answer = await receiver.post(signed("slack", b"{"))
    assert (answer.status_code, answer.headers["x-slack-no-retry"]) == (422, "1")


async def test_what_nobody_signed_is_never_kept(receiver: Receiving) -> None:
    await receiver.serve(receiver_route())
    request = sent(b"{")
    request.body = b"{{"
    assert (await receiver.post(request)).status_code == 401
    assert len(await receiver.letters()) == 0


@pytest.mark.parametrize("suspend", [None, "drop"])
async def test_it_is_kept_by_a_suspended_route_too(receiver: Receiving, *, suspend: str | None) -> None:
    await receiver.serve(receiver_route(suspend=suspend))
    assert (await receiver.post(sent(b"{"))).status_code == 422
    assert len(await receiver.letters()) == 1


READABLE = {
    "of equal keys the last counts": b'{"action":"closed","action":"opened"}',
    "white space": b' \r\n\t{"action" : "opened"}\n',
    "escapes": b'{"action":"\\u006fpened","emoji":"\\ud83d\\ude42"}',
    "a long number": b'{"action":"opened","n":' + b"9" * 300 + b"}",
    "deep": b'{"action":"opened","a":' + b"[" * 499 + b"]" * 499 + b"}",
    "a number that no float holds": b'{"action":"opened","n":1e999}',
}


@pytest.mark.parametrize("body", READABLE.values(), ids=READABLE)
async def test_unusual_but_valid_json_is_queued_as_it_came(receiver: Receiving, body: bytes) -> None:
    await receiver.serve(receiver_route(filter='payload.action == "opened"'))
    answer = await receiver.post(signed("github", body, delivery="gh-1"))
    assert answer.json()["status"] == "queued"
    assert bytes((await receiver.delivery(answer.json()["delivery"])).payload).strip() == body.strip()


async def test_half_of_an_emoji_is_mended_and_queued(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(filter='payload.action == "opened"'))
    answer = await receiver.post(signed("github", b'{"action":"opened","title":"cut \\ud83d"}', delivery="gh-1"))
    assert answer.json()["status"] == "queued"
    payload = (await receiver.delivery(answer.json()["delivery"])).payload
    assert msgspec.json.decode(payload) == {"action": "opened", "title": "cut \ufffd"}


@pytest.mark.parametrize("form", [b"payload=%7B%7D&payload=%7B%7D", b"other=1", b'{"action":"opened"}', b"payload=%7B"])
async def test_a_form_that_is_not_the_providers_is_unparsable(receiver: Receiving, form: bytes) -> None:
    await receiver.serve(receiver_route())
    request = sent(form)
    request.headers = [
        (name, b"application/x-www-form-urlencoded" if name == b"content-type" else value)
        for name, value in request.headers
    ]
    assert (await receiver.post(request)).status_code == 422
    assert await receiver.queued() == []
