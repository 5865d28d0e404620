"""The API's own tools, and the servers that it calls: which definitions it takes, and what comes of their use.

Nothing is searched, fetched, run or called: results are made up, marked as simulated. What was sealed has to come back
unchanged, as with the real ones.
Source: platform.claude.com/docs/en/agents-and-tools/tool-use/server-tools, /web-search-tool, /web-fetch-tool,
/code-execution-tool and /mcp-connector; fields as in the `anthropic` SDK 2.12.
"""

import hashlib
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final, Literal, NamedTuple

import msgspec

from eventroute_cli.simulator.errors import invalid
from eventroute_cli.simulator.fields import objects, refuse_extra
from eventroute_cli.simulator.models import Model

ServedKind = Literal["web_search", "web_fetch", "code_execution", "mcp"]

MCP_BETA: Final = "mcp-client-2025-11-20"
TOOLSET: Final = "mcp_toolset"
MARK: Final = "[simulated]"

_OF_ALL: Final = frozenset({"type", "name", "allowed_callers", "cache_control", "defer_loading", "strict"})
_OF_WEB: Final = _OF_ALL | {"allowed_domains", "blocked_domains", "max_uses"}
_OF_SEARCH: Final = _OF_WEB | {"user_location"}
_OF_FETCH: Final = _OF_WEB | {"citations", "max_content_tokens"}
_FIELDS: Final = {
    "web_search_20250305": _OF_SEARCH,
    "web_search_20260209": _OF_SEARCH,
    "web_search_20260318": _OF_SEARCH | {"response_inclusion"},
    "web_fetch_20250910": _OF_FETCH,
    "web_fetch_20260209": _OF_FETCH,
    "web_fetch_20260309": _OF_FETCH | {"use_cache"},
    "web_fetch_20260318": _OF_FETCH | {"use_cache", "response_inclusion", "url_sources"},
    "code_execution_20250522": _OF_ALL,
    "code_execution_20250825": _OF_ALL,
    "code_execution_20260120": _OF_ALL,
    "code_execution_20260521": _OF_ALL,
}
_CALLERS: Final = frozenset({"direct", "code_execution_20250825", "code_execution_20260120", "code_execution_20260521"})
_BY_CODE_SINCE: Final = 20260120
"""From this date of a type on, code may call tools; those of the web are called by nothing else unless they say so."""
_SERVER_FIELDS: Final = frozenset({"type", "url", "name", "authorization_token"})
_TOOLSET_FIELDS: Final = frozenset({"type", "mcp_server_name", "default_config", "configs", "cache_control"})
_CONFIG_FIELDS: Final = frozenset({"enabled", "defer_loading"})
_DOMAIN: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(/[!-~]*)?")
_URL_CHARS: Final = 250
_USES: Final = frozenset({"server_tool_use", "mcp_tool_use"})
_RESULTS: Final = frozenset({
    "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result", "mcp_tool_result",
    "bash_code_execution_tool_result", "text_editor_code_execution_tool_result",
})  # fmt: skip
OF_MCP: Final = frozenset({"mcp_tool_use", "mcp_tool_result"})
BLOCKS: Final = _USES | _RESULTS
"""Types of blocks that stand in what the model has said, and nowhere else."""


class ServedTool(msgspec.Struct, frozen=True, kw_only=True):
    """One that a request offers."""

    name: str
    """By which it is used; of a server one of its tools."""
    kind: ServedKind
    server: str = ""
    max_uses: int | None = None
    allowed_domains: tuple[str, ...] = ()


class ServedUse(msgspec.Struct, frozen=True, kw_only=True):
    """A use of it."""

    tool: ServedTool
    input: dict[str, Any]
    error: str = ""
    """The word for what goes wrong; empty = nothing."""
    is_open: bool = False
    """It is not run yet."""
    id: str = ""
    """Of a use that an earlier message has; its result is all that this one has of it."""

    def blocks(self, fresh_id: str) -> list[dict[str, Any]]:
        """Write the use, unless it was told before, and its result, unless it is open."""
        result = [] if self.is_open else [_result(self, self.id or fresh_id)]
        return result if self.id else [_use(self, fresh_id), *result]


class OpenUse(NamedTuple):
    """A use in a conversation that has no result there."""

    id: str
    name: str
    server: str
    input: dict[str, Any]


def is_served(item: dict[str, Any]) -> bool:
    """Tell whether a definition is of something that the API runs and the simulator plays."""
    return item.get("type") in _FIELDS or item.get("type") == TOOLSET


