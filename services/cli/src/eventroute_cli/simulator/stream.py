"""A message as the server-sent events in which the API streams it.

Source: platform.claude.com/docs/en/build-with-claude/streaming.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

_DELTA_USAGE: Final = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
)


def stream_events(message: dict[str, Any]) -> tuple[bytes, ...]:
    """Write `message_start … message_stop` for a whole message."""
    return tuple(_encode(event) for event in _events(message))


def _events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
    used = {**message["usage"], "output_tokens": 1, "output_tokens_details": {"thinking_tokens": 0}}
    yield {"type": "message_start", "message": {**begun, "usage": used}}
    yield {"type": "ping"}
    for index, block in enumerate(message["content"]):
        yield {"type": "content_block_start", "index": index, "content_block": _empty(block)}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    end = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details", "container")}
    yield {"type": "message_delta", "delta": end, "usage": {name: message["usage"][name] for name in _DELTA_USAGE}}
    yield {"type": "message_stop"}


def _empty(block: dict[str, Any]) -> dict[str, Any]:
    blank: dict[str, Any] = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {**block, **{name: value for name, value in blank.items() if name in block}}


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, str]]:
    if block["type"] == "text":
        for words in re.findall(r"(?:\S+\s*){1,4}|\s+", block["text"]):
            yield {"type": "text_delta", "text": words}
    elif block["type"] == "thinking":
        if block["thinking"]:
            yield {"type": "thinking_delta", "thinking": block["thinking"]}
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        yield {"type": "input_json_delta", "partial_json": msgspec.json.encode(block["input"]).decode()}


def _encode(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event))
