"""A route's rate limit is a token bucket in Redis: shared by all receivers, spent by new deliveries only."""

import asyncio

import pytest
from redis.asyncio import Redis

from eventroute.queue import Admissions, Admitted, Candidate, Full, Limited, Limits
from eventroute.route_table import RateLimit
from eventroute.runtime.scripts import ClientCaller
from eventroute.schemes import Request
from support.queue import GROUP
from support.receipts import receipts
from support.receiving import Receiving, opened, signed
from support.runs import PATH, sample_delivery
from support.sample_routes import receiver_route
from support.waiting import until

URL = "https://hooks.example.com/hooks/team-a/triage"


async def test_above_the_burst_the_sender_hears_when_to_come_back(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(rate_limit=RateLimit(per_second=0.25, burst=2)))
    for number in (1, 2):
        assert (await receiver.post(opened(number))).status_code == 200
    before = receipts()
    answer = await receiver.post(opened(3))
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (429, b"", "4")
    assert receipts() - before == {("team-a/triage", "rate_limited", ""): 1}
    assert len(await receiver.queued()) == 2


async def test_what_was_limited_is_admitted_as_new_once_there_is_a_token(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(rate_limit=RateLimit(per_second=10, burst=1)))
    await receiver.post(opened(1))
    assert (await receiver.post(opened(2))).status_code == 429
    await asyncio.sleep(0.12)
    assert (await receiver.post(opened(2))).json()["status"] == "queued"


async def test_the_bucket_never_holds_more_than_the_burst(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(rate_limit=RateLimit(per_second=1000, burst=2)))
    await receiver.post(opened(1))
    await asyncio.sleep(0.05)  # fifty tokens' time
    answers = await asyncio.gather(*(receiver.post(opened(number)) for number in range(2, 12)))
    statuses = [answer.status_code for answer in answers]
    assert 2 <= statuses.count(200) < 10
    assert statuses.count(200) + statuses.count(429) == 10


async def test_repeats_cost_nothing_and_are_not_limited(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(rate_limit=RateLimit(per_second=0.01, burst=2)))
    for _ in range(10):
        assert (await receiver.post(opened(1))).status_code == 200
    assert (await receiver.post(opened(2))).json()["status"] == "queued"
    assert (await receiver.post(opened(3))).status_code == 429
    assert (await receiver.post(opened(1))).json()["status"] == "duplicate"


@pytest.mark.parametrize(
    "request_", [opened(secret="forged-by-somebody-else"), Request(method="POST", url=None, headers=[], body=b"{}")]
)
async def test_what_is_not_genuine_costs_nothing(receiver: Receiving, request_: Request) -> None:
    await receiver.serve(receiver_route(rate_limit=RateLimit(per_second=0.01, burst=1)))
    for _ in range(10):
        assert (await receiver.post(request_)).status_code == 401
    assert (await receiver.post(opened())).status_code == 200


async def test_each_item_of_a_batch_costs_a_token(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("hubspot", public_url=URL, rate_limit=RateLimit(per_second=0.01, burst=5)))
    assert (await receiver.post(batch(range(3)))).status_code == 200
    assert (await receiver.post(batch(range(3, 6)))).status_code == 429
    assert (await receiver.post(batch(range(3, 5)))).status_code == 200
    assert len(await receiver.queued()) == 5


async def test_a_batch_larger_than_the_bucket_takes_all_of_it_and_is_admitted(receiver: Receiving) -> None:
    await receiver.serve(receiver_route("hubspot", public_url=URL, rate_limit=RateLimit(per_second=0.01, burst=2)))
    assert (await receiver.post(batch(range(10)))).status_code == 200
    assert (await receiver.post(batch(range(10, 11)))).status_code == 429


async def test_one_routes_limit_is_not_anothers(receiver: Receiving) -> None:
    limit = RateLimit(per_second=0.01, burst=1)
    await receiver.serve(receiver_route(name="one", rate_limit=limit), receiver_route(name="two", rate_limit=limit))
    assert (await receiver.post(opened(1), name="one")).status_code == 200
    assert (await receiver.post(opened(2), name="two")).status_code == 200
    assert (await receiver.post(opened(2), name="one")).status_code == 429


async def test_what_nobody_can_read_costs_a_token_too_and_its_repeats_none(receiver: Receiving) -> None:
    await receiver.serve(receiver_route(rate_limit=RateLimit(per_second=0.01, burst=1)))
    statuses = [
        (await receiver.post(signed("github", body, event="push", delivery=f"gh-{number}"))).status_code
        for number, body in enumerate((b"{", b"{", b"{{", b"{"))
    ]
    assert statuses == [422, 422, 429, 422]
    assert len(await receiver.letters()) == 1


async def test_what_the_filter_cannot_judge_costs_a_token_too(receiver: Receiving) -> None:
    limit = RateLimit(per_second=0.01, burst=1)
    await receiver.serve(receiver_route(filter="payload.number", rate_limit=limit))
    assert [(await receiver.post(opened(number))).status_code for number in (1, 1, 2)] == [200, 200, 429]


