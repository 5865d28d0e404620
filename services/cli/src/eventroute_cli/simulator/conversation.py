"""System prompt and messages: which blocks may stand where, and which of them end a part that is to be cached.

Source: platform.claude.com/docs/en/api/messages and /build-with-claude/prompt-caching; types of blocks as in the
`anthropic` SDK 2.12.
"""

import hashlib
from typing import Any, Final

import msgspec

from eventroute_cli.simulator.errors import invalid
from eventroute_cli.simulator.fields import objects, refuse_extra
from eventroute_cli.simulator.models import Model
from eventroute_cli.simulator.tokens import Block

_ROLES: Final = ("user", "assistant", "system")
BLOCK_TYPES: Final = frozenset({
    "bash_code_execution_tool_result", "code_execution_tool_result", "container_upload", "document", "image",
    "redacted_thinking", "search_result", "server_tool_use", "text", "text_editor_code_execution_tool_result",
    "thinking", "tool_result", "tool_search_tool_result", "tool_use", "web_fetch_tool_result",
    "web_search_tool_result",
})  # fmt: skip
_TTLS: Final = {"5m": 300, "1h": 3600}
_MAX_BREAKPOINTS: Final = 4


def signature(thinking: str) -> str:
    """Sign a thinking block, so that one that was changed is told when it comes back."""
    return f"simulated-{hashlib.sha256(thinking.encode('utf-8', 'surrogatepass')).hexdigest()}"


def parse_blocks(fields: dict[str, Any], model: Model) -> tuple[Block, ...]:
    """Read everything that the model reads, in its order: tools, system, messages.

    raises  `ApiError` in the API's words
    """
    tools = [
        Block("tools", msgspec.json.encode(tool).decode(), _ttl_s(tool, f"tools.{index}"))
        for index, tool in enumerate(objects(fields, "tools"))
    ]
    system = _content(fields["system"], role="system", where="system") if "system" in fields else []
    blocks = [*tools, *system, *_messages(fields, model)]
    if "cache_control" in fields and blocks:
        blocks[-1] = blocks[-1]._replace(cache_ttl_s=_ttl_s(fields, ""))
    _check_breakpoints([block.cache_ttl_s for block in blocks if block.cache_ttl_s])
    return tuple(blocks)


def _messages(fields: dict[str, Any], model: Model) -> list[Block]:
    if "messages" not in fields:
        raise invalid("messages: Field required")
    messages = objects(fields, "messages")
    if not messages:
        raise invalid("messages: at least one message is required")
    blocks: list[Block] = []
    for index, message in enumerate(messages):
        role = message.get("role")
        if role not in _ROLES:
            raise invalid(f"messages.{index}.role: Input should be 'user', 'assistant' or 'system'")
        refuse_extra(message, {"role", "content"}, f"messages.{index}")
        content = _content(message.get("content"), role=role, where=f"messages.{index}.content")
        if not content and not (role == "assistant" and index == len(messages) - 1):
            raise invalid(
                f"messages.{index}: all messages must have non-empty content except for the optional final "
                "assistant message"
            )
        blocks += content
    if messages[0]["role"] != "user":
        raise invalid('messages: first message must use the "user" role')
    if _is_prefill(messages[-1]) and not model.takes_prefill:
        raise invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    _check_tool_results(messages)
    return blocks


def _content(content: Any, *, role: str, where: str) -> list[Block]:
    if isinstance(content, str):
        return [Block(role, content, None)] if content else []
    if not isinstance(content, list):
        raise invalid(f"{where}: Input should be a valid string or list of content blocks")
    return [_block(item, role, f"{where}.{index}") for index, item in enumerate(content)]


def _block(item: Any, role: str, where: str) -> Block:
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        raise invalid(f"{where}.type: Field required")
    kind = item["type"]
    if kind not in BLOCK_TYPES or (role == "system" and kind != "text"):
        raise invalid(f"{where}: Input tag {kind!r} found using 'type' does not match any of the expected tags")
    if (kind in ("thinking", "tool_use") and role == "user") or (kind == "tool_result" and role == "assistant"):
        raise invalid(f"{where}: `{kind}` blocks may not be in `{role}` messages")
    if kind in ("thinking", "redacted_thinking") and "cache_control" in item:
        raise invalid(f"{where}.cache_control: Extra inputs are not permitted")
    return Block(role, _text(item, where), _ttl_s(item, where))


def _text(item: dict[str, Any], where: str) -> str:
    if item["type"] == "thinking" and item.get("signature") != signature(str(item.get("thinking", ""))):
        raise invalid(f"{where}: `thinking` blocks in the latest assistant message cannot be modified")
    if item["type"] != "text":
        return msgspec.json.encode(item).decode()
    text = item.get("text")
    if not isinstance(text, str):
        raise invalid(f"{where}.text: Field required")
    if not text.strip():
        raise invalid("messages: text content blocks must be non-empty")
    return text


def _ttl_s(item: dict[str, Any], where: str) -> int | None:
    """Read how long the prompt up to this block is to be cached, in seconds; None = it is not."""
    control = item.get("cache_control")
    if control is None:
        return None
    place = f"{where}.cache_control".lstrip(".")
    if not isinstance(control, dict) or control.get("type") != "ephemeral":
        raise invalid(f"{place}.type: Input should be 'ephemeral'")
    refuse_extra(control, {"type", "ttl"}, f"{place}.ephemeral")
    if control.get("ttl", "5m") not in _TTLS:
        raise invalid(f"{place}.ephemeral.ttl: Input should be '5m' or '1h'")
    return _TTLS[control.get("ttl", "5m")]


def _check_breakpoints(ttls_s: list[int]) -> None:
    if len(ttls_s) > _MAX_BREAKPOINTS:
        raise invalid(
            f"A maximum of {_MAX_BREAKPOINTS} blocks with cache_control may be provided. Found {len(ttls_s)}."
        )
    if ttls_s != sorted(ttls_s, reverse=True):
        raise invalid(
            "cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block"
        )


def _is_prefill(message: dict[str, Any]) -> bool:
    """Whether the model is to go on with the words of a last message; a paused turn of the API's own tools is none."""
    content = message.get("content")
    kinds = {item["type"] for item in content} if isinstance(content, list) else set()
    return message["role"] == "assistant" and bool(content) and "server_tool_use" not in kinds


def _check_tool_results(messages: list[dict[str, Any]]) -> None:
    """Each use of a tool has its result at the beginning of the next message, and each result its use."""
    for index, message in enumerate(messages):
        before = _ids(messages[index - 1], "tool_use", "id") if index else []
        results = _ids(message, "tool_result", "tool_use_id")
        if missing := [name for name in before if name not in results]:
            raise invalid(
                f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )
        if unexpected := [name for name in results if name not in before]:
            raise invalid(
                f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(unexpected)}. "
                "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        kinds = [item["type"] for item in message["content"]] if results else []
        if "tool_result" in kinds[len(results) :]:
            raise invalid(f"messages.{index}: `tool_result` blocks must come before other content")
    if waiting := _ids(messages[-1], "tool_use", "id"):
        raise invalid(
            f"messages.{len(messages) - 1}: `tool_use` ids were found without `tool_result` blocks: {waiting[0]}"
        )


def _ids(message: dict[str, Any], kind: str, name: str) -> list[str]:
    content = message.get("content")
    items = content if isinstance(content, list) else []
    return [str(item.get(name)) for item in items if item["type"] == kind]
