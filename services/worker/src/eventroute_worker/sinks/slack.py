"""The `slack` sink: the answer as a message, by an incoming webhook, or by an app that answers where it was asked.

Slack has no idempotency key: a message whose receipt got lost is posted again. Those of an app tell in their metadata
which answer they are. One that is kept for an entity is changed by later answers, where Slack lets it be changed, and
never by one that is older than what it says.
Sources: https://docs.slack.dev/reference/methods/chat.postMessage,
https://docs.slack.dev/reference/methods/chat.update,
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

import hashlib
import re
from typing import Any, Final, NamedTuple, Protocol, assert_never

import msgspec

from eventroute.delivery import Delivery
from eventroute.queue import Lease
from eventroute.route_table import SLACK, SlackApp, SlackSink, SlackWebhook
from eventroute_worker.outbound import Answer as Response
from eventroute_worker.outbound import Bounds, NoAnswer, Request
from eventroute_worker.sinks.asking import Asks, after_s, ask, is_passing, is_success
from eventroute_worker.sinks.model import Result, SinkFailed, SinkRefused
from eventroute_worker.sinks.pace import Pace
from eventroute_worker.sinks.slack_message import build_message

_BOUNDS: Final = Bounds(deadline_s=10, max_bytes=1024 * 1024)  # the API sends the whole message back
_HEADERS: Final = {"content-type": "application/json; charset=utf-8"}
_WORD: Final = re.compile(r"[a-z_]{1,64}")
_THREADED: Final = frozenset({"message", "app_mention"})
"""Types of events whose `ts` is a message's."""

_ONLY_POSTED: Final = frozenset({"mrkdwn", "unfurl_links", "unfurl_media"})
"""What no change of a message takes."""
_A_SECOND: Final = 1.0
"""From one message to the next. Source: https://docs.slack.dev/apis/web-api/rate-limits"""
_REMEMBERED_S: Final = 30 * 86_400
"""For so long a message is changed; later answers begin a new one. Arbitrary."""
_UNCHANGEABLE: Final = frozenset({"message_not_found", "edit_window_closed", "cant_update_message", "thread_not_found"})

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
    "invalid_blocks": "Slack does not take the sink's blocks; try them in its Block Kit Builder",
    "msg_too_long": "Slack takes no text of this length; ask Claude for less",
    "no_service": _WEBHOOK,
    "no_service_id": _WEBHOOK,
    "no_team": _WEBHOOK,
    "team_disabled": _WEBHOOK,
    "invalid_token": _WEBHOOK,
    "user_not_found": _WEBHOOK,
}
"""What to do about errors that stay."""


class Places(Protocol):
    """Where messages are remembered."""

    async def place(self, lease: Lease, subject: str, text: bytes = ..., *, ttl_s: int = ...) -> bytes:
        """Recall where the sink has told of a subject, or remember it."""
        ...


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
    channel: str = ""
    ts: str = ""


class _Place(NamedTuple):
    channel: str
    thread: str = ""

    def fields(self) -> dict[str, str]:
        """Say so to Slack."""
        return {"channel": self.channel, **({"thread_ts": self.thread} if self.thread else {})}


class _Known(msgspec.Struct, frozen=True):
    """A message that is there about an entity, and how new the event is that it tells of."""

    channel: str
    ts: str
    received_ms: int


class _Unchangeable(SinkRefused):
    """The message cannot be changed any more."""


