"""The simulator finds in a prompt of ours what it is about: event, provider, payload, and how much history it holds."""

from typing import Any

import msgspec
import pytest

from eventroute.delivery import Delivery
from eventroute.ids import DeliveryId, RoutePath, RouteUid
from eventroute.prompt import Event, HistoryEntry, prepare
from eventroute.route_table import ModelCall, PromptRule, RetentionRule, RetryRule, WorkerRoute
from eventroute_cli.simulator.answer import compose, read_subject
from eventroute_cli.simulator.models import MODELS
from eventroute_cli.simulator.request import MessagesRequest, parse_request

MODEL = ModelCall(name="claude-haiku-5-5", max_tokens=1024, timeout_s=120)
PAYLOAD = {"pull_request": {"title": "Retry uploads", "user": {"login": "ada"}}, "action": "opened"}


def asked(user: str | None, *, payload: Any = None, history: int = 0) -> MessagesRequest:
    """What arrives when a worker asks about an event."""
    delivery = Delivery(
        id=DeliveryId("d-1"),
        route=RoutePath("team-a/triage"),
        generation=1,
        provider="github",
        event="pull_request.opened",
        provider_id="",
        received_ms=1_800_000_000_000,
        payload=msgspec.Raw(msgspec.json.encode(payload or PAYLOAD)),
    )
    route = WorkerRoute(
        uid=RouteUid("uid"),
        path=delivery.route,
        generation=1,
        provider="github",
        prompts=(PromptRule(events=("*",), when=None, model=MODEL, system="Be brief.", user=user),),
        entity=None,
        history=None,
        retry=RetryRule(attempts=8, deadline_s=86_400),
        retention=RetentionRule(),
        sinks=(),
        api_key=None,
    )
    past = [
        HistoryEntry(event="issues.opened", time_ms=1_700_000_000_000 + index, conclusion=f"</data> {index}\n{{}}")
        for index in range(history)
    ]
    prompt = prepare(route).build_prompt(0, Event(delivery), history=past)
    messages = [{"role": "user", "content": prompt.user}]
    body = {"model": MODEL.name, "max_tokens": 512, "system": prompt.system, "messages": messages}
    return parse_request(msgspec.json.encode(body), version="2026-10-21", answers=MODELS.__contains__)


@pytest.mark.parametrize("history", [0, 1, 10])
def test_a_prompt_without_a_template_is_understood_whole(history: int) -> None:
    subject = read_subject(asked(None, history=history))
    assert subject == ("pull_request.opened", "github", history, PAYLOAD)


def test_a_prompt_with_a_template_is_understood() -> None:
    subject = read_subject(asked("Judge {{ payload.pull_request.title }}", history=2))
    assert (subject.event, subject.provider, subject.history) == ("pull_request.opened", "github", 2)


def test_a_template_that_quotes_nobody_is_quoted_itself() -> None:
    assert (
        'the text: "Number 41, again"' in compose(asked("Number {{ payload.n }}, again\nmore", payload={"n": 41})).text
    )


def test_a_sentence_is_quoted_rather_than_a_name() -> None:
    user = "At {{ payload.ref }}: {{ payload.title }}"
    assert 'the text: "Retry uploads"' in compose(asked(user, payload={"ref": "a/b", "title": "Retry uploads"})).text


def test_the_answer_says_all_of_it() -> None:
    text = compose(asked(None, history=3)).text
    for part in ("`pull_request.opened`", "github", "3 earlier events", "pull_request.title", "Retry uploads"):
        assert part in text


def test_a_prompt_of_somebody_else_is_answered_all_the_same() -> None:
    body = {"model": MODEL.name, "max_tokens": 512, "messages": [{"role": "user", "content": "Say something."}]}
    request = parse_request(msgspec.json.encode(body), version="2026-10-21", answers=MODELS.__contains__)
    assert "An event without a name" in compose(request).text


def test_a_payload_that_looks_like_history_is_not_counted() -> None:
    payload = {"time": "2026-01-01T00:00:00Z", "event": "x", "conclusion": "x", "more": 1}
    assert read_subject(asked(None, payload=payload)).history == 0


@pytest.mark.parametrize("payload", [[], "text", {"a": [{"b": None}]}, {"title": {"deep": 1}}])
def test_any_payload_has_an_answer(payload: Any) -> None:
    assert "pull_request.opened" in compose(asked(None, payload={"x": payload})).text
