"""The tools that run on the API's side, from dated data (`served.json`): what each is called there, and what it costs.

Claude uses them within a call, in rounds: what a use brings is read in each round after it, and billed each time. How
much it brings the API bounds for fetched pages only, and so what is expected of a call is an estimate.

All of them are called by Claude itself (`allowed_callers`), never by code that it has run: so each use stands in the
answer, and no model needs to know more than tools.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

ServedKind = Literal["web_search", "web_fetch", "code_execution", "mcp"]

_ROUNDS: Final = 10
"""Within one call, after which the API pauses."""
_HOUR_S: Final = 3600


class Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a kind."""

    type: str
    """Of its entry in `tools`."""
    beta: str = ""
    """What the header `anthropic-beta` has to name."""
    callers: tuple[str, ...] = ()
    """`allowed_callers`; empty = it has none."""
    usd_per_use: Decimal | None = None
    """None = it is billed by time, which no answer tells."""
    usd_per_hour: Decimal = Decimal(0)
    least_s: int = 0
    """So long is billed at least."""
    free_beside: tuple[ServedKind, ...] = ()
    """Beside which it costs nothing."""
    tokens_per_use: int
    """What Claude reads of one use, estimated."""
    refused_by: tuple[str, ...] = ()
    """Models that do not take it."""


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    as_of: str
    source: str
    unit: str
    kinds: dict[ServedKind, Kind]


class McpServer(msgspec.Struct, frozen=True):
    """A server of the Model Context Protocol, without what it is shown."""

    name: str
    url: str


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as the API is told of it; nothing in it is secret."""

    kind: ServedKind
    definition: dict[str, Any]
    """Its entry in `tools`."""
    server: McpServer | None = None
    max_uses: int
    """In one call; what the API does not bound is taken for one a round."""
    tokens_per_use: int


@cache
def kinds() -> Mapping[ServedKind, Kind]:
    """Read the table."""
    return msgspec.json.decode(files(__package__).joinpath("served.json").read_bytes(), type=_File).kinds


def serve(
    kind: ServedKind, *, max_uses: int | None = None, tokens_per_use: int | None = None, **settings: Any
) -> Served:
    """Write how the API is told of a tool of its own; settings that are None or empty are left out."""
    known = kinds()[kind]
    told = {"allowed_callers": list(known.callers), "max_uses": max_uses, **settings}
    return Served(
        kind=kind,
        definition={"type": known.type, "name": kind, **{name: value for name, value in told.items() if value}},
        max_uses=max_uses or _ROUNDS,
        tokens_per_use=tokens_per_use or known.tokens_per_use,
    )


def serve_mcp(server: McpServer, tools: Sequence[str]) -> Served:
    """Write how the API is told of a server, and of those of its tools that may be called: it has more than these."""
    known = kinds()["mcp"]
    allowed = {tool: {"enabled": True} for tool in tools}
    return Served(
        kind="mcp",
        definition={
            "type": known.type,
            "mcp_server_name": server.name,
            "default_config": {"enabled": False},
            "configs": allowed,
        },
        server=server,
        max_uses=_ROUNDS,
        tokens_per_use=known.tokens_per_use,
    )


def reads_at_most(served: Sequence[Served], *, prompt: int, output: int) -> int:
    """Estimate what a call reads at most, in tokens, when a round follows each use.

    prompt  tokens of the prompt; output likewise
    """
    uses = sum(each.max_uses for each in served)
    if not uses:
        return prompt
    rounds = min(uses, _ROUNDS)
    brought = sum(each.max_uses * each.tokens_per_use for each in served)
    # The uses beyond the rounds fall into the first one, so that what they bring is read most often.
    again = rounds * (2 * uses - rounds + 1) * brought // (2 * uses)
    return (rounds + 1) * prompt + rounds * output + again


def costs_at_most(served: Sequence[Served], *, within_s: float) -> Decimal:
    """Tell what the uses of one call cost at most in USD, tokens excepted."""
    return sum((_most(each, served, within_s) for each in served), Decimal(0))


def cost(uses: Mapping[ServedKind, int], served: Sequence[Served]) -> Decimal | None:
    """Tell what uses have cost in USD; None where the API does not tell of what they are billed by.

    served  all that was offered with them
    """
    total = Decimal(0)
    for kind, count in uses.items():
        known = kinds()[kind]
        if not count or _is_free(known, served):
            continue
        if known.usd_per_use is None:
            return None
        total += count * known.usd_per_use
    return total


def _most(one: Served, served: Sequence[Served], within_s: float) -> Decimal:
    known = kinds()[one.kind]
    if _is_free(known, served):
        return Decimal(0)
    if known.usd_per_use is None:
        return known.usd_per_hour * Decimal(max(known.least_s, within_s)) / _HOUR_S
    return one.max_uses * known.usd_per_use


def _is_free(known: Kind, served: Sequence[Served]) -> bool:
    return any(each.kind in known.free_beside for each in served)
