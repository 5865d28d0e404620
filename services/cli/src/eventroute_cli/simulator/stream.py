"""A message as the server-sent events in which the API streams it.

Source: platform.claude.com/docs/en/build-with-claude/streaming.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec


def stream_events(message: dict[str, Any]) -> tuple[bytes, ...]:
    """Write `message_start … message_stop` for a whole message."""
    return tuple(_encode(event) for event in _events(message))


def _events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
    yield {"type": "message_start", "message": {**begun, "usage": {**message["usage"], "output_tokens": 1}}}
    yield {"type": "ping"}
    for index, block in enumerate(message["content"]):
        yield {"type": "content_block_start", "index": index, "content_block": _empty(block)}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    end = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": message["usage"]["output_tokens"]}}
    yield {"type": "message_stop"}


def _empty(block: dict[str, Any]) -> dict[str, Any]:
    return {**block, **{name: "" for name in ("text", "signature") if name in block}}


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, str]]:
    if block["type"] == "text":
        for words in re.findall(r"(?:\S+\s*){1,4}|\s+", block["text"]):
            yield {"type": "text_delta", "text": words}
    elif block["type"] == "thinking":
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        yield {"type": "input_json_delta", "partial_json": msgspec.json.encode(block["input"]).decode()}


def _encode(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event))
