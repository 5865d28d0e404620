"""The `slack` sink: the answer as a message, by an incoming webhook, or by an app that answers where it was asked.

What Claude says may be a stranger's words. So it is plain text: `&`, `<` and `>` are escaped, which mentions and links
consist of, and Slack is told to look for no markup and to show nothing of what is linked. A template of the route's may
have markup; the values in it are escaped alike.

Slack has no idempotency key: a message whose receipt got lost is posted again. Those of an app tell in their metadata
which answer they are.
Sources: https://docs.slack.dev/reference/methods/chat.postMessage,
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks,
https://docs.slack.dev/messaging/formatting-message-text#escaping
"""

import re
from typing import Any, Final, NamedTuple, assert_never

import msgspec

from eventroute.delivery import Delivery
from eventroute.route_table import SLACK, SlackApp, SlackSink, SlackWebhook
from eventroute_worker.answer import Answer
from eventroute_worker.outbound import Answer as Response
from eventroute_worker.outbound import Bounds, NoAnswer, Request
from eventroute_worker.sinks.asking import Asks, after_s, ask, is_passing, is_success
from eventroute_worker.sinks.model import Result, SinkFailed, SinkRefused

MAX_TEXT: Final = 40_000
"""Characters; Slack cuts what is longer, without a sign of it."""

_BOUNDS: Final = Bounds(deadline_s=10, max_bytes=1024 * 1024)  # the API sends the whole message back
_HEADERS: Final = {"content-type": "application/json; charset=utf-8"}
_CUT_ENTITY: Final = re.compile(r"&[a-z]*$")
_WORD: Final = re.compile(r"[a-z_]{1,64}")
_THREADED: Final = frozenset({"message", "app_mention"})
"""Types of events whose `ts` is a message's."""

_PLAIN: Final = {
    "mrkdwn": False,
    "parse": "none",
    "link_names": False,
    "unfurl_links": False,
    "unfurl_media": False,
}

_PASSING: Final = frozenset(
    {
        *("ratelimited", "rate_limited", "message_limit_exceeded"),
        *("internal_error", "fatal_error", "service_unavailable", "request_timeout", "rollup_error"),
        *("team_added_to_org", "org_login_required"),  # while a workspace moves to an Enterprise organization
    }
)

_INVITE: Final = "invite the app to the channel (`/invite @app`), or name one that it is in"
_LOG_IN: Final = "store a valid token of the app in the Secret of tokenRef"
_SCOPE: Final = "give the app the scope chat:write, install it anew, and store its token"
_WEBHOOK: Final = "make a new incoming webhook in the app and store its URL in the Secret of urlRef"
_ARCHIVED: Final = "the channel is archived; name another one"
_ADMINS: Final = "the workspace's admins do not let the app post there; ask them, or name another channel"

_FIXES: Final = {
    "channel_not_found": f"the app sees no such channel; {_INVITE}",
    "not_in_channel": _INVITE,
    "is_archived": _ARCHIVED,
    "channel_is_archived": _ARCHIVED,
    "cannot_reply_to_message": "messages of this kind have no threads; name a channel",
    "restricted_action": _ADMINS,
    "restricted_action_read_only_channel": _ADMINS,
    "restricted_action_thread_only_channel": _ADMINS,
    "restricted_action_non_threadable_channel": _ADMINS,
    "restricted_action_thread_locked": "the thread is locked; have its admins open it, or name a channel",
    "action_prohibited": _ADMINS,
    "posting_to_general_channel_denied": _ADMINS,
    "ekm_access_denied": _ADMINS,
    "messages_tab_disabled": "switch the app's Messages tab on (App Home)",
    "not_authed": _LOG_IN,
    "invalid_auth": _LOG_IN,
    "account_inactive": f"the app or its workspace is gone; {_LOG_IN}",
    "token_revoked": _LOG_IN,
    "token_expired": f"{_LOG_IN}, without token rotation",
    "not_allowed_token_type": "tokenRef needs the token of a bot, `xoxb-…`",
    "missing_scope": _SCOPE,
    "no_permission": _SCOPE,
    "team_access_not_granted": "install the app in the workspace of this channel",
    "metadata_must_be_sent_from_app": "tokenRef needs the token of an app's bot, `xoxb-…`",
    "msg_too_long": "Slack takes no text of this length; ask Claude for less",
    "no_service": _WEBHOOK,
    "no_service_id": _WEBHOOK,
    "no_team": _WEBHOOK,
    "team_disabled": _WEBHOOK,
    "invalid_token": _WEBHOOK,
    "user_not_found": _WEBHOOK,
}
"""What to do about errors that stay."""


class _Message(msgspec.Struct, frozen=True):
    ts: str = ""
    thread_ts: str = ""


class _Event(_Message, frozen=True):
    type: str = ""
    channel: str = ""
    message: _Message | None = None
    """As it is now, where the event is that it was changed."""


class _Asked(msgspec.Struct, frozen=True):
    """What of an event of Slack's tells where it is from."""

    event: _Event = _Event()
    channel_id: str = ""
    """Of a slash command."""