def parse_served(fields: dict[str, Any], model: Model, betas: AbstractSet[str]) -> tuple[ServedTool, ...]:
    """Read the definitions of such tools, and `mcp_servers`; raises `ApiError` in the API's words."""
    found: list[ServedTool] = []
    toolsets: list[dict[str, Any]] = []
    for index, item in enumerate(objects(fields, "tools")):
        where = f"tools.{index}"
        if item.get("type") == TOOLSET:
            if MCP_BETA not in betas:
                raise invalid(
                    f"{where}: Input tag '{TOOLSET}' found using 'type' does not match any of the expected tags"
                )
            found += _toolset(item, where)
            toolsets.append(item)
        elif item.get("type") in _FIELDS:
            found.append(_own(item, where, model))
    _check_servers(fields, toolsets)
    _check_versions(objects(fields, "tools"))
    return tuple(found)


def _own(item: dict[str, Any], where: str, model: Model) -> ServedTool:
    kind, _, date = item["type"].rpartition("_")
    where = f"{where}.{item['type']}"
    refuse_extra(item, _FIELDS[item["type"]], where)
    if item.get("name") != kind:
        raise invalid(f"{where}.name: Input should be '{kind}'")
    if kind in model.refuses_tools:
        raise invalid(f"This model does not support tool types: {item['type']}.")
    callers = item.get("allowed_callers")
    if callers is not None and (not isinstance(callers, list) or not callers or not _CALLERS.issuperset(callers)):
        raise invalid(f"{where}.allowed_callers: Input should be a list of 'direct' or versions of code execution")
    is_by_code = callers is None and kind.startswith("web") and int(date) >= _BY_CODE_SINCE
    if is_by_code and not model.lets_code_call:
        raise invalid(
            f"{where}: This model does not support programmatic tool calling. Set allowed_callers to ['direct']."
        )
    for name in ("max_uses", "max_content_tokens"):
        if (number := item.get(name)) is not None and (type(number) is not int or number < 1):
            raise invalid(f"{where}.{name}: Input should be greater than 0")
    return ServedTool(name=kind, kind=kind, max_uses=item.get("max_uses"), allowed_domains=_domains(item, where))


def _domains(item: dict[str, Any], where: str) -> tuple[str, ...]:
    """Check both lists; returns what is allowed."""
    lists = {name: item[name] for name in ("allowed_domains", "blocked_domains") if item.get(name) is not None}
    if len(lists) > 1:
        raise invalid(f"{where}: Only one of allowed_domains and blocked_domains may be specified")
    for name, domains in lists.items():
        if not isinstance(domains, list) or not all(
            isinstance(each, str) and _DOMAIN.fullmatch(each) for each in domains
        ):
            raise invalid(f"{where}.{name}: Invalid domain format")
    return tuple(lists.get("allowed_domains", ()))


def _toolset(item: dict[str, Any], where: str) -> list[ServedTool]:
    refuse_extra(item, _TOOLSET_FIELDS, f"{where}.{TOOLSET}")
    server = item.get("mcp_server_name")
    if not isinstance(server, str):
        raise invalid(f"{where}.{TOOLSET}.mcp_server_name: Field required")
    configs = item.get("configs") or {}
    if not isinstance(configs, dict):
        raise invalid(f"{where}.{TOOLSET}.configs: Input should be a valid dictionary or object")
    for place, config in (("default_config", item.get("default_config", {})), *configs.items()):
        if not isinstance(config, dict) or not all(isinstance(value, bool) for value in config.values()):
            raise invalid(f"{where}.{TOOLSET}.{place}: Input should be a valid configuration")
        refuse_extra(config, _CONFIG_FIELDS, f"{where}.{TOOLSET}.{place}")
    by_default = item.get("default_config", {}).get("enabled", True)
    return [
        ServedTool(name=name, kind="mcp", server=server)
        for name, config in configs.items()
        if config.get("enabled", by_default)
    ]


def _check_servers(fields: dict[str, Any], toolsets: list[dict[str, Any]]) -> None:
    """Each server has exactly one toolset, and each toolset a server."""
    names = [_server(item, f"mcp_servers.{index}") for index, item in enumerate(objects(fields, "mcp_servers"))]
    used = [item["mcp_server_name"] for item in toolsets]
    if len(set(names)) < len(names):
        raise invalid("mcp_servers: MCP server names must be unique")
    for name in used:
        if name not in names:
            raise invalid(f"tools: MCP server '{name}' not found in mcp_servers")
        if used.count(name) > 1:
            raise invalid(f"tools: MCP server '{name}' is referenced by more than one mcp_toolset")
    if idle := [name for name in names if name not in used]:
        raise invalid(f"mcp_servers: MCP server '{idle[0]}' is not referenced by any mcp_toolset")


