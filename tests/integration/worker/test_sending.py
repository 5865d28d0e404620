"""An answer that was handed over to a sink is sent to it, whatever becomes of the sink meanwhile, and of the worker."""

import asyncio
import email.utils
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio import Redis

from eventroute.crd.status import StatusReason
from eventroute.ids import DeliveryId, sending_path
from eventroute.outcome import DeadReason
from eventroute.prompt import prepare
from eventroute.queue import Desk, HoldReason, State, Wanted
from eventroute.route_table import HttpSink, RetryRule, WorkerRoute
from eventroute.runtime import tracing
from eventroute.schemes import SCHEMES, Request, Verified, parse_key, verify
from eventroute.secret import Secret
from eventroute_cli.desk.story import tell
from eventroute_operator.obstacles import read_obstacles
from support.queue import GROUP, admit, admit_in_lane, upkeep_of, work_on
from support.runs import PATH, STREAM, FakeRoutes, results, sample_delivery, worker_route
from support.sending import working
from support.service import Message, Service
from support.waiting import until
from support.worker import keeping, until_empty

pytestmark = pytest.mark.real

OLD, NEW = b"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", b"whsec_bmV3IHNlY3JldCwgYXMgbG9uZyBhcyB0aGUgb2xk"
NAMES = [f"d-{number}" for number in range(20)]


def route_to(service: Service, **changes: Any) -> WorkerRoute:
    own = HttpSink(name="own", url=service.url, secrets=(Secret(NEW), Secret(OLD)), timeout_s=5)
    return worker_route(**{"sinks": (own, STREAM), **changes})


def down(_: Message) -> tuple[int, dict[str, str]]:
    return 503, {}


def is_signed_by(message: Message, secret: bytes) -> bool:
    scheme = SCHEMES["standard-webhooks"]
    headers = [(name.lower().encode(), value.encode()) for name, value in message.headers.items()]
    request = Request(method="POST", url=None, headers=headers, body=message.body)
    return isinstance(verify(scheme, request, [parse_key(scheme, secret)], None), Verified)


async def dead_of(redis: Redis) -> list[tuple[str, str, str, str]]:
    """Tell id, route, reason and detail of the dead letters."""
    found = await Desk({GROUP: redis}).look(Wanted(states=frozenset({State.DEAD})))
    return [(line.id, line.route, line.reason, line.detail) for line in found.lines]


async def lose_worker(redis: Redis, name: str) -> None:
    """Let a lease run out, as if nobody renewed it, and take it as another worker."""
    await redis.zadd(GROUP.running, {name: 1})
    taken = await work_on(redis).lease(GROUP, worker="other", lease_ms=1, wanted=0, sendings=1, busy=0)
    assert [lease.delivery for lease in taken.leases] == [name]


async def cut_short(redis: Redis, routes: FakeRoutes, service: Service, *, attempts: int = 1) -> None:
    """Let a worker be killed while it sends an answer, the last one of so many attempts."""
    async with working(redis, routes):
        await admit(redis, sample_delivery("d-1"))
        await until(lambda: bool(service.messages))
        await redis.hset(GROUP.delivery(DeliveryId("d-1:own")), "attempts", attempts)
        await lose_worker(redis, "d-1:own")


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    found, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(tracing, "tracer", lambda: provider.get_tracer("test"))
    return found


async def test_an_answer_is_sent_as_a_signed_message_that_says_what_was_answered(
    redis: Redis, service: Service
) -> None:
    async with working(redis, FakeRoutes(route_to(service))):
        await admit(redis, sample_delivery("d-1"))
        await until_empty(redis)
    (message,) = service.messages
    assert message.headers["Idempotency-Key"] == message.headers["webhook-id"] == "d-1:own"
    assert is_signed_by(message, OLD)
    assert is_signed_by(message, NEW)
    assert not is_signed_by(message, b"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI0")
    told = {"delivery": "d-1", "idempotency_key": "d-1:own", "route": PATH, "event": "pull_request.opened"}
    assert {name: message.data[name] for name in told} == told
    assert (message.data["text"], message.data["outcome"], message.data["hops"]) == ("Answer 1.", "succeeded", 1)
    assert await redis.keys("*d:d-1:own") == [], "what was sent leaves nothing"


