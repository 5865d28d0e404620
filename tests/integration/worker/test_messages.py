"""What a sink is told is what the route's template says of event and answer, with values that nobody can misread."""

import json
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.outcome import DeadReason
from eventroute.queue import Desk, State, Wanted
from eventroute.route_table import HttpSink, RemoteSink, SlackApp, SlackSink
from eventroute.secret import Secret
from support.queue import GROUP, admit
from support.runs import FakeRoutes, sample_delivery, worker_route
from support.sending import working
from support.service import Service
from support.slack import TOKEN, Slack
from support.waiting import until
from support.worker import until_empty

pytestmark = pytest.mark.real

CHANNEL = "C024BE91L"
HOSTILE = "<!channel> & <https://a.example|click> *now*"


def to_slack(**changes: Any) -> SlackSink:
    return SlackSink(name="slack", by=SlackApp(token=Secret(TOKEN.encode()), channel=CHANNEL), **changes)


def paragraph(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def route_to(sink: RemoteSink, **changes: Any) -> FakeRoutes:
    return FakeRoutes(worker_route(sinks=(sink,), **changes))


async def deliver(redis: Redis, name: str, payload: object, **changes: Any) -> None:
    await admit(redis, sample_delivery(name, payload=msgspec.json.encode(payload), **changes))
    await until_empty(redis)


async def dead(redis: Redis) -> list[tuple[str, str, str]]:
    found = await Desk({GROUP: redis}).look(Wanted(states=frozenset({State.DEAD})))
    return [(line.id, line.reason, line.detail) for line in found.lines]


async def test_a_service_is_told_the_template_in_place_of_the_text(redis: Redis, service: Service) -> None:
    template = "{{ event }} #{{ payload.number }} by {{ entity }}: {{ answer.text }} ({{ answer.outcome }})"
    sink = HttpSink(name="own", url=service.url, secrets=(), timeout_s=5, message=template)
    async with working(redis, route_to(sink, entity="payload.who")):
        await deliver(redis, "d-1", {"number": 7, "who": "<b>&"})
    (message,) = service.messages
    told = json.loads(message.body)["data"]
    assert told["text"] == "pull_request.opened #7 by <b>&: Answer 1. (succeeded)"


async def test_values_are_no_markup_in_slack_and_the_templates_own_is(redis: Redis, slack: Slack) -> None:
    sink = to_slack(message="<!here> *{{ payload.title }}* {% for name in payload.names %}{{ name }}{% endfor %}")
    async with working(redis, route_to(sink), slack=slack.url):
        await deliver(redis, "d-1", {"title": HOSTILE, "names": ["!channel", "@U061F7AUR", "#C1"]})
    (message,) = slack.posted
    said = "&lt;!channel&gt; &amp; &lt;https://a.example|click&gt; *now*"
    assert message["text"] == f"<!here> *{said}* \u200b!channel\u200b@U061F7AUR\u200b#C1"
    assert message["mrkdwn"] is True


async def test_texts_of_blocks_are_filled_in_escaped_and_cut_and_urls_are_as_they_are(
    redis: Redis, slack: Slack
) -> None:
    button = {
        "type": "button",
        "text": {"type": "plain_text", "text": "Open {{ payload.title }}"},
        "url": "{{ payload.url }}",
    }
    blocks = (
        {"type": "header", "text": {"type": "plain_text", "text": "{{ payload.long }}"}},
        {**paragraph("{{ payload.title }}: {{ answer.text }}"), "accessory": button},
        paragraph("{{ payload.long }}{{ payload.long }}"),
    )
    async with working(redis, route_to(to_slack(blocks=blocks)), slack=slack.url):
        await deliver(redis, "d-1", {"title": "<a>", "url": "https://a.example/?b=1&c=2", "long": "long & " * 300})
    (message,) = slack.posted
    header, section, last = message["blocks"]
    assert section["text"]["text"] == "&lt;a&gt;: Answer 1."
    assert section["accessory"]["text"]["text"] == "Open &lt;a&gt;"
    assert section["accessory"]["url"] == "https://a.example/?b=1&c=2"
    for text, most in ((header["text"]["text"], 150), (last["text"]["text"], 3000)):
        assert text.endswith("…")
        assert most - 6 <= len(text) <= most
        assert "&" not in text.replace("&amp;", "")
    assert message["text"] == "Answer 1."


async def test_one_message_of_an_entity_is_changed_by_each_answer(redis: Redis, slack: Slack) -> None:
    async with working(redis, route_to(to_slack(update=True), entity="payload.who"), slack=slack.url):
        await deliver(redis, "d-1", {"who": "ann"})
        await deliver(redis, "d-2", {"who": "bob"})
        await deliver(redis, "d-3", {"who": "ann"})
        await deliver(redis, "d-4", {})
    assert [message["text"] for message in slack.posted[:2]] == ["Answer 3.", "Answer 2."]
    of_ann, of_bob, of_nobody = slack.shown.values()
    assert of_ann["metadata"]["event_payload"]["delivery"] == "d-3"
    assert (of_bob["text"], of_nobody["text"]) == ("Answer 2.", "Answer 4.")


async def test_an_older_answer_that_comes_late_does_not_undo_a_newer_one(redis: Redis, slack: Slack) -> None:
    async with working(redis, route_to(to_slack(update=True), entity="payload.who"), slack=slack.url):
        slack.says = (500, "", {})
        await admit(redis, sample_delivery("d-1", payload=b'{"who":"ann"}'))
        await until(lambda: slack.asked == 1)
        slack.says = None
        await deliver(redis, "d-2", {"who": "ann"})
    assert [message["text"] for message in slack.posted] == ["Answer 2."]
    assert [message["text"] for message in slack.shown.values()] == ["Answer 2."]
    assert await dead(redis) == []


async def test_what_cannot_be_changed_any_more_gives_way_to_a_new_message(redis: Redis, slack: Slack) -> None:
    async with working(redis, route_to(to_slack(update=True), entity="payload.who"), slack=slack.url):
        await deliver(redis, "d-1", {"who": "ann"})
        slack.shown.clear()
        await deliver(redis, "d-2", {"who": "ann"})
        await deliver(redis, "d-3", {"who": "ann"})
    assert [message["text"] for message in slack.shown.values()] == ["Answer 3."]
    assert await dead(redis) == []


async def test_a_message_that_does_too_much_is_a_dead_letter_and_says_so(redis: Redis, service: Service) -> None:
    loop = "{% for a in (1..900) %}{% for b in (1..900) %}{{ b }}{% endfor %}{% endfor %}"
    sink = HttpSink(name="own", url=service.url, secrets=(), timeout_s=5, message=loop)
    async with working(redis, route_to(sink)):
        await deliver(redis, "d-1", {})
    ((letter, reason, detail),) = await dead(redis)
    assert (letter, reason) == ("d-1:own", DeadReason.SINK)
    assert detail.startswith("sink own: message: the template ")  # does too much, or on a slow machine takes too long
    assert service.messages == []