# What the bucket held and when, by Redis' clock, is written as a script would have, so that no test waits for it.

SOON_MS = 3_600_000  # "filled" at a time to come: nothing has been added since, however slow the test is


async def bucket(redis: Redis, *, tokens: float, age_ms: int) -> None:
    seconds, micros = await redis.time()
    await redis.hset(GROUP.route(PATH), mapping={"tokens": tokens, "filled": seconds * 1000 + micros // 1000 - age_ms})


async def ask(redis: Redis, rate: RateLimit, *, count: int = 1) -> Admitted | Limited | Full:
    queue = Admissions(ClientCaller(redis), limits=Limits(1000, 0))
    seq = await redis.hget(GROUP.usage, "seq") or b"0"
    candidates = [Candidate(sample_delivery(f"d-{seq.decode()}-{number}"), []) for number in range(count)]
    return await queue.admit(PATH, candidates, rate=rate)


@pytest.mark.parametrize(
    ("per_second", "tokens", "count", "wait_s"),
    [
        (1.0, 0.0, 1, 1.0),
        (3.0, 0.0, 1, 0.334),  # a third of a second and a bit: told less, the sender would come in vain
        (3.0, 0.5, 1, 0.167),
        (3.0, 0.999, 1, 0.001),
        (0.3, 0.0, 1, 3.334),
        (1.0, 0.0, 4, 4.0),
        (1.0, 1.5, 4, 2.5),
        (1.0, 4.0, 100, 1.0),  # more than the bucket holds waits for a full bucket only
    ],
)
async def test_the_wait_is_until_there_are_enough_tokens_rounded_up_to_a_millisecond(
    redis: Redis, per_second: float, tokens: float, count: int, wait_s: float
) -> None:
    rate = RateLimit(per_second=per_second, burst=5)
    await bucket(redis, tokens=tokens, age_ms=-SOON_MS)
    assert await ask(redis, rate, count=count) == Limited(wait_s)
    assert await redis.exists(GROUP.usage) == 0


@pytest.mark.parametrize("tokens", [1.0, 5.0])
async def test_a_last_token_is_enough(redis: Redis, tokens: float) -> None:
    rate = RateLimit(per_second=0.001, burst=5)
    await bucket(redis, tokens=tokens, age_ms=-SOON_MS)
    assert isinstance(await ask(redis, rate, count=int(tokens)), Admitted)
    assert isinstance(await ask(redis, rate), Limited)


async def test_it_fills_by_the_rate_and_no_faster(redis: Redis) -> None:
    rate = RateLimit(per_second=0.001, burst=100)  # one every 1000 s
    await bucket(redis, tokens=0, age_ms=10_500_000)
    assert isinstance(await ask(redis, rate, count=11), Limited)
    assert isinstance(await ask(redis, rate, count=10), Admitted)
    assert isinstance(await ask(redis, rate), Limited)


async def test_it_fills_up_to_the_burst(redis: Redis) -> None:
    rate = RateLimit(per_second=0.001, burst=3)
    await bucket(redis, tokens=0, age_ms=10_000_000)
    assert isinstance(await ask(redis, rate, count=2), Admitted)
    assert isinstance(await ask(redis, rate, count=2), Limited)
    assert isinstance(await ask(redis, rate, count=1), Admitted)


async def test_a_lower_burst_counts_at_once(redis: Redis) -> None:
    await bucket(redis, tokens=100, age_ms=0)
    rate = RateLimit(per_second=0.001, burst=1)
    assert isinstance(await ask(redis, rate), Admitted)
    assert isinstance(await ask(redis, rate), Limited)


async def test_the_first_bucket_is_full(redis: Redis) -> None:
    rate = RateLimit(per_second=0.001, burst=3)
    assert isinstance(await ask(redis, rate, count=3), Admitted)
    assert isinstance(await ask(redis, rate), Limited)


async def test_a_refused_request_takes_no_tokens(redis: Redis) -> None:
    rate = RateLimit(per_second=0.001, burst=3)
    await bucket(redis, tokens=2.0, age_ms=-SOON_MS)
    for _ in range(5):
        assert isinstance(await ask(redis, rate, count=3), Limited)
    assert isinstance(await ask(redis, rate, count=2), Admitted)


def batch(numbers: range) -> Request:
    items = [
        {"eventId": n, "portalId": 1, "subscriptionId": 7, "occurredAt": n, "subscriptionType": "contact.creation"}
        for n in numbers
    ]
    return signed("hubspot", items, url=URL)


async def test_a_clock_that_was_set_back_does_not_keep_the_bucket_empty(redis: Redis) -> None:
    await bucket(redis, tokens=0, age_ms=-SOON_MS)
    rate = RateLimit(per_second=1000, burst=1)
    assert isinstance(await ask(redis, rate), Limited)

    async def is_admitted() -> bool:
        return isinstance(await ask(redis, rate), Admitted)

    await until(is_admitted)
