"""Answers that lead to each other come to an end, by the markers written with them; forged ones end nothing."""

from collections import Counter
from typing import Any, Final

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from eventroute.hops import MARKERS, Markers
from eventroute.ids import DeliveryId
from eventroute.queue import Desk, Wanted
from eventroute.route_table import DebounceRule
from eventroute.schemes import SCHEMES, Request
from eventroute.secret import Secret
from eventroute_receiver import metrics
from eventroute_worker.attempt import Attempt, Settled
from support.queue import GROUP, KEPT, lease, work_on
from support.receipts import receipts
from support.receiving import Receiving, signed
from support.runs import FakeClaude, FakeRoutes, build_runner, results, worker_route
from support.sample_routes import receiver_route

pytestmark = pytest.mark.real

TRIAGE: Final = "team-a/triage"


def comment(number: int, text: str) -> Request:
    payload = {"action": "created", "issue": {"number": 1}, "comment": {"id": number, "body": text}}
    return signed("github", payload, event="issue_comment", delivery=f"gh-{number}")


async def serve(receiver: Receiving, **changes: Any) -> Markers:
    key = receiver.key.derive(MARKERS)
    await receiver.serve(receiver_route(marker_key=key, **changes))
    return Markers(key)


async def work(receiver: Receiving, claude: FakeClaude | None = None) -> None:
    """Run what is ready to its end."""
    routes = FakeRoutes(worker_route(marker_key=receiver.key.derive(MARKERS)))
    of = await lease(receiver.redis)
    end = await build_runner(receiver.redis, claude=claude, routes=routes)(Attempt(of))
    assert isinstance(end, Settled)
    await work_on(receiver.redis).settle(
        of, outcome=end.outcome, reason=end.reason, detail=end.detail, retention=KEPT, fields=end.fields
    )


async def test_a_chain_of_answers_ends_at_the_fifth(receiver: Receiving) -> None:
    """Each answer is written as a comment with its marker, and each comment is an event of the route."""
    await serve(receiver)
    claude, text, before, told = FakeClaude(), "Why does it fail?", receipts(), []
    for number in range(7):
        answered = await receiver.post(comment(number, text))
        assert answered.status_code == 200
        told.append(answered.json()["status"])
        if told[-1] == "queued":
            await work(receiver, claude)
            record = await receiver.redis.hget(GROUP.delivery(answered.json()["delivery"]), "about")
            assert msgspec.json.decode(record).get("hops", 0) == number
            entry = (await results(receiver.redis))[-1]
            assert entry["hops"] == str(number + 1)
            text = f"{entry['text']}\n\n<!-- {entry['marker']} -->"
    assert told == ["queued"] * 5 + ["own_action"] * 2
    assert len(claude.asked) == 5
    assert not any("eventroute-hop-" in prompt.user for prompt in claude.asked)
    assert receipts() - before == {(TRIAGE, "queued", ""): 5, (TRIAGE, "own_action", "hop_limit"): 2}
    assert await receiver.queued() == []


async def test_the_end_of_a_chain_is_logged_and_leaves_nothing(receiver: Receiving) -> None:
    ours = await serve(receiver, max_hops=2)
    before = set(await receiver.redis.keys("*"))
    with capture_logs() as logs:
        answered = await receiver.post(comment(1, ours.write(2)))
    assert (answered.status_code, answered.json()) == (200, {"status": "own_action"})
    assert logs == [
        {"event": "hop_limit", "log_level": "warning", "route": TRIAGE, "max_hops": 2, "events": 1},
    ]
    assert set(await receiver.redis.keys("*")) == before


FORGED: Final = {
    "in words": "hops=99",
    "with a hash of one's own": "eventroute-hop-99-aaaaaaaaaaaaaaaa",
    "of another installation": Markers(Secret(b"x" * 32)).write(9),
    "without a key": Markers(Secret(b"\0" * 32)).write(9),
}


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
async def test_a_forged_marker_counts_nothing(receiver: Receiving, text: str) -> None:
    ours = await serve(receiver, max_hops=1)
    changed = ours.write(1).replace("-01-", "-09-")
    answered = await receiver.post(comment(1, f"{text} {changed}"))
    assert answered.json()["status"] == "queued"
    assert (await receiver.delivery(answered.json()["delivery"])).hops == 0


async def test_a_marker_that_was_copied_counts_for_what_it_says(receiver: Receiving) -> None:
    ours = await serve(receiver)
    answered = await receiver.post(comment(1, f"{ours.write(3)} {ours.write(3)} {ours.write(1)}"))
    assert (await receiver.delivery(answered.json()["delivery"])).hops == 3


async def test_people_see_the_hops_before_and_after_its_end_and_without_its_body(receiver: Receiving) -> None:
    ours = await serve(receiver)
    name = DeliveryId((await receiver.post(comment(1, ours.write(2)))).json()["delivery"])
    desk = Desk({GROUP: receiver.redis})

    async def seen() -> list[int]:
        found = await desk.show(name)
        assert found is not None
        return [line.hops for line in ((await desk.look(Wanted(), limit=9)).lines[0], found.line)]

    assert await seen() == [2, 2]
    await work(receiver)
    assert await seen() == [2, 2]
    await receiver.redis.hdel(GROUP.delivery(name), "body")
    assert await seen() == [2, 2]


async def test_what_was_collected_has_the_most_hops_of_one(receiver: Receiving) -> None:
    rule = DebounceRule(quiet_s=1, max_s=600)
    ours = await serve(receiver, debounce=rule, entity="payload.issue.number")
    for number, hops in enumerate((0, 3, 1)):
        await receiver.post(comment(number, ours.write(hops)))
    await until_due(receiver)
    await work(receiver)
    [entry] = await results(receiver.redis)
    assert (entry["hops"], entry["marker"]) == ("4", ours.write(4))


async def until_due(receiver: Receiving) -> None:
    """Let the time pass for which it must be quiet."""
    for name in await receiver.redis.zrange(GROUP.later, 0, -1):
        await receiver.redis.zadd(GROUP.later, {name: 1})


async def test_the_spans_tell_the_hops(receiver: Receiving) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    receiver.receiver.hooks.webhooks._tracer = provider.get_tracer("test")
    ours = await serve(receiver)
    for number, hops in enumerate((0, 2, 7)):
        await receiver.post(comment(number, ours.write(hops)))
    receipts_ = [dict(span.attributes or {}) for span in exporter.get_finished_spans() if span.name.startswith("POST")]
    assert [each.get("eventroute.hops") for each in receipts_] == [None, 2, None]
    assert [each.get("eventroute.reason") for each in receipts_] == [None, None, "hop_limit"]


async def test_of_a_batch_only_what_has_made_all_its_hops_is_left_out(receiver: Receiving) -> None:
    scheme = msgspec.structs.replace(SCHEMES["generic"], batch="body", id=("item:id",))
    ours = await serve(receiver, scheme=scheme)
    items = [{"id": str(hops), "text": ours.write(hops)} for hops in (0, 4, 5, 6)]
    before = deliveries()
    answered = await receiver.post(signed("generic", items))
    assert len(answered.json()["deliveries"]) == 2
    assert deliveries() - before == {(TRIAGE, "queued"): 2, (TRIAGE, "own_action"): 2}


def deliveries() -> Counter[tuple[str, str]]:
    return Counter({(route, str(outcome)): count for (route, outcome), count in metrics.DELIVERIES.counts.items()})
