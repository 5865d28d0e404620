"""What a client may ask: reads a Messages API request and refuses it in the words of the API.

Knows models and limits of size; knows nothing of keys, scripts or answers.
Source: platform.claude.com/docs/en/api/messages, /errors and /build-with-claude/thinking-troubleshooting; field and
model names as in the `anthropic` SDK 2.12.
"""

from typing import Any, Final

import msgspec

from eventroute_cli.simulator.models import EFFORTS, MODELS
from eventroute_cli.simulator.tokens import Block, count_tokens

MAX_BODY_BYTES: Final = 32 * 1024 * 1024  # the API's own limit for this endpoint

VERSION_WITHOUT_SAMPLING: Final = "2026-10-21"
"""From this API version on `temperature`, `top_p` and `top_k` are refused."""

_SAMPLING: Final = frozenset({"temperature", "top_p", "top_k"})
_FIELDS: Final = frozenset({
    "cache_control", "container", "diagnostics", "inference_geo", "max_tokens", "messages", "metadata", "model",
    "output_config", "service_tier", "speed", "stop_sequences", "stream", "system", "thinking", "tool_choice",
    "tools", "user_profile_id", "workspace_id",
})  # fmt: skip
_EFFORTS_WITHOUT_THINKING: Final = frozenset({"low", "medium", "high"})
_OFF: Final = frozenset({"disabled", "between_tools"})
_LEAST_BUDGET: Final = 1024
_ROLES: Final = ("user", "assistant", "system")


