"""What a client may ask: reads a Messages API request and refuses it in the words of the API.

Knows models and limits of size; knows nothing of keys, scripts or answers.
Source: platform.claude.com/docs/en/api/messages, /errors and /build-with-claude/thinking-troubleshooting; field names
as in the `anthropic` SDK 2.12.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from eventroute_cli.simulator.conversation import parse_blocks
from eventroute_cli.simulator.errors import ApiError, invalid
from eventroute_cli.simulator.fields import named, refuse_extra
from eventroute_cli.simulator.models import EFFORTS, MODELS, Model
from eventroute_cli.simulator.schema import check_complexity, check_schema
from eventroute_cli.simulator.tokens import Block, count_tokens
from eventroute_cli.simulator.tools import Tools, parse_tools

MAX_BODY_BYTES: Final = 32 * 1024 * 1024  # the API's own limit for this endpoint

VERSION_WITHOUT_SAMPLING: Final = "2026-10-21"
"""From this API version on `temperature`, `top_p` and `top_k` are refused."""

_SAMPLING: Final = frozenset({"temperature", "top_p", "top_k"})
FIELDS: Final = frozenset({
    "cache_control", "container", "diagnostics", "inference_geo", "max_tokens", "messages", "metadata", "model",
    "output_config", "service_tier", "speed", "stop_sequences", "stream", "system", "thinking", "tool_choice",
    "tools", "user_profile_id", "workspace_id",
})  # fmt: skip
COUNTED_FIELDS: Final = frozenset({
    "cache_control", "messages", "model", "output_config", "speed", "system", "thinking", "tool_choice", "tools",
    "user_profile_id", "workspace_id",
})  # fmt: skip
"""What `count_tokens` takes."""
_OFF: Final = frozenset({"disabled", "between_tools"})
_THINKING_FIELDS: Final = {
    "adaptive": {"type", "display"},
    "between_tools": {"type"},
    "disabled": {"type"},
    "enabled": {"type", "display", "budget_tokens"},
}
_LEAST_BUDGET: Final = 1024


class MessagesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A valid call."""

    model: str
    max_tokens: int
    stream: bool
    stop_sequences: tuple[str, ...]
    tools: Tools
    thinking: str
    """Its type; empty where the request does not say."""
    shows_thinking: bool
    """A summary of it is wanted."""
    effort: str
    """The same."""
    output_schema: dict[str, Any] | None
    """What a structured answer has to fit."""
    body: dict[str, Any]
    """The request as it came."""
    blocks: tuple[Block, ...]
    """Everything that the model reads, in its order: tools, system, messages."""

    @property
    def text(self) -> str:
        """All that was said, without the tools."""
        return "\n\n".join(block.text for block in self.blocks if block.role != "tools")

    @property
    def system(self) -> str:
        """What stands in `system`."""
        return "\n\n".join(block.text for block in self.blocks if block.role == "system")

    @property
    def thinks(self) -> bool:
        """Whether the model thinks before it answers."""
        return _thinks(self.thinking, MODELS[self.model])

    @property
    def has_results(self) -> bool:
        """Whether tools have been used before."""
        return any(block.role == "assistant" and '"tool_use"' in block.text for block in self.blocks)

    @property
    def user_text(self) -> str:
        """What stands in the messages."""
        return "\n\n".join(block.text for block in self.blocks if block.role not in ("tools", "system"))


def parse_request(body: bytes, *, version: str | None, answers: Callable[[str], bool]) -> MessagesRequest:
    """Read a request body; raises `ApiError` in the API's words.

    version  the `anthropic-version` header
    answers  whether a model is there to answer
    """
    fields = _fields(body, version)
    name = _model(fields)
    max_tokens = _max_tokens(fields)
    if not answers(name):
        raise ApiError(404, "not_found_error", f"model: {name}")
    model = MODELS[name]
    _refuse_unknown(fields, FIELDS, version or "", model)
    if max_tokens > model.max_output:
        raise invalid(
            f"max_tokens: {max_tokens} > {model.max_output}, which is the maximum allowed number of output "
            f"tokens for {name}"
        )
    return _request(fields, name, max_tokens)


def parse_count(body: bytes, *, version: str | None, answers: Callable[[str], bool]) -> MessagesRequest:
    """Read the body of `count_tokens`, which is checked like a call without `max_tokens`."""
    fields = _fields(body, version)
    name = _model(fields)
    if not answers(name):
        raise ApiError(404, "not_found_error", f"model: {name}")
    _refuse_unknown(fields, COUNTED_FIELDS, VERSION_WITHOUT_SAMPLING, MODELS[name])
    return _request(fields, name, MODELS[name].max_output)


def _request(fields: dict[str, Any], name: str, max_tokens: int) -> MessagesRequest:
    model = MODELS[name]
    thinking = _thinking(fields, model, max_tokens)
    effort, schema = _output_config(fields, model)
    if thinking in _OFF and (effort or model.effort) not in model.efforts_without_thinking:
        raise invalid(f"output_config.effort: '{effort}' is not supported with \"thinking.type.{thinking}\"")
    tools = parse_tools(fields, model, thinks=_thinks(thinking, model))
    strict = [tool.input_schema for tool in tools.client if tool.strict]
    check_complexity([*strict, *([schema] if schema else [])], len(strict))
    _check_rest(fields)
    request = MessagesRequest(
        model=name,
        max_tokens=max_tokens,
        stream=_stream(fields),
        stop_sequences=_stop_sequences(fields),
        tools=tools,
        thinking=thinking,
        shows_thinking=named(fields, "thinking").get("display") == "summarized",
        effort=effort,
        output_schema=schema,
        body=fields,
        blocks=parse_blocks(fields, model),
    )
    _refuse_too_long(request)
    return request


