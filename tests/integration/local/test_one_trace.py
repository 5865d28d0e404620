"""One trace runs from the receipt to Claude's answer and its sink, over processes, the queue and each retry."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from eventroute.compile import Compiled
from eventroute.route_table import LogSink, PromptRule, StreamSink
from eventroute_cli.local.collector import CollectedSpan
from eventroute_cli.local.stack import Stack, StackOptions, running_stack
from support.receiving import pull_request, signed
from support.sample_routes import SECRET, receiver_route, worker_route

IN_BODY = "words-of-the-body"
IN_SYSTEM = "words-of-the-system-prompt"
IN_ANSWER = "[simulated]"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Receiver, worker and simulator as processes, and a collector of their spans."""
    prompt = worker_route().prompts[0]
    prompts = (PromptRule(events=("*",), when=None, model=prompt.model, system=IN_SYSTEM, user=None),)
    sinks = (LogSink(name="log"), StreamSink(name="answers", stream="answers", max_entries=100))
    work = worker_route(prompts=prompts, sinks=sinks)
    options = StackOptions(simulator_latency_s=0)
    with running_stack(options, {"PATH": "/usr/bin:/bin"}, lambda _line: None) as running:
        running.publish(Compiled({work.path: receiver_route()}, {work.path: work}, ()))
        running.wait_ready()
        yield running


def send(stack: Stack, number: int) -> str:
    """Send one signed pull request; returns the delivery id."""
    payload = {**pull_request(number), "note": IN_BODY}
    request = signed("github", payload, event="pull_request", delivery=f"trace-{number}")
    answer = httpx.post(f"{stack.wiring.hooks_url}/team-a/triage", content=request.body, headers=request.headers)
    assert answer.status_code == 200
    return str(answer.json()["delivery"])


def settled_trace(stack: Stack, delivery: str) -> list[CollectedSpan]:
    """Wait for the last span of a delivery and return its whole trace, by time."""

    def of_delivery() -> list[CollectedSpan]:
        return [span for span in stack.collector.spans() if span.attributes.get("messaging.message.id") == delivery]

    def trace() -> list[CollectedSpan]:
        return stack.collector.spans(of_delivery()[0].trace_id)

    wait_until(lambda: any(span.attributes.get("eventroute.outcome") == "succeeded" for span in of_delivery()))
    wait_until(lambda: any(span.kind == "SERVER" for span in trace()))  # the programs export apart
    return trace()


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Look until it holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def by_name(spans: list[CollectedSpan], name: str) -> list[CollectedSpan]:
    return [span for span in spans if span.name.startswith(name)]


def simulated_requests(stack: Stack) -> list[dict[str, Any]]:
    found = httpx.get(f"{stack.wiring.claude_url}/simulator/requests").json()
    return list(found["requests"] if isinstance(found, dict) else found)


def test_every_step_hangs_on_the_one_before_it(stack: Stack) -> None:
    spans = settled_trace(stack, send(stack, 1))
    shape = {(span.name, span.kind, span.service): span for span in spans}
    receipt = shape["POST /hooks/{namespace}/{name}", "SERVER", "eventroute-receiver"]
    sent = shape["send eventroute", "PRODUCER", "eventroute-receiver"]
    processed = shape["process eventroute", "CONSUMER", "eventroute-worker"]
    asked = shape["chat claude-haiku-5-5", "CLIENT", "eventroute-worker"]
    logged = shape["sink log", "CLIENT", "eventroute-worker"]
    streamed = shape["sink stream", "CLIENT", "eventroute-worker"]
    named = [span for span in spans if "net.peer.name" not in span.attributes]  # the others are steps in Redis
    assert len(named) == 6
    assert receipt.parent_id == ""
    assert sent.parent_id == receipt.span_id
    assert processed.parent_id == sent.span_id
    assert {asked.parent_id, logged.parent_id, streamed.parent_id} == {processed.span_id}
    assert not any(span.failed for span in named)


def test_claude_is_asked_within_the_same_trace(stack: Stack) -> None:
    spans = settled_trace(stack, send(stack, 2))
    (asked,) = by_name(spans, "chat ")
    seen = [request["headers"].get("traceparent", "").split("-") for request in simulated_requests(stack)]
    assert [asked.trace_id, asked.span_id] in [header[1:3] for header in seen]


def test_each_attempt_has_a_span_linked_to_the_one_before(stack: Stack) -> None:
    fault = {"kind": "malformed", "times": 2, "match": "trace-3-marker"}
    httpx.post(f"{stack.wiring.claude_url}/simulator/faults", json=fault).raise_for_status()
    request = signed("github", {**pull_request(3), "x": "trace-3-marker"}, event="pull_request", delivery="trace-3")
    answer = httpx.post(f"{stack.wiring.hooks_url}/team-a/triage", content=request.body, headers=request.headers)
    spans = settled_trace(stack, answer.json()["delivery"])
    attempts = by_name(spans, "process ")
    (sent,) = by_name(spans, "send ")
    assert [span.attributes["eventroute.attempt"] for span in attempts] == [1, 2, 3]
    assert {span.parent_id for span in attempts} == {sent.span_id}
    assert [span.links for span in attempts] == [(), (attempts[0].span_id,), (attempts[1].span_id,)]
    assert [span.failed for span in by_name(spans, "chat ")] == [True, True, False]


def test_a_senders_own_trace_is_linked_and_not_adopted(stack: Stack) -> None:
    request = signed("github", pull_request(4), event="pull_request", delivery="trace-4")
    theirs = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
    headers = [*request.headers, (b"traceparent", theirs.encode())]
    answer = httpx.post(f"{stack.wiring.hooks_url}/team-a/triage", content=request.body, headers=headers)
    spans = settled_trace(stack, answer.json()["delivery"])
    (receipt,) = by_name(spans, "POST ")
    assert receipt.trace_id != "ab" * 16
    assert receipt.links == ("cd" * 8,)


def test_a_refused_request_is_one_span_with_its_reason(stack: Stack) -> None:
    before = len(by_name(stack.collector.spans(), "POST "))
    httpx.post(f"{stack.wiring.hooks_url}/team-a/triage", content=b"{}", headers={"x-hub-signature-256": "sha256=0"})
    wait_until(lambda: len(by_name(stack.collector.spans(), "POST ")) > before)
    refused = by_name(stack.collector.spans(), "POST ")[-1]
    assert refused.attributes["eventroute.outcome"] == "unauthenticated"
    assert refused.attributes["eventroute.reason"] in {"malformed_signature", "mismatch"}
    assert len(stack.collector.spans(refused.trace_id)) == 1


def test_no_attribute_holds_a_secret_a_body_a_prompt_or_an_answer(stack: Stack) -> None:
    settled_trace(stack, send(stack, 5))
    held = [
        f"{value}" for span in stack.collector.spans() for value in [span.name, span.service, *span.attributes.values()]
    ]
    assert len(held) > 50
    hidden = (SECRET, IN_BODY, IN_SYSTEM, IN_ANSWER, stack.wiring.claude_key, stack.wiring.worker_key, "sha256=")
    for text in hidden:
        assert not [value for value in held if text in value]


def test_an_idle_worker_makes_no_spans(stack: Stack) -> None:
    settled_trace(stack, send(stack, 6))
    time.sleep(0.5)  # the last batch of spans is on its way
    before = len(stack.collector.spans())
    time.sleep(6)  # its heartbeat comes every five seconds, and all else oftener
    assert len(stack.collector.spans()) == before