class ApiError(Exception):
    """An answer that is an error, in the API's shape."""

    def __init__(
        self, status: int, kind: str, message: str, *, code: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Take the HTTP status, the API's error type, a message for people, and the code that some causes have."""
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.code = code
        self.headers = headers or {}

    def body(self, request_id: str) -> bytes:
        """Write the error as the API does."""
        error: dict[str, Any] = {"type": self.kind, "message": self.message}
        if self.code:
            error["details"] = {"error_code": self.code}
        return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def invalid(message: str) -> ApiError:
    """Build the error of a request that can never succeed as it is."""
    return ApiError(400, "invalid_request_error", message)


class MessagesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A valid call."""

    model: str
    max_tokens: int
    stream: bool
    stop_sequences: tuple[str, ...]
    tool_names: tuple[str, ...]
    thinking: str
    """Its type; empty where the request does not say."""
    effort: str
    """The same."""
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
        return self.thinking not in _OFF if self.thinking else MODELS[self.model].thinks

    @property
    def user_text(self) -> str:
        """What stands in the messages."""
        return "\n\n".join(block.text for block in self.blocks if block.role not in ("tools", "system"))


def parse_request(body: bytes, *, version: str | None) -> MessagesRequest:
    """Read a request body; raises `ApiError` in the API's words.

    version  the `anthropic-version` header
    """
    if version is None:
        raise invalid("anthropic-version: header is required")
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"The request body is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise invalid("The request body is not a JSON object")
    _refuse_unknown(fields, version)
    model, max_tokens = _model(fields)
    thinking, effort = _thinking(fields, model)
    request = MessagesRequest(
        model=model,
        max_tokens=max_tokens,
        stream=_stream(fields),
        stop_sequences=_stop_sequences(fields),
        tool_names=tuple(str(tool.get("name")) for tool in _objects(fields, "tools")),
        thinking=thinking,
        effort=effort,
        body=fields,
        blocks=_blocks(fields),
    )
    _refuse_too_long(request)
    return request


def _refuse_unknown(fields: dict[str, Any], version: str) -> None:
    allowed = _FIELDS if version >= VERSION_WITHOUT_SAMPLING else _FIELDS | _SAMPLING
    for name in fields:
        if name not in allowed:
            raise invalid(f"{name}: Extra inputs are not permitted")


def _model(fields: dict[str, Any]) -> tuple[str, int]:
    model = fields.get("model")
    if model is None:
        raise invalid("model: Field required")
    if not isinstance(model, str):
        raise invalid("model: Input should be a valid string")
    max_tokens = fields.get("max_tokens")
    if max_tokens is None:
        raise invalid("max_tokens: Field required")
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool):
        raise invalid("max_tokens: Input should be a valid integer")
    if max_tokens < 0:
        raise invalid("max_tokens: Input should be greater than or equal to 0")
    if model not in MODELS:
        raise ApiError(404, "not_found_error", f"model: {model}")
    if max_tokens > MODELS[model].max_output:
        raise invalid(
            f"max_tokens: {max_tokens} > {MODELS[model].max_output}, which is the maximum allowed number of output "
            f"tokens for {model}"
        )
    return model, max_tokens


def _thinking(fields: dict[str, Any], name: str) -> tuple[str, str]:
    """Read how much the model is to think: `thinking.type` and `output_config.effort`, each empty where not said."""
    model = MODELS[name]
    effort = _object(fields, "output_config").get("effort") or ""
    if effort and effort not in EFFORTS:
        raise invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
    if effort and effort not in model.efforts:
        raise invalid(f"output_config.effort: '{effort}' is not supported for this model")
    if "thinking" not in fields:
        return "", effort
    thinking = _object(fields, "thinking")
    kind = thinking.get("type")
    if kind not in ("adaptive", "between_tools", "disabled", "enabled"):
        raise invalid("thinking.type: Input should be 'adaptive', 'between_tools', 'disabled' or 'enabled'")
    if kind not in model.thinking:
        others = " or ".join(f'"thinking.type.{other}"' for other in model.thinking)
        raise invalid(f'"thinking.type.{kind}" is not supported for this model. Use {others}')
    if kind in _OFF and len(thinking) > 1:
        raise invalid(f"thinking.{kind}: Extra inputs are not permitted")
    if kind in _OFF and model.thinks and (effort or model.effort) not in _EFFORTS_WITHOUT_THINKING:
        raise invalid(f"output_config.effort: '{effort}' is not supported with \"thinking.type.{kind}\"")
    if kind == "enabled":
        _check_budget(thinking.get("budget_tokens"), fields["max_tokens"])
    return kind, effort


def _check_budget(budget: Any, max_tokens: int) -> None:
    if not isinstance(budget, int) or isinstance(budget, bool):
        raise invalid("thinking.enabled.budget_tokens: Field required")
    if budget < _LEAST_BUDGET:
        raise invalid(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_LEAST_BUDGET}")
    if budget >= max_tokens:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`")


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


def _object(fields: dict[str, Any], name: str) -> dict[str, Any]:
    value = fields.get(name, {})
    if not isinstance(value, dict):
        raise invalid(f"{name}: Input should be a valid dictionary or object")
    return value


def _objects(fields: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items = fields.get(name, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise invalid(f"{name}: Input should be a valid list of objects")
    return items


def _blocks(fields: dict[str, Any]) -> tuple[Block, ...]:
    tools = [Block("tools", msgspec.json.encode(tool).decode(), _ttl_s(tool)) for tool in _objects(fields, "tools")]
    system = _content(fields["system"], role="system", where="system") if "system" in fields else []
    return (*tools, *system, *_messages(fields))


def _messages(fields: dict[str, Any]) -> list[Block]:
    if "messages" not in fields:
        raise invalid("messages: Field required")
    messages = _objects(fields, "messages")
    if not messages:
        raise invalid("messages: at least one message is required")
    blocks: list[Block] = []
    for index, message in enumerate(messages):
        role = message.get("role")
        if role not in _ROLES:
            raise invalid(f"messages.{index}.role: Input should be 'user', 'assistant' or 'system'")
        content = _content(message.get("content"), role=role, where=f"messages.{index}.content")
        if not content and not (role == "assistant" and index == len(messages) - 1):
            raise invalid(
                f"messages.{index}: all messages must have non-empty content except for the optional final "
                "assistant message"
            )
        blocks += content
    if messages[0]["role"] != "user":
        raise invalid('messages: first message must use the "user" role')
    return blocks


def _content(content: Any, *, role: str, where: str) -> list[Block]:
    if isinstance(content, str):
        return [Block(role, content, None)] if content else []
    if not isinstance(content, list):
        raise invalid(f"{where}: Input should be a valid string or list of content blocks")
    blocks = []
    for index, item in enumerate(content):
        if not isinstance(item, dict) or not isinstance(item.get("type"), str):
            raise invalid(f"{where}.{index}.type: Field required")
        blocks.append(Block(role, _block_text(item, f"{where}.{index}"), _ttl_s(item)))
    return blocks


def _block_text(item: dict[str, Any], where: str) -> str:
    if item["type"] != "text":
        return msgspec.json.encode(item).decode()
    text = item.get("text")
    if not isinstance(text, str):
        raise invalid(f"{where}.text: Field required")
    if not text.strip():
        raise invalid("messages: text content blocks must be non-empty")
    return text


def _ttl_s(item: dict[str, Any]) -> int | None:
    """Read how long the prompt up to this block is to be cached, in seconds; None = it is not."""
    control = item.get("cache_control")
    if not isinstance(control, dict):
        return None
    return 3600 if control.get("ttl") == "1h" else 300


def _refuse_too_long(request: MessagesRequest) -> None:
    tokens, context = count_tokens(request.blocks), MODELS[request.model].context
    if tokens > context:
        raise invalid(f"prompt is too long: {tokens} tokens > {context} maximum")
