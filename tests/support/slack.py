"""Slack, as far as messages are posted: its Web API and its incoming webhooks, checking what Slack checks.

Arguments and errors: https://docs.slack.dev/reference/methods/chat.postMessage and
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from eventroute.runtime.probe_port import serving

TOKEN: Final = "xoxb-of-a-test"
WEBHOOK: Final = "/services/T0/B0/of-a-test"
CHANNELS: Final = frozenset({"C024BE91L", "C0LAN2Q65", "D0G9QF9C6"})

_OF_BOTH: Final[dict[str, type]] = {
    "text": str,
    "attachments": list,
    "blocks": list,
    "mrkdwn": bool,
    "parse": str,
    "link_names": bool,
    "unfurl_links": bool,
    "unfurl_media": bool,
}
_OF_API: Final[dict[str, type]] = {
    **_OF_BOTH,
    "channel": str,
    "thread_ts": str,
    "reply_broadcast": bool,
    "metadata": dict,
}
_OF_UPDATE: Final[dict[str, type]] = {
    **{name: kind for name, kind in _OF_BOTH.items() if name not in {"mrkdwn", "unfurl_links", "unfurl_media"}},
    "channel": str,
    "ts": str,
    "metadata": dict,
}
_LONGEST: Final = {"header": 150, "section": 3000, "context": 3000}


@dataclass
class Slack:
    """Takes messages, unless it is told to answer otherwise."""

    url: str = ""
    posted: list[dict[str, Any]] = field(default_factory=list)
    shown: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """What an app has posted, by channel and timestamp, as it is now."""
    asked: int = 0
    says: tuple[int, str, dict[str, str]] | None = None
    """Status, body and headers of every answer from now on."""
    hangs: bool = False

    @property
    def webhook(self) -> str:
        """URL of the incoming webhook that there is."""
        return f"{self.url}{WEBHOOK}"

    async def api(self, request: web.Request) -> web.Response:
        """Answer `chat.postMessage`."""
        if told := await self._told():
            return told
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            error = "invalid_auth" if "Authorization" in request.headers else "not_authed"
            return web.json_response({"ok": False, "error": error})
        message = await request.json() if request.content_type == "application/json" else {}
        if error := _mistake(message, _OF_API):
            return web.json_response({"ok": False, "error": error})
        if message.get("channel") not in CHANNELS:
            return web.json_response({"ok": False, "error": "channel_not_found"})
        self.posted.append(message)
        ts = f"1503435956.{len(self.posted):06}"
        self.shown[message["channel"], ts] = message
        return web.json_response({"ok": True, "channel": message["channel"], "ts": ts, "message": message})

    async def update(self, request: web.Request) -> web.Response:
        """Answer `chat.update`."""
        if told := await self._told():
            return told
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        message = await request.json()
        if error := _mistake(message, _OF_UPDATE):
            return web.json_response({"ok": False, "error": error})
        place = message.pop("channel"), message.pop("ts")
        if place not in self.shown:
            return web.json_response({"ok": False, "error": "message_not_found"})
        self.shown[place] |= message
        return web.json_response({"ok": True, "channel": place[0], "ts": place[1], "text": message["text"]})

    async def hook(self, request: web.Request) -> web.Response:
        """Answer a webhook."""
        if told := await self._told():
            return told
        if request.path != WEBHOOK:
            return web.Response(status=404, text="no_service")
        message = await request.json() if request.content_type == "application/json" else {}
        if error := _mistake(message, _OF_BOTH):
            return web.Response(status=400, text="no_text" if error == "no_text" else "invalid_payload")
        self.posted.append(message)
        return web.Response(text="ok")

    async def _told(self) -> web.Response | None:
        self.asked += 1
        while self.hangs:
            await asyncio.sleep(0.01)
        if self.says is None:
            return None
        status, body, headers = self.says
        return web.Response(status=status, text=body, headers=headers)


def _mistake(message: dict[str, Any], arguments: dict[str, type]) -> str:
    if not message.get("text"):
        return "no_text"
    if any(type(value) is not arguments.get(name) for name, value in message.items()):
        return "invalid_arguments"
    if "metadata" in message and set(message["metadata"]) != {"event_type", "event_payload"}:
        return "invalid_metadata_format"
    if any(_is_wrong(block) for block in message.get("blocks", ())):
        return "invalid_blocks"
    return "msg_too_long" if len(message["text"]) > 40_000 else ""


def _is_wrong(block: dict[str, Any]) -> bool:
    texts = [block.get("text"), *block.get("elements", ()), *block.get("fields", ())]
    lengths = [len(text["text"]) for text in texts if isinstance(text, dict) and "text" in text]
    most = _LONGEST.get(block["type"], 0)
    return most == 0 or not all(0 < length <= most for length in lengths)


@contextlib.asynccontextmanager
async def serving_slack() -> AsyncIterator[Slack]:
    """Run it on a port of its own."""
    slack = Slack()
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_post("/api/chat.postMessage", slack.api)
    app.router.add_post("/api/chat.update", slack.update)
    app.router.add_post("/services/{rest:.*}", slack.hook)
    async with serving(app, host="127.0.0.1", port=0) as port:
        slack.url = f"http://127.0.0.1:{port}"
        try:
            yield slack
        finally:
            slack.hangs = False