async def test_a_sink_that_is_down_delays_itself_and_gets_each_answer_once(redis: Redis, service: Service) -> None:
    service.says = down
    async with working(redis, FakeRoutes(route_to(service))):
        for name in NAMES:
            await admit(redis, sample_delivery(name))

        async def all_others_are_told() -> bool:
            return len(await results(redis)) == len(NAMES)

        await until(all_others_are_told)
        desk = Desk({GROUP: redis})
        settled = await desk.look(Wanted(route=PATH, states=frozenset({"succeeded"})))
        assert len(settled.lines) == len(NAMES), "their deliveries have ended"
        service.messages.clear()
        service.says = lambda _: (204, {})
        await until_empty(redis, timeout_s=30)
    assert Counter(service.answered(204)) == Counter(NAMES)
    assert await dead_of(redis) == []


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (302, "HTTP 302: redirects are not followed; name the URL that answers"),
        (400, "HTTP 400: the service does not take the message"),
        (401, "HTTP 401: the service does not take the message"),
    ],
)
async def test_what_a_service_will_never_take_is_a_dead_letter_of_its_own(
    redis: Redis, service: Service, status: int, detail: str
) -> None:
    service.says = lambda _: (status, {"location": service.url})
    async with working(redis, FakeRoutes(route_to(service))):
        await admit(redis, sample_delivery("d-1"))
        await until_empty(redis)
        assert len(service.messages) == 1
        assert await dead_of(redis) == [("d-1:own", f"{PATH}/own", DeadReason.SINK, f"sink own: {detail}")]
        service.says = lambda _: (200, {})
        assert await Desk({GROUP: redis}).replay([DeliveryId("d-1:own")]) == {"d-1:own": "ok"}
        await until_empty(redis)
    assert [message.headers["webhook-id"] for message in service.messages] == ["d-1:own"] * 2
    assert await dead_of(redis) == []
    assert len(await results(redis)) == 1, "the other sink was told once"


async def test_a_service_that_wants_no_more_is_asked_no_more_until_the_route_is_written_anew(
    redis: Redis, service: Service
) -> None:
    service.says = lambda _: (410, {})
    routes = FakeRoutes(route_to(service))
    path = sending_path(PATH, "own")
    async with working(redis, routes), keeping(redis, routes=routes) as keeper:
        await admit(redis, sample_delivery("d-1"))

        async def is_held() -> bool:
            return path in await upkeep_of(redis).held(GROUP)

        await until(is_held)
        await admit(redis, sample_delivery("d-2"))

        async def are_answered() -> bool:
            return len(await results(redis)) == 2

        await until(are_answered)
        await keeper.look()
        assert len(service.messages) == 1, "others are not asked about it"
        held = (await upkeep_of(redis).held(GROUP))[path]
        assert (held.reason, held.detail[:8], held.generation) == (HoldReason.GONE, "HTTP 410", 1)
        assert await dead_of(redis) == []
        told = (await read_obstacles(upkeep_of(redis), [GROUP])).by_route[PATH]
        assert told.reason == StatusReason.SINK_GONE
        assert told.message.startswith("sink own: HTTP 410: the service wants no more")
        service.says = lambda _: (204, {})
        routes.put(prepare(route_to(service, generation=2)))
        await keeper.look()
        await until_empty(redis)
    assert Counter(service.answered(204))["d-2"] == 1
    assert sorted(message.data["delivery"] for message in service.messages) == ["d-1", "d-1", "d-2"]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_what_may_pass_is_waited_for_as_long_as_the_service_says(
    redis: Redis, service: Service, status: int
) -> None:
    service.says = lambda _: (status, {"Retry-After": "2"})
    async with working(redis, FakeRoutes(route_to(service))):
        await admit(redis, sample_delivery("d-1"))

        async def waits() -> bool:
            return bool(await redis.zscore(GROUP.later, "d-1:own"))

        await until(waits)
        due_ms = int(await redis.zscore(GROUP.later, "d-1:own") or 0)
        seconds, micros = await redis.time()
        assert 1000 < due_ms - (seconds * 1000 + micros // 1000) <= 3000
        assert await redis.hmget(GROUP.delivery(DeliveryId("d-1:own")), "last_error", "waits") == [
            f"HTTP {status}".encode(),
            b"1",
        ]


@pytest.mark.parametrize(
    ("said", "least_s", "most_s"),
    [
        ("\xb2", 0, 1),
        ("-1", 0, 1),
        ("nan", 0, 1),
        ("Mon, 01 Jan 99999 00:00:00 GMT", 0, 1),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 1),
        ("inf", 3600, 3601),
        ("9" * 400, 3600, 3601),
        ("soon", 0, 1),
    ],
)
async def test_whatever_a_service_says_of_when_to_come_back_is_read(
    redis: Redis, service: Service, said: str, least_s: int, most_s: int
) -> None:
    service.says = lambda _: (503, {"Retry-After": said})
    routes = FakeRoutes(route_to(service, retry=RetryRule(attempts=3, deadline_s=86_400)))
    await assert_wait(redis, routes, least_s, most_s)


