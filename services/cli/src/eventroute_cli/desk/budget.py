"""`eventroute budget`: what is spent of each budget, and what is left."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from eventroute.queue import Desk, Spent
from eventroute.route_table import whose
from eventroute_cli.desk.show import OutputOption, plain_console, print_json
from eventroute_cli.desk.spread import spread
from eventroute_cli.desk.story import clock, span
from eventroute_cli.desk.where import Place, at_desk

_HEADER: Final = ("budget of", "period", "limit", "spent", "reserved", "left", "turns")
_AMOUNTS: Final = ("limit", "spent", "reserved", "left")
_MILLION: Final = 1_000_000


@spread
def budget(
    *,
    output: OutputOption = "text",
    place: Place,
) -> None:
    """List budgets: of the installation, of namespaces and of routes, with what calls under way have reserved.

    Without a word of where, a running `eventroute dev` or `demo` is asked. Amounts are in US dollars and in tokens;
    `left` is what the next call may cost.

    For example:

      eventroute budget

      eventroute budget -n eventroute -o json
    """
    found = at_desk(place, Desk.budgets)
    if output == "json":
        print_json([_as_json(each) for each in found])
    elif found:
        _print_table(found)
    else:
        plain_console().print("no route has a budget, as far as the workers here know")


def _print_table(found: Sequence[Spent]) -> None:
    rows = [_HEADER, *(row for each in found for row in _rows(each))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    console = plain_console()
    for number, row in enumerate(rows):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        console.print(line, style="bold" if number == 0 else "")


def _rows(each: Spent) -> list[tuple[str, ...]]:
    """Write a line for each limit of a budget."""
    head, tail = (whose(each.scope), span(each.period_ms)), clock(each.ends_ms)
    rows = []
    if each.micro_usd is not None:
        amounts = (each.micro_usd, each.spent_micro_usd, each.reserved_micro_usd, each.left_micro_usd or 0)
        rows.append((*head, *(f"USD {_usd(amount)}" for amount in amounts), tail))
    if each.tokens is not None:
        amounts = (each.tokens, each.spent_tokens, each.reserved_tokens, each.left_tokens or 0)
        rows.append((*head, *(f"{amount:,} tokens" for amount in amounts), tail))
    return rows


def _as_json(each: Spent) -> dict[str, Any]:
    in_micro = (each.micro_usd, each.spent_micro_usd, each.reserved_micro_usd, each.left_micro_usd)
    usd = [_usd(amount or 0) for amount in in_micro]
    tokens = (each.tokens, each.spent_tokens, each.reserved_tokens, each.left_tokens)
    return {
        "scope": each.scope,
        "period_ms": each.period_ms,
        "ends_ms": each.ends_ms,
        "usd": None if each.micro_usd is None else dict(zip(_AMOUNTS, usd, strict=True)),
        "tokens": None if each.tokens is None else dict(zip(_AMOUNTS, tokens, strict=True)),
    }


def _usd(micro: int) -> str:
    return f"{Decimal(micro) / _MILLION:f}"
