"""A call that Claude's API would refuse is refused here, in the same words and with the same status."""

from typing import Any

import msgspec
import pytest

from eventroute_cli.simulator.errors import ApiError
from eventroute_cli.simulator.models import MODELS
from eventroute_cli.simulator.request import MessagesRequest, parse_request

VERSION = "2026-10-21"
USER = {"role": "user", "content": "hello"}


def parse(version: str | None = VERSION, **changes: Any) -> MessagesRequest:
    fields = {"model": "claude-haiku-5-5", "max_tokens": 64, "messages": [USER], **changes}
    body = msgspec.json.encode({k: v for k, v in fields.items() if v is not None})
    return parse_request(body, version=version, answers=MODELS.__contains__)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "model: Field required"),
        ({"model": 3}, "model: Input should be a valid string"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": "64"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        ({"max_tokens": 128_001}, "max_tokens: 128001 > 128000, which is the maximum allowed number of output tokens"),
        ({"messages": None}, "messages: Field required"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": "hello"}, "messages: Input should be a valid list of objects"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role: Input should be"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0: all messages must have non-empty content"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Input should be a valid string or list"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 'first message must use the "user" role'),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages.0.content.0.type: Field required"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text: Field required"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]},
            "text content blocks must be non-empty",
        ),
        ({"system": 3}, "system: Input should be a valid string or list"),
        ({"stream": "yes"}, "stream: Input should be a valid boolean"),
        ({"stop_sequences": "x"}, "stop_sequences: Input should be a valid list"),
        ({"stop_sequences": [" "]}, "stop_sequences: each stop sequence must contain non-whitespace"),
        ({"temperature": 0.5}, "temperature: Extra inputs are not permitted"),
        ({"output_config": {"efort": "low"}}, "output_config.efort: Extra inputs are not permitted"),
        ({"metadata": {"user": "x"}}, "metadata.user: Extra inputs are not permitted"),
        ({"service_tier": "priority"}, "service_tier: Input should be"),
        ({"thinking": {"type": "adaptive", "display": "all"}}, "thinking.adaptive.display: Input should be"),
        ({"thinking": {"type": "adaptive", "budget_tokens": 1024}}, "thinking.adaptive.budget_tokens: Extra inputs"),
        ({"modle": "x"}, "modle: Extra inputs are not permitted"),
        ({"messages": [{"role": "user", "content": "x" * 4_000_004}]}, "prompt is too long: 1000001 tokens > 1000000"),
    ],
)
def test_a_wrong_request_is_refused_with_400(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=r".") as caught:
        parse(**changes)
    assert (caught.value.status, caught.value.kind) == (400, "invalid_request_error")
    assert message in caught.value.message


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'"text"', b"[]"])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError, match="The request body is not"):
        parse_request(body, version=VERSION, answers=MODELS.__contains__)


def test_a_missing_version_header_is_refused() -> None:
    with pytest.raises(ApiError, match="anthropic-version: header is required"):
        parse(version=None)


def test_sampling_parameters_are_accepted_by_versions_that_still_have_them() -> None:
    assert parse(version="2023-06-01", model="claude-sonnet-4-6", temperature=0.5).max_tokens == 64


@pytest.mark.parametrize("model", ["claude-opus-4-7", "claude-opus-5", "claude-haiku-5-5"])
@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_newer_models_take_no_sampling_parameters_in_any_version(model: str, name: str) -> None:
    with pytest.raises(ApiError, match=f"{name}: is not supported for this model"):
        parse(version="2023-06-01", model=model, **{name: 1})


def test_a_model_that_does_not_answer_is_not_found() -> None:
    with pytest.raises(ApiError, match=r"^model: claude-haiku-9$") as caught:
        parse(model="claude-haiku-9")
    assert (caught.value.status, caught.value.kind) == (404, "not_found_error")


FABLE, OPUS, SONNET, HAIKU = "claude-fable-5-2", "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"