def _fields(body: bytes, version: str | None) -> dict[str, Any]:
    if version is None:
        raise invalid("anthropic-version: header is required")
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"The request body is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise invalid("The request body is not a JSON object")
    return fields


def _refuse_unknown(fields: dict[str, Any], allowed: frozenset[str], version: str, model: Model) -> None:
    for name in fields:
        if name in _SAMPLING and version < VERSION_WITHOUT_SAMPLING:
            if not model.takes_sampling:
                raise invalid(f"{name}: is not supported for this model")
        elif name not in allowed:
            raise invalid(f"{name}: Extra inputs are not permitted")


def _model(fields: dict[str, Any]) -> str:
    model = fields.get("model")
    if model is None:
        raise invalid("model: Field required")
    if not isinstance(model, str):
        raise invalid("model: Input should be a valid string")
    return model


def _max_tokens(fields: dict[str, Any]) -> int:
    max_tokens = fields.get("max_tokens")
    if max_tokens is None:
        raise invalid("max_tokens: Field required")
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool):
        raise invalid("max_tokens: Input should be a valid integer")
    if max_tokens < 0:
        raise invalid("max_tokens: Input should be greater than or equal to 0")
    return max_tokens


def _thinks(thinking: str, model: Model) -> bool:
    return thinking not in _OFF if thinking else model.thinks


def _thinking(fields: dict[str, Any], model: Model, max_tokens: int) -> str:
    """Read `thinking.type`; empty where the request does not say."""
    if "thinking" not in fields:
        return ""
    thinking = named(fields, "thinking")
    kind = thinking.get("type")
    if kind not in _THINKING_FIELDS:
        raise invalid("thinking.type: Input should be 'adaptive', 'between_tools', 'disabled' or 'enabled'")
    if kind not in model.thinking:
        others = " or ".join(f'"thinking.type.{other}"' for other in model.thinking)
        raise invalid(f'"thinking.type.{kind}" is not supported for this model. Use {others}')
    refuse_extra(thinking, _THINKING_FIELDS[kind], f"thinking.{kind}")
    if thinking.get("display") not in (None, "summarized", "omitted"):
        raise invalid(f"thinking.{kind}.display: Input should be 'summarized' or 'omitted'")
    if kind == "enabled":
        _check_budget(thinking.get("budget_tokens"), max_tokens)
    return str(kind)


def _check_budget(budget: Any, max_tokens: int) -> None:
    if not isinstance(budget, int) or isinstance(budget, bool):
        raise invalid("thinking.enabled.budget_tokens: Field required")
    if budget < _LEAST_BUDGET:
        raise invalid(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_LEAST_BUDGET}")
    if budget >= max_tokens:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`")


def _output_config(fields: dict[str, Any], model: Model) -> tuple[str, dict[str, Any] | None]:
    """Read effort and schema, empty and None where the request does not say."""
    config = named(fields, "output_config")
    refuse_extra(config, {"effort", "format"}, "output_config")
    effort = config.get("effort") or ""
    if effort and effort not in EFFORTS:
        raise invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
    if effort and effort not in model.efforts:
        raise invalid(f"output_config.effort: '{effort}' is not supported for this model")
    if config.get("format") is None:
        return effort, None
    shape = named(config, "format")
    if shape.get("type") != "json_schema":
        raise invalid("output_config.format.type: Input should be 'json_schema'")
    refuse_extra(shape, {"type", "schema"}, "output_config.format")
    if "schema" not in shape:
        raise invalid("output_config.format.schema: Field required")
    check_schema(shape["schema"], "output_config.format.schema")
    return effort, shape["schema"]


def _check_rest(fields: dict[str, Any]) -> None:
    """Check what is nothing to the answer."""
    metadata = named(fields, "metadata")
    refuse_extra(metadata, {"user_id"}, "metadata")
    if fields.get("service_tier", "auto") not in ("auto", "standard_only"):
        raise invalid("service_tier: Input should be 'auto' or 'standard_only'")


def _stream(fields: dict[str, Any]) -> bool:
    stream = fields.get("stream", False)
    if not isinstance(stream, bool):
        raise invalid("stream: Input should be a valid boolean")
    return stream


def _stop_sequences(fields: dict[str, Any]) -> tuple[str, ...]:
    sequences = fields.get("stop_sequences", [])
    if not isinstance(sequences, list) or not all(isinstance(item, str) for item in sequences):
        raise invalid("stop_sequences: Input should be a valid list of strings")
    if not all(item.strip() for item in sequences):
        raise invalid("stop_sequences: each stop sequence must contain non-whitespace")
    return tuple(sequences)


def _refuse_too_long(request: MessagesRequest) -> None:
    tokens, context = count_tokens(request.blocks), MODELS[request.model].context
    if tokens > context:
        raise invalid(f"prompt is too long: {tokens} tokens > {context} maximum")