def _server(item: dict[str, Any], where: str) -> str:
    """Check a server; returns its name."""
    refuse_extra(item, _SERVER_FIELDS, where)
    if item.get("type") != "url":
        raise invalid(f"{where}.type: Input should be 'url'")
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise invalid(f"{where}.name: Field required")
    if not str(item.get("url", "")).startswith("https://"):
        raise invalid(f"{where}.url: URL must start with https://")
    if not isinstance(item.get("authorization_token", ""), str):
        raise invalid(f"{where}.authorization_token: Input should be a valid string")
    return name


def _check_versions(tools: list[dict[str, Any]]) -> None:
    """What calls tools by code needs a version of code execution that can."""
    dates = [str(item["type"]).rpartition("_")[::2] for item in tools if item.get("type") in _FIELDS]
    old = [date for kind, date in dates if kind == "code_execution" and int(date) < _BY_CODE_SINCE]
    if old and any(kind.startswith("web") and int(date) >= _BY_CODE_SINCE for kind, date in dates):
        raise invalid(f"tools: code_execution_{old[0]} cannot be used with these versions of web tools")


def seal(*parts: str) -> str:
    """Seal what the model alone can read."""
    return f"sealed-{hashlib.sha256(chr(0).join(parts).encode('utf-8', 'surrogatepass')).hexdigest()}"


def open_uses(messages: list[dict[str, Any]]) -> tuple[OpenUse, ...]:
    """Find the uses that have no result yet."""
    blocks = [(index, block) for index, block in _blocks(messages)]
    done = {block.get("tool_use_id") for _, block in blocks if block.get("type") in _RESULTS}
    return tuple(
        OpenUse(str(block.get("id")), str(block.get("name")), block.get("server_name", ""), block.get("input", {}))
        for _, block in blocks
        if block.get("type") in _USES and block.get("id") not in done
    )


def check_served_blocks(messages: list[dict[str, Any]], tools: tuple[ServedTool, ...]) -> None:
    """Each result has its use, sealed things are as they were, and what is open can be run now; else `ApiError`."""
    seen: set[Any] = set()
    for index, block in _blocks(messages):
        if block.get("type") in _USES:
            seen.add(block.get("id"))
        if block.get("type") in _RESULTS:
            if block.get("tool_use_id") not in seen:
                raise invalid(f"messages.{index}: unexpected `tool_use_id` found in `{block['type']}`")
            _check_seals(block, index)
    waiting = open_uses(messages)
    for use in waiting:
        name = use.server or use.name
        if not any(_names(tool, use) for tool in tools):
            raise invalid(
                f"messages: `{name}` tool use with id `{use.id}` is waiting, but no `{name}` tool was provided"
            )
        if not _is_last(messages, use.id):
            raise invalid(
                f"`{name}` tool use with id `{use.id}` was found without a corresponding `{name}_tool_result` block"
            )


def resume(uses: tuple[OpenUse, ...], tools: tuple[ServedTool, ...]) -> tuple[ServedUse, ...]:
    """Run what was left open."""
    return tuple(
        ServedUse(tool=next(tool for tool in tools if _names(tool, use)), input=use.input, id=use.id) for use in uses
    )


def judged(uses: tuple[ServedUse, ...], said: str) -> tuple[ServedUse, ...]:
    """Let uses fail that the API would let fail.

    said  all that the conversation holds, where the URLs stand that may be fetched
    """
    counts: dict[str, int] = {}
    done: list[ServedUse] = []
    for use in uses:
        counts[use.tool.name] = counts.get(use.tool.name, 0) + 1
        error = use.error or _fault_of(use, counts[use.tool.name], said)
        done.append(msgspec.structs.replace(use, error=error))
    return tuple(done)


def used(uses: tuple[ServedUse, ...]) -> dict[str, int] | None:
    """Write the figures of what is billed; None where nothing was used."""
    ran = [use.tool.kind for use in uses if not use.error and not use.is_open]
    if not uses:
        return None
    return {"web_search_requests": ran.count("web_search"), "web_fetch_requests": ran.count("web_fetch")}