class SlackSinkWriter:
    """Posts answers."""

    def __init__(self, way: Asks, places: Places, *, base_url: str = SLACK) -> None:
        """Take the way out, where messages are remembered, and where the Web API is."""
        self._way = way
        self._places = places
        self._api = f"{base_url}/api"

    async def send(self, sink: SlackSink, result: Result) -> None:
        """Post the answer once; raises `SinkFailed` or `SinkRefused`."""
        message = await build_message(sink, result)
        match sink.by:
            case SlackWebhook(url=url):
                _judge_webhook(await self._ask(url.reveal().decode(), _HEADERS, message))
            case SlackApp(token=token, channel=channel):
                message |= _metadata(sink.name, result)
                headers = {**_HEADERS, "authorization": f"Bearer {token.reveal().decode()}"}
                entity = result.variables()["entity"] if sink.update else ""
                if entity and await self._change(headers, message, result, _subject(entity)):
                    return
                place = _Place(channel) if channel else _where_asked(result.delivery)
                told = await self._call("chat.postMessage", headers, {**message, **place.fields()})
                if entity:
                    await self._remember(told, result, _subject(entity))
            case _:
                assert_never(sink.by)

    async def _change(self, headers: dict[str, str], message: dict[str, Any], result: Result, subject: str) -> bool:
        """Change the message that there is about a subject; False = there is none that can be changed."""
        found = await self._places.place(result.lease, subject)
        if not found:
            return False
        known = msgspec.json.decode(found, type=_Known)
        if known.received_ms > result.delivery.received_ms:
            return True  # it says what is newer
        changed = {name: value for name, value in message.items() if name not in _ONLY_POSTED}
        where = {"channel": known.channel, "ts": known.ts}
        try:
            told = await self._call("chat.update", headers, {"blocks": [], **changed, **where})
        except _Unchangeable:
            return False
        await self._remember(told, result, subject)
        return True

    async def _remember(self, told: "_Told", result: Result, subject: str) -> None:
        known = _Known(told.channel, told.ts, result.delivery.received_ms)
        await self._places.place(result.lease, subject, msgspec.json.encode(known), ttl_s=_REMEMBERED_S)

    async def _call(self, method: str, headers: dict[str, str], arguments: dict[str, Any]) -> "_Told":
        return _judge_api(await self._ask(f"{self._api}/{method}", headers, arguments))

    async def _ask(self, url: str, headers: dict[str, str], message: dict[str, Any]) -> Response:
        try:
            return await ask(self._way, Request("POST", url, headers, msgspec.json.encode(message)), _BOUNDS)
        except SinkFailed as failed:
            if isinstance(failed.__cause__, NoAnswer) and failed.__cause__.may_have_arrived:
                raise SinkFailed(f"{failed}; the message may be there already") from failed
            raise


def pace_of(sink: SlackSink, result: Result) -> Pace:
    """Tell what Slack counts by: a channel takes one message of an app a second. Raises `SinkRefused`."""
    match sink.by:
        case SlackWebhook(url=url):
            return Pace(f"slack {url.reveal().decode()}", _A_SECOND)
        case SlackApp(token=token, channel=channel):
            place = channel or _where_asked(result.delivery).channel
            return Pace(f"slack {token.reveal().decode()} {place}", _A_SECOND)
        case _:
            assert_never(sink.by)


def _subject(entity: str) -> str:
    """Name an entity in keys."""
    return hashlib.blake2b(entity.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _metadata(sink: str, result: Result) -> dict[str, Any]:
    told = {
        "delivery": result.delivery.id,
        "idempotency_key": result.idempotency_key(sink),
        "route": result.delivery.route,
    }
    metadata = {"event_type": "eventroute_answer", "event_payload": told}
    return {"metadata": metadata}


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


def _judge_api(response: Response) -> _Told:
    try:
        told = msgspec.json.decode(response.body, type=_Told)
    except msgspec.DecodeError:
        told = None
    if told and told.ok:
        return told
    if told and told.error in _UNCHANGEABLE:
        raise _Unchangeable(f"{told.error}: the message cannot be changed")
    if told is None and is_success(response):
        raise SinkFailed(f"HTTP {response.status}, and what came with it is no answer of Slack's")
    raise _refusal(response, told.error if told else "")


def _judge_webhook(response: Response) -> None:
    if not is_success(response):
        raise _refusal(response, response.body[:128].decode(errors="replace").strip())


def _refusal(response: Response, error: str) -> SinkFailed | SinkRefused:
    """Sort what Slack did not take."""
    error = error if _WORD.fullmatch(error) else ""
    what = error or f"HTTP {response.status}"
    if error in _PASSING or is_passing(response):
        return SinkFailed(what, after_s=after_s(response))
    if response.is_redirect:
        return SinkRefused(f"{what}: redirects are not followed; store the URL that Slack shows")
    return SinkRefused(f"{what}: {_FIXES.get(error, 'Slack does not take the message; its documentation says why')}")