@pytest.mark.parametrize(
    ("model", "thinking", "effort", "message"),
    [
        (FABLE, {"type": "disabled"}, None, '"thinking.type.disabled" is not supported for this model'),
        (OPUS, {"type": "disabled"}, None, '"thinking.type.disabled" is not supported for this model'),
        (OPUS, {"type": "between_tools"}, None, '"thinking.type.between_tools" is not supported for this model'),
        (SONNET, {"type": "disabled"}, None, 'Use "thinking.type.adaptive" or "thinking.type.between_tools"'),
        (
            SONNET,
            {"type": "between_tools", "display": "summarized"},
            None,
            "thinking.between_tools.display: Extra inputs",
        ),
        (SONNET, {"type": "between_tools"}, "max", "output_config.effort: 'max' is not supported with"),
        (HAIKU, {"type": "between_tools"}, None, '"thinking.type.between_tools" is not supported for this model'),
        (HAIKU, {"type": "enabled", "budget_tokens": 1024}, None, '"thinking.type.enabled" is not supported'),
        (HAIKU, {"type": "disabled"}, "xhigh", "output_config.effort: 'xhigh' is not supported with"),
        (HAIKU, {"type": "off"}, None, "thinking.type: Input should be"),
        (HAIKU, {}, None, "thinking.type: Input should be"),
        (HAIKU, None, "least", "output_config.effort: Input should be"),
        ("claude-haiku-4-5", {"type": "adaptive"}, None, '"thinking.type.adaptive" is not supported'),
        ("claude-haiku-4-5", {"type": "enabled"}, None, "thinking.enabled.budget_tokens: Field required"),
        ("claude-haiku-4-5", {"type": "enabled", "budget_tokens": 9}, None, "greater than or equal to 1024"),
        ("claude-haiku-4-5", {"type": "enabled", "budget_tokens": 1024}, None, "`max_tokens` must be greater"),
        ("claude-haiku-4-5", None, "low", "output_config.effort: 'low' is not supported for this model"),
        ("claude-opus-4-6", None, "xhigh", "output_config.effort: 'xhigh' is not supported for this model"),
    ],
)
def test_thinking_and_effort_are_refused_where_the_model_does_not_take_them(
    model: str, thinking: dict[str, Any] | None, effort: str | None, message: str
) -> None:
    output_config = {"effort": effort} if effort else None
    with pytest.raises(ApiError, match=r".") as caught:
        parse(model=model, thinking=thinking, output_config=output_config)
    assert (caught.value.status, caught.value.kind) == (400, "invalid_request_error")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("model", "thinking", "thinks"),
    [
        (FABLE, None, True),
        (OPUS, {"type": "adaptive"}, True),
        (SONNET, {"type": "between_tools"}, False),
        (HAIKU, {"type": "disabled"}, False),
        (HAIKU, None, True),
        ("claude-opus-4-8", None, False),
    ],
)
def test_a_model_thinks_unless_it_is_told_not_to(model: str, thinking: dict[str, Any] | None, *, thinks: bool) -> None:
    request = parse(model=model, thinking=thinking, output_config={"effort": "low"})
    assert (request.thinks, request.effort) == (thinks, "low")


def test_text_is_what_system_and_messages_say_and_nothing_of_the_tools() -> None:
    request = parse(
        system=[{"type": "text", "text": "be brief"}],
        tools=[{"name": "look_up", "input_schema": {"type": "object"}}],
        messages=[USER, {"role": "assistant", "content": [{"type": "text", "text": "hi"}]}, USER],
    )
    assert request.text == "be brief\n\nhello\n\nhi\n\nhello"
    assert request.user_text == "hello\n\nhi\n\nhello"
    assert [tool.name for tool in request.tools.client] == ["look_up"]


def test_an_empty_final_assistant_message_is_allowed() -> None:
    assert parse(messages=[USER, {"role": "assistant", "content": ""}]).text == "hello"


def test_an_error_body_has_the_shape_of_the_api() -> None:
    body = msgspec.json.decode(ApiError(529, "overloaded_error", "Overloaded").body("req_1"))
    assert body == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_1",
    }
