"""What a message in Slack says, so that nobody but the route's owner decides what it does.

What Claude says may be a stranger's words. So it is plain text: `&`, `<` and `>` are escaped, which mentions and links
consist of, and Slack is told to look for no markup and to show nothing of what is linked. A template of the route's may
have markup; the values in it are escaped alike, and do not begin as a mention does, wherever in it they stand.
Source: https://docs.slack.dev/messaging/formatting-message-text#escaping, https://docs.slack.dev/reference/block-kit
"""

import re
from typing import Any, Final

from eventroute.route_table import SlackSink
from eventroute.template import Frame
from eventroute_worker.answer import Answer
from eventroute_worker.sinks.model import AsItIs, Result

MAX_TEXT: Final = 40_000
"""Characters; Slack cuts what is longer, without a sign of it."""

_MAX_OF_BLOCK: Final = {"header": 150, "button": 75}
_MAX_OF_FIELD: Final = 2000
_MAX_OF_SECTION: Final = 3000
"""Characters, above which Slack refuses the message."""

_CUT_ENTITY: Final = re.compile(r"&[a-z]*$")
_BEGINS_MENTION: Final = ("!", "@", "#")
_NOTHING_SEEN: Final = "\u200b"

_PLAIN: Final = {
    "mrkdwn": False,
    "parse": "none",
    "link_names": False,
    "unfurl_links": False,
    "unfurl_media": False,
}


class _Escaped:
    """The frame of a text with markup: a value may look bold, but mentions nobody and links nothing."""

    def value(self, text: str, *, is_alone: bool) -> str:
        del is_alone
        escaped = _escape(text)
        return f"{_NOTHING_SEEN}{escaped}" if escaped.startswith(_BEGINS_MENTION) else escaped

    def block(self, text: str) -> str:
        return _escape(text)


_ESCAPED: Final = _Escaped()
_AS_IT_IS: Final = AsItIs()


async def build_message(sink: SlackSink, result: Result) -> dict[str, Any]:
    """Write a message, with the marker against loops in small print; raises `SinkRefused` when a template fails."""
    text = await result.write(sink.message, _ESCAPED) if sink.message else build_text(result.answer)
    message = {"text": _shorten(text, MAX_TEXT), **_PLAIN, "mrkdwn": sink.message is not None}
    if sink.blocks:
        message["blocks"] = [await _fill(block, result) for block in sink.blocks]
    if result.marker:
        small = {"type": "context", "elements": [{"type": "plain_text", "text": result.marker}]}
        message["attachments"] = [{"fallback": result.marker, "blocks": [small]}]
    return message


def build_text(answer: Answer) -> str:
    """Write what is said as Slack shows it and takes no part of it for its own syntax."""
    return _escape(answer.text.strip() or f"No answer ({', '.join(filter(None, (answer.outcome, answer.reason)))}).")


async def _fill(value: Any, result: Result, *, most: int = _MAX_OF_SECTION) -> Any:
    """Fill in the texts of a part of the blocks, where they are; what is shown is escaped, URLs and ids are not."""
    if isinstance(value, list):
        return [await _fill(each, result, most=most) for each in value]
    if not isinstance(value, dict):
        return value
    most = _MAX_OF_BLOCK.get(str(value.get("type")), most)
    filled: dict[str, Any] = {}
    for name, each in value.items():
        if isinstance(each, str):
            is_shown = name == "text"
            frame: Frame = _ESCAPED if is_shown else _AS_IT_IS
            written = await result.write(each, frame)
            filled[name] = _shorten(written, most) if is_shown else written
        else:
            filled[name] = await _fill(each, result, most=_MAX_OF_FIELD if name == "fields" else most)
    return filled


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _shorten(text: str, most: int) -> str:
    """Cut what is too long, visibly, and no entity in two."""
    return text if len(text) <= most else f"{_CUT_ENTITY.sub('', text[: most - 1])}…"
