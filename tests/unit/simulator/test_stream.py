"""A streamed message has the API's events in the API's order, and its parts make up the whole."""

from typing import Any

import msgspec

from eventroute_cli.simulator.stream import stream_events

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "content": [
        {"type": "text", "text": "one two  three\nfour five. six"},
        {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"a": 1}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "stop_details": None,
    "container": None,
    "usage": {
        "input_tokens": 3,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 2},
        "server_tool_use": None,
    },
}


def events(message: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for raw in stream_events(message):
        name, data, *rest = raw.decode().split("\n")
        assert rest == ["", ""]
        found.append(msgspec.json.decode(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def test_events_come_in_the_order_of_the_api() -> None:
    assert [event["type"] for event in events(MESSAGE)] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_the_deltas_are_the_text_and_nothing_is_lost() -> None:
    deltas = [event["delta"] for event in events(MESSAGE) if event["type"] == "content_block_delta"]
    assert "".join(delta.get("text", "") for delta in deltas) == "one two  three\nfour five. six"
    assert deltas[-1] == {"type": "input_json_delta", "partial_json": '{"a":1}'}


def test_thinking_is_streamed_as_its_signature() -> None:
    thinking = {"type": "thinking", "thinking": "", "signature": "s"}
    start, delta, _stop = events({**MESSAGE, "content": [thinking]})[2:5]
    assert start["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}
    assert delta["delta"] == {"type": "signature_delta", "signature": "s"}


def test_a_summary_of_the_thinking_is_streamed_before_its_signature() -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    start, summary, delta, _stop = events({**MESSAGE, "content": [thinking]})[2:6]
    assert start["content_block"]["thinking"] == ""
    assert summary["delta"] == {"type": "thinking_delta", "thinking": "Hm."}
    assert delta["delta"]["type"] == "signature_delta"


def test_the_input_of_a_tool_is_not_told_before_its_deltas() -> None:
    starts = [event["content_block"] for event in events(MESSAGE) if event["type"] == "content_block_start"]
    assert starts[1]["input"] == {}


def test_how_it_ended_is_known_only_at_the_end() -> None:
    first, *_, delta, _stop = events(MESSAGE)
    assert (first["message"]["content"], first["message"]["stop_reason"]) == ([], None)
    begun = {"output_tokens": 1, "output_tokens_details": {"thinking_tokens": 0}}
    assert first["message"]["usage"] == {**MESSAGE["usage"], **begun}
    assert (delta["delta"]["stop_reason"], delta["usage"]) == ("tool_use", MESSAGE["usage"])


def test_a_message_without_content_has_no_blocks() -> None:
    kinds = [event["type"] for event in events({**MESSAGE, "content": []})]
    assert kinds == ["message_start", "ping", "message_delta", "message_stop"]