async def test_a_date_at_which_to_come_back_is_waited_for(redis: Redis, service: Service) -> None:
    said = email.utils.format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    service.says = lambda _: (429, {"Retry-After": said})
    await assert_wait(redis, FakeRoutes(route_to(service)), 590, 601)


async def assert_wait(redis: Redis, routes: FakeRoutes, least_s: float, most_s: float) -> None:
    """Expect the answer to one delivery to be tried again so much later, to the second."""
    async with working(redis, routes):
        await admit(redis, sample_delivery("d-1"))

        async def has_been_tried() -> bool:
            return bool(await redis.hexists(GROUP.delivery(DeliveryId("d-1:own")), "last_error"))

        await until(has_been_tried)
        assert await dead_of(redis) == []
        due_ms = int(await redis.hget(GROUP.delivery(DeliveryId("d-1:own")), "due") or 0)
        seconds, _ = await redis.time()
        assert least_s - 1 < due_ms / 1000 - seconds <= most_s + 1


async def test_an_answer_that_kills_its_workers_ends(redis: Redis, service: Service) -> None:
    service.hangs = True
    routes = FakeRoutes(route_to(service))
    await cut_short(redis, routes, service, attempts=11)
    async with working(redis, routes):
        await until_empty(redis)
    assert [letter[2:] for letter in await dead_of(redis)] == [(DeadReason.ATTEMPTS, "11 attempts were cut short")]


async def test_a_deadline_ends_the_waiting(redis: Redis, service: Service) -> None:
    service.says = down
    routes = FakeRoutes(route_to(service, retry=RetryRule(attempts=3, deadline_s=1)))
    async with working(redis, routes):
        await admit(redis, sample_delivery("d-1"))
        await until_empty(redis, timeout_s=10)
    (letter,) = await dead_of(redis)
    assert letter[2:] == (DeadReason.SINK, "sink own: the deadline comes before the next attempt: HTTP 503")


async def test_a_worker_that_is_killed_while_it_sends_has_lost_nothing(redis: Redis, service: Service) -> None:
    service.hangs = True
    routes = FakeRoutes(route_to(service))
    await cut_short(redis, routes, service)
    service.hangs = False
    async with working(redis, routes):
        await until_empty(redis)
    assert [message.headers["webhook-id"] for message in service.messages] == ["d-1:own"] * 2
    assert len(await results(redis)) == 1


async def test_as_many_answers_as_there_are_slots_are_under_way_to_one_service(redis: Redis, service: Service) -> None:
    service.hangs = True
    async with working(redis, FakeRoutes(route_to(service)), sendings=20):
        for name in NAMES:
            await admit(redis, sample_delivery(name))
        await until(lambda: len(service.messages) == len(NAMES))
        service.hangs = False
        await until_empty(redis)
    assert Counter(service.answered(200)) == Counter(NAMES), (
        "none waited for a connection until it had to be sent again"
    )


async def test_a_service_that_hangs_keeps_no_slot_from_deliveries(redis: Redis, service: Service) -> None:
    service.hangs = True
    async with working(redis, FakeRoutes(route_to(service)), slots=1):
        for name in NAMES:
            await admit(redis, sample_delivery(name))

        async def all_are_answered() -> bool:
            return len(await results(redis)) == len(NAMES)

        await until(all_are_answered)
        service.hangs = False
        await until_empty(redis)
    assert Counter(service.answered(200)) == Counter(NAMES)