def _names(tool: ServedTool, use: OpenUse) -> bool:
    if use.server:
        return (tool.server, tool.name) == (use.server, use.name)
    return tool.kind == ("code_execution" if use.name.endswith("code_execution") else use.name)


def _blocks(messages: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, message in enumerate(messages):
        for block in message["content"] if isinstance(message.get("content"), list) else ():
            yield index, block


def _is_last(messages: list[dict[str, Any]], use: str) -> bool:
    """Tell whether nothing but results of the client's follows the message that holds a use."""
    at = next(index for index, block in _blocks(messages) if block.get("id") == use)
    kinds = [block.get("type") for index, block in _blocks(messages) if index > at]
    texts = [message for message in messages[at + 1 :] if not isinstance(message.get("content"), list)]
    return not texts and all(kind == "tool_result" for kind in kinds)


def _check_seals(block: dict[str, Any], index: int) -> None:
    results = block.get("content")
    for result in results if block["type"] == "web_search_tool_result" and isinstance(results, list) else ():
        if result.get("encrypted_content") != seal(str(result.get("url")), str(result.get("title"))):
            raise invalid(f"messages.{index}: Invalid `encrypted_content` in `web_search_tool_result` block")


def _fault_of(use: ServedUse, count: int, said: str) -> str:
    tool, url = use.tool, str(use.input.get("url", ""))
    if tool.max_uses is not None and count > tool.max_uses:
        return "max_uses_exceeded"
    if tool.kind != "web_fetch":
        return ""
    if len(url) > _URL_CHARS:
        return "url_too_long"
    if url not in said:
        return "url_not_in_prior_context"
    host = url.partition("://")[2].partition("/")[0]
    allowed = tool.allowed_domains
    is_allowed = not allowed or any(host == domain or host.endswith(f".{domain}") for domain in allowed)
    return "" if is_allowed else "url_not_allowed"


def _use(use: ServedUse, fresh_id: str) -> dict[str, Any]:
    if use.tool.kind == "mcp":
        where = {"server_name": use.tool.server}
        return {"type": "mcp_tool_use", "id": fresh_id, "name": use.tool.name, "input": use.input, **where}
    name = "bash_code_execution" if use.tool.kind == "code_execution" else use.tool.name
    return {
        "type": "server_tool_use",
        "id": fresh_id,
        "name": name,
        "input": use.input,
        "caller": {"type": "direct"},
    }


def _result(use: ServedUse, use_id: str) -> dict[str, Any]:
    told = f"{MARK} What came of {msgspec.json.encode(use.input).decode()}."
    if use.tool.kind == "mcp":
        text = [{"type": "text", "text": use.error or told, "citations": None}]
        return {"type": "mcp_tool_result", "tool_use_id": use_id, "is_error": bool(use.error), "content": text}
    kind = "bash_code_execution" if use.tool.kind == "code_execution" else use.tool.kind
    content = {"type": f"{kind}_tool_result_error", "error_code": use.error} if use.error else _content(use, told)
    caller = {"caller": {"type": "direct"}} if kind.startswith("web") else {}
    return {"type": f"{kind}_tool_result", "tool_use_id": use_id, "content": content, **caller}


def _content(use: ServedUse, told: str) -> Any:
    if use.tool.kind == "code_execution":
        return {"type": "bash_code_execution_result", "stdout": told, "stderr": "", "return_code": 0, "content": []}
    if use.tool.kind == "web_fetch":
        source = {"type": "text", "media_type": "text/plain", "data": told}
        document = {"type": "document", "source": source, "title": None, "citations": None}
        url = use.input.get("url", "")
        return {"type": "web_fetch_result", "url": url, "content": document, "retrieved_at": None}
    url, sealed = "https://example.com/simulated", seal("https://example.com/simulated", told)
    found = {"type": "web_search_result", "url": url, "title": told, "encrypted_content": sealed, "page_age": None}
    return [found]


def citations(uses: tuple[ServedUse, ...]) -> list[dict[str, Any]] | None:
    """Cite what was found, in the text behind it."""
    found = [use for use in uses if use.tool.kind == "web_search" and not use.error and not use.is_open]
    if not found:
        return None
    result = _result(found[-1], "")["content"][0]
    return [
        {
            "type": "web_search_result_location",
            "url": result["url"],
            "title": result["title"],
            "encrypted_index": seal("index", result["url"]),
            "cited_text": result["title"],
        }
    ]