class _Told(msgspec.Struct, frozen=True):
    """What the Web API answers."""

    ok: bool
    error: str = ""


class _Place(NamedTuple):
    channel: str
    thread: str = ""


class _Escaped:
    """The frame of a template with markup: a value may look bold, but mentions nobody and links nothing."""

    def value(self, text: str, *, is_alone: bool) -> str:
        del is_alone
        return _escaped(text)

    def block(self, text: str) -> str:
        return _escaped(text)


_ESCAPED: Final = _Escaped()


class SlackSinkWriter:
    """Posts answers."""

    def __init__(self, way: Asks, *, base_url: str = SLACK) -> None:
        """Take the way out, and where the Web API is."""
        self._way = way
        self._url = f"{base_url}/api/chat.postMessage"

    async def send(self, sink: SlackSink, result: Result) -> None:
        """Post the answer once; raises `SinkFailed` or `SinkRefused`."""
        text = await result.write(sink.message, _ESCAPED) if sink.message else build_text(result.answer)
        message = build_message(_shortened(text), marker=result.marker, markup=sink.message is not None)
        match sink.by:
            case SlackWebhook(url=url):
                _judge_webhook(await self._ask(url.reveal().decode(), _HEADERS, message))
            case SlackApp(token=token, channel=channel):
                headers = {**_HEADERS, "authorization": f"Bearer {token.reveal().decode()}"}
                place = _Place(channel) if channel else _where_asked(result.delivery)
                _judge_api(await self._ask(self._url, headers, {**message, **_addressed(place, sink.name, result)}))
            case _:
                assert_never(sink.by)

    async def _ask(self, url: str, headers: dict[str, str], message: dict[str, Any]) -> Response:
        try:
            return await ask(self._way, Request("POST", url, headers, msgspec.json.encode(message)), _BOUNDS)
        except SinkFailed as failed:
            if isinstance(failed.__cause__, NoAnswer) and failed.__cause__.may_have_arrived:
                raise SinkFailed(f"{failed}; the message may be there already") from failed
            raise


def build_message(text: str, *, marker: str = "", markup: bool = False) -> dict[str, Any]:
    """Write a message, with the marker against loops in small print.

    markup  the text has markup of the route's owner
    """
    message = {"text": text, **_PLAIN, "mrkdwn": markup}
    if marker:
        small = {"type": "context", "elements": [{"type": "plain_text", "text": marker}]}
        message["attachments"] = [{"fallback": marker, "blocks": [small]}]
    return message


def build_text(answer: Answer) -> str:
    """Write what is said as Slack shows it and takes no part of it for its own syntax."""
    said = answer.text.strip() or f"No answer ({', '.join(filter(None, (answer.outcome, answer.reason)))})."
    return _escaped(said)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _shortened(text: str) -> str:
    """Cut what is too long, visibly."""
    return text if len(text) <= MAX_TEXT else f"{_CUT_ENTITY.sub('', text[: MAX_TEXT - 1])}…"


def _addressed(place: _Place, sink: str, result: Result) -> dict[str, Any]:
    told = {
        "delivery": result.delivery.id,
        "idempotency_key": result.idempotency_key(sink),
        "route": result.delivery.route,
    }
    metadata = {"event_type": "eventroute_answer", "event_payload": told}
    thread = {"thread_ts": place.thread} if place.thread else {}
    return {"channel": place.channel, **thread, "metadata": metadata}


def _where_asked(delivery: Delivery) -> _Place:
    """Find the channel that an event of Slack's is from, and the thread that its message is in, or begins."""
    try:
        asked = msgspec.json.decode(delivery.payload, type=_Asked) if delivery.provider == "slack" else _Asked()
    except msgspec.DecodeError:  # `channel` of some events is the channel itself
        asked = _Asked()
    event = asked.event
    if not (channel := event.channel or asked.channel_id):
        raise SinkRefused(f"{delivery.event or 'the event'} is from no channel of Slack; set channel to the id of one")
    message = event.message or event
    return _Place(channel, (message.thread_ts or message.ts) if event.type in _THREADED else "")


def _judge_api(response: Response) -> None:
    try:
        told = msgspec.json.decode(response.body, type=_Told)
    except msgspec.DecodeError:
        told = None
    if told and told.ok:
        return
    if told is None and is_success(response):
        raise SinkFailed(f"HTTP {response.status}, and what came with it is no answer of Slack's")
    _refuse(response, told.error if told else "")


def _judge_webhook(response: Response) -> None:
    if not is_success(response):
        _refuse(response, response.body[:128].decode(errors="replace").strip())


def _refuse(response: Response, error: str) -> None:
    """Sort what Slack did not take; raises `SinkFailed` or `SinkRefused`."""
    error = error if _WORD.fullmatch(error) else ""
    what = error or f"HTTP {response.status}"
    if error in _PASSING or is_passing(response):
        raise SinkFailed(what, after_s=after_s(response))
    if response.is_redirect:
        raise SinkRefused(f"{what}: redirects are not followed; store the URL that Slack shows")
    raise SinkRefused(f"{what}: {_FIXES.get(error, 'Slack does not take the message; its documentation says why')}")