async def test_what_a_route_sends_no_more_is_a_dead_letter(redis: Redis, service: Service) -> None:
    service.says = down
    routes = FakeRoutes(route_to(service))
    async with working(redis, routes):
        await admit(redis, sample_delivery("d-1"))
        await until(lambda: bool(service.messages))
        routes.after_refresh = [route_to(service, sinks=(STREAM,))]
        await routes.refresh()
        await until_empty(redis)
    (letter,) = await dead_of(redis)
    assert letter[2:] == (DeadReason.SINK, "sink own: the route has no such sink any more")


async def test_nothing_is_sent_for_a_suspended_route_until_it_goes_on(redis: Redis, service: Service) -> None:
    service.says = down
    routes = FakeRoutes(route_to(service))
    async with working(redis, routes), keeping(redis, routes=routes):
        await admit(redis, sample_delivery("d-1"))
        await until(lambda: bool(service.messages))
        routes.after_refresh = [route_to(service, is_suspended=True)]
        await routes.refresh()

        async def is_held() -> bool:
            return bool(await redis.hexists(GROUP.held, sending_path(PATH, "own")))

        await until(is_held)
        seen = len(service.messages)
        service.says = lambda _: (200, {})
        await asyncio.sleep(1.5)
        assert len(service.messages) == seen
        routes.after_refresh = [route_to(service)]
        await until_empty(redis)
    assert service.answered(200)[-1] == "d-1"


async def test_the_desk_tells_how_far_an_answer_is(redis: Redis, service: Service) -> None:
    service.says = down
    desk = Desk({GROUP: redis})
    async with working(redis, FakeRoutes(route_to(service))):
        await admit(redis, sample_delivery("d-1"))

        async def waits() -> bool:
            found = await desk.show(DeliveryId("d-1"))
            return found is not None and [line.state for line in found.sendings] == [State.LATER]

        await until(waits)
        found = await desk.show(DeliveryId("d-1"))
        assert found is not None
        assert found.sinks_done == ["results"]
        assert [(line.id, line.last_error) for line in found.sendings] == [("d-1:own", "HTTP 503")]
        now_ms = await desk.now_ms()
        story = tell(found, await desk.situation(), now_ms=now_ms)
        assert "results has the answer. Sink own is tried again at" in story
        assert "HTTP 503 (`eventroute explain d-1:own`)." in story
        sending = await desk.show(DeliveryId("d-1:own"))
        assert sending is not None
        own = tell(sending, await desk.situation(), now_ms=now_ms)
        assert own.startswith("d-1:own is an answer on its way to sink own, to `pull_request.opened` of github ")
        assert f"which route {PATH} received" in own
        listed = await desk.look(Wanted(route=PATH))
        assert {line.id for line in listed.lines} == {"d-1", "d-1:own"}
        service.says = lambda _: (200, {})
        await until_empty(redis)
        found = await desk.show(DeliveryId("d-1"))
        assert found is not None
        assert (found.sinks_done, found.sendings) == (["own", "results"], [])


async def test_answers_about_one_entity_are_sent_in_their_order(redis: Redis, service: Service) -> None:
    service.says = lambda _: (503, {}) if len(service.messages) % 2 else (200, {})
    async with working(redis, FakeRoutes(route_to(service))):
        await admit_in_lane(redis, "d-1", "d-2", "d-3")
        await until_empty(redis, timeout_s=20)
    order = [message.data["delivery"] for message in service.messages]
    assert order == sorted(order)
    assert set(order) == {"d-1", "d-2", "d-3"}


async def test_each_attempt_is_a_span_of_the_receipts_trace(
    redis: Redis, service: Service, exporter: InMemorySpanExporter
) -> None:
    service.says = lambda _: (503 if len(service.messages) == 1 else 200, {})
    async with working(redis, FakeRoutes(route_to(service))):
        await admit(redis, sample_delivery("d-1"), traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
        await until_empty(redis, timeout_s=10)
    spans = [span for span in exporter.get_finished_spans() if span.name == "sink http"]
    assert [span.attributes[tracing.OUTCOME] for span in spans if span.attributes] == ["later", "sent"]
    assert {f"{span.context.trace_id:032x}" for span in spans} == {"a" * 32}
    assert [link.context.span_id for link in spans[1].links] == [spans[0].context.span_id]
