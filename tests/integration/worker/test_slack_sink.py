"""An answer becomes a message in Slack, where it was asked, that notifies nobody and says what becomes of it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, sending_path
from eventroute.outbound import OutboundRules
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import Desk, Lease, State, Wanted, Work
from eventroute.route_table import SlackApp, SlackSink, SlackWebhook
from eventroute.runtime.scripts import Argument, Script
from eventroute.secret import Secret
from eventroute_worker.finding import Finder
from eventroute_worker.outbound import Answer, Bounds, Outbound, Request
from eventroute_worker.sending import Sender
from eventroute_worker.sinks import RemoteSinks, Result, SinkFailed, SinkRefused
from support.queue import GROUP, admit, upkeep_of, work_on
from support.runs import PATH, FakeClaude, FakeRoutes, answer, build_runner, sample_delivery, worker_route
from support.slack import TOKEN, WEBHOOK, Slack
from support.worker import running, until_empty

MENTION = {"type": "app_mention", "channel": "C0LAN2Q65", "user": "U061F7AUR", "ts": "1515449522.000016"}
PLAIN = {"mrkdwn": False, "parse": "none", "link_names": False, "unfurl_links": False, "unfurl_media": False}
MARKER = "eventroute-hop-01-abcdefghijklmnop"


def app(*, token: str = TOKEN, channel: str | None = "C024BE91L") -> SlackSink:
    return SlackSink(name="slack", by=SlackApp(token=Secret(token.encode()), channel=channel))


def hook(slack: Slack, path: str = WEBHOOK) -> SlackSink:
    return SlackSink(name="slack", by=SlackWebhook(url=Secret(f"{slack.url}{path}".encode())))


def result_of(text: str = "All is well.", *, payload: Any = None, marker: str = "", **changes: Any) -> Result:
    of_slack: dict[str, Any] = {}
    if payload:
        of_slack = {"provider": "slack", "event": "app_mention", "payload": msgspec.json.encode(payload)}
    lease = Lease(DeliveryId("d-1:slack"), sending_path(PATH, "slack"), 1, GROUP)
    return Result(sample_delivery(**of_slack), answer(text, **changes), "", lease, marker=marker)


async def no_queue(script: Script, key: str, args: Sequence[Argument]) -> Any:
    raise AssertionError("this sink has nothing to remember")


async def send(slack: Slack, sink: SlackSink, result: Result) -> None:
    async with Outbound(OutboundRules(mode="dev")) as way:
        await RemoteSinks(way, Work(no_queue), slack=slack.url).send(sink, result)


async def test_an_app_posts_plain_text_that_says_which_answer_it_is(slack: Slack) -> None:
    await send(slack, app(), result_of())
    (message,) = slack.posted
    assert message == {
        "channel": "C024BE91L",
        "text": "All is well.",
        **PLAIN,
        "metadata": {
            "event_type": "eventroute_answer",
            "event_payload": {"delivery": "d-1", "idempotency_key": "d-1:slack", "route": PATH},
        },
    }


async def test_a_webhook_posts_the_same_text(slack: Slack) -> None:
    await send(slack, hook(slack), result_of())
    assert slack.posted == [{"text": "All is well.", **PLAIN}]


@pytest.mark.parametrize(
    ("payload", "channel", "thread"),
    [
        ({"event": MENTION}, "C0LAN2Q65", "1515449522.000016"),
        ({"event": {**MENTION, "thread_ts": "1515449500.000001"}}, "C0LAN2Q65", "1515449500.000001"),
        ({"event": {**MENTION, "type": "message", "channel": "D0G9QF9C6"}}, "D0G9QF9C6", "1515449522.000016"),
        (
            {
                "event": {
                    "type": "message",
                    "subtype": "message_changed",
                    "channel": "C0LAN2Q65",
                    "ts": "1515449599.000001",
                    "message": {"ts": "1515449522.000016", "text": "mended"},
                }
            },
            "C0LAN2Q65",
            "1515449522.000016",
        ),
        ({"event": {"type": "member_joined_channel", "channel": "C0LAN2Q65", "event_ts": "1.2"}}, "C0LAN2Q65", None),
        ({"command": "/triage", "channel_id": "C0LAN2Q65"}, "C0LAN2Q65", None),
    ],
)
async def test_an_app_without_a_channel_answers_where_it_was_asked(
    slack: Slack, payload: Any, channel: str, thread: str | None
) -> None:
    await send(slack, app(channel=None), result_of(payload=payload))
    (message,) = slack.posted
    assert (message["channel"], message.get("thread_ts")) == (channel, thread)


@pytest.mark.parametrize(
    "payload",
    [None, {"event": {"type": "team_join"}}, {"event": {"type": "channel_created", "channel": {"id": "C1"}}}, [7]],
)
async def test_where_nobody_asked_in_a_channel_one_has_to_be_named(slack: Slack, payload: Any) -> None:
    with pytest.raises(SinkRefused, match="is from no channel of Slack; set channel to the id of one"):
        await send(slack, app(channel=None), result_of(payload=payload))
    assert slack.asked == 0


async def test_an_event_of_another_provider_names_no_channel(slack: Slack) -> None:
    forged = result_of(payload={"event": MENTION})
    forged = forged._replace(delivery=msgspec.structs.replace(forged.delivery, provider="github"))
    with pytest.raises(SinkRefused, match="is from no channel"):
        await send(slack, app(channel=None), forged)
    assert slack.posted == []


@pytest.mark.parametrize("text", ["<!channel> <!here> <@U061F7AUR>", "<https://x.example|y> & <#C1>", "a &lt; b"])
async def test_nothing_in_an_answer_is_slacks_syntax(slack: Slack, text: str) -> None:
    for sink in (app(), hook(slack)):
        await send(slack, sink, result_of(text))
    for message in slack.posted:
        shown = message["text"]
        assert not set("<>") & set(shown)
        assert re.sub(r"&(?!(amp|lt|gt);)", "", shown) == shown
        assert shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text


@pytest.mark.parametrize("text", ["x" * 40_001, "&" * 40_000, "a" + "<" * 20_000, "ab" + ">" * 20_000, "abc&" * 9_000])
async def test_a_long_answer_is_cut_visibly_and_between_characters(slack: Slack, text: str) -> None:
    await send(slack, app(), result_of(text))
    (message,) = slack.posted
    shown = message["text"]
    assert 39_900 < len(shown) <= 40_000
    assert shown.endswith("…")
    read = shown[:-1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert text.startswith(read)


async def test_the_longest_answer_is_not_cut(slack: Slack) -> None:
    await send(slack, app(), result_of("x" * 40_000))
    assert slack.posted[0]["text"] == "x" * 40_000


async def test_where_claude_said_nothing_the_message_says_so(slack: Slack) -> None:
    await send(slack, app(), result_of("", outcome=RunOutcome.NO_TEXT, reason="thinking_only"))
    assert slack.posted[0]["text"] == "No answer (no_text, thinking_only)."


async def test_the_marker_against_loops_is_in_small_print(slack: Slack) -> None:
    for sink in (app(), hook(slack)):
        await send(slack, sink, result_of(marker=MARKER))
    for message in slack.posted:
        (attachment,) = message["attachments"]
        assert attachment["blocks"] == [{"type": "context", "elements": [{"type": "plain_text", "text": MARKER}]}]
        assert MARKER not in message["text"]


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        ("channel_not_found", "the app sees no such channel; invite the app to the channel"),
        ("not_in_channel", "invite the app to the channel"),
        ("is_archived", "the channel is archived; name another one"),
        ("invalid_auth", "store a valid token of the app in the Secret of tokenRef"),
        ("account_inactive", "the app or its workspace is gone"),
        ("missing_scope", "give the app the scope chat:write"),
        ("msg_too_long", "Slack takes no text of this length"),
        ("restricted_action_thread_locked", "the thread is locked"),
        ("an_error_to_come", "Slack does not take the message; its documentation says why"),
    ],
)
async def test_an_error_that_stays_is_refused_with_its_fix(slack: Slack, error: str, fix: str) -> None:
    slack.says = (200, f'{{"ok":false,"error":"{error}"}}', {})
    with pytest.raises(SinkRefused, match=f"^{error}: {re.escape(fix)}"):
        await send(slack, app(), result_of())
    assert slack.asked == 1


@pytest.mark.parametrize(
    "error", ["internal_error", "fatal_error", "service_unavailable", "rate_limited", "ratelimited"]
)
async def test_an_error_that_passes_is_waited_for(slack: Slack, error: str) -> None:
    slack.says = (200, f'{{"ok":false,"error":"{error}"}}', {})
    with pytest.raises(SinkFailed, match=f"^{error}$"):
        await send(slack, app(), result_of())


@pytest.mark.parametrize(
    ("status", "body"),
    [(429, ""), (429, '{"ok":false,"error":"ratelimited"}'), (503, "<html>"), (500, "rollup_error"), (200, "<html>")],
)
async def test_what_passes_at_the_api_is_waited_for_as_long_as_slack_says(slack: Slack, status: int, body: str) -> None:
    slack.says = (status, body, {"Retry-After": "30"})
    with pytest.raises(SinkFailed) as failed:
        await send(slack, app(), result_of())
    assert failed.value.after_s == (None if status == 200 else 30)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, "no_service", "no_service: make a new incoming webhook in the app and store its URL"),
        (403, "invalid_token", "invalid_token: make a new incoming webhook"),
        (403, "action_prohibited", "action_prohibited: the workspace's admins do not let the app post there"),
        (404, "channel_not_found", "channel_not_found: the app sees no such channel"),
        (410, "channel_is_archived", "channel_is_archived: the channel is archived"),
        (400, "invalid_payload", "invalid_payload: Slack does not take the message"),
        (403, "<html>no</html>", "HTTP 403: Slack does not take the message"),
        (302, "", "HTTP 302: redirects are not followed"),
    ],
)
async def test_what_a_webhook_will_never_take_is_refused(slack: Slack, status: int, body: str, said: str) -> None:
    slack.says = (status, body, {"Location": slack.webhook})
    with pytest.raises(SinkRefused, match=f"^{re.escape(said)}"):
        await send(slack, hook(slack), result_of())
    assert slack.asked == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_passes_at_a_webhook_is_waited_for(slack: Slack, status: int) -> None:
    slack.says = (status, "rollup_error" if status == 500 else "", {"Retry-After": "7"})
    with pytest.raises(SinkFailed) as failed:
        await send(slack, hook(slack), result_of())
    assert failed.value.after_s == 7


async def test_a_wrong_token_and_a_webhook_that_is_gone_are_refused_without_showing_them(slack: Slack) -> None:
    with pytest.raises(SinkRefused) as by_token:
        await send(slack, app(token="xoxb-1-wrong"), result_of())
    with pytest.raises(SinkRefused) as by_url:
        await send(slack, hook(slack, "/services/T0/B0/wrong"), result_of())
    assert str(by_token.value).startswith("invalid_auth: ")
    assert str(by_url.value).startswith("no_service: ")
    assert "wrong" not in f"{by_token.value!r} {by_url.value!r}"


class Hasty(Outbound):
    """Waits for a tenth of a second."""

    async def send(self, request: Request, bounds: Bounds = Bounds()) -> Answer:
        return await super().send(request, replace(bounds, deadline_s=0.1))


async def test_without_a_receipt_it_says_that_the_message_may_be_there(slack: Slack) -> None:
    slack.hangs = True

    async with Hasty(OutboundRules(mode="dev")) as way:
        with pytest.raises(SinkFailed, match="the message may be there already") as failed:
            await RemoteSinks(way, Work(no_queue), slack=slack.url).send(hook(slack), result_of())
    assert WEBHOOK not in str(failed.value)


@pytest.mark.real
async def test_what_slack_refuses_is_a_dead_letter_that_is_posted_when_it_is_replayed(
    redis: Redis, slack: Slack
) -> None:
    slack.says = (200, '{"ok":false,"error":"not_in_channel"}', {})
    routes = FakeRoutes(worker_route(provider="slack", sinks=(app(channel=None),)))
    payload = msgspec.json.encode({"event": MENTION})
    runner = build_runner(redis, claude=FakeClaude(), routes=routes)
    async with Outbound(OutboundRules(mode="dev")) as way:
        finder, sinks = Finder(routes, upkeep_of(redis)), RemoteSinks(way, work_on(redis), slack=slack.url)
        sender = Sender(work=work_on(redis), finder=finder, sinks=sinks)
        async with running(redis, lambda attempt: (sender if attempt.lease.sink else runner)(attempt)):
            await admit(redis, sample_delivery("d-1", provider="slack", event="app_mention", payload=payload))
            await until_empty(redis)
            found = await Desk({GROUP: redis}).look(Wanted(states=frozenset({State.DEAD})))
            (letter,) = found.lines
            assert (letter.id, letter.reason) == ("d-1:slack", DeadReason.SINK)
            assert letter.detail.startswith("sink slack: not_in_channel: invite the app to the channel")
            slack.says = None
            await Desk({GROUP: redis}).replay([DeliveryId("d-1:slack")])
            await until_empty(redis)
    (message,) = slack.posted
    assert (message["text"], message["channel"], message["thread_ts"]) == ("Answer 1.", "C0LAN2Q65", MENTION["ts"])
