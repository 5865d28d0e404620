"""The demo's table: an event in two lines, itself and its answer, filled in while it is on its way."""

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from eventroute_cli.demo.scenario import Row
from eventroute_cli.local.collector import Collector
from eventroute_cli.local.trace_view import ms_to_claude

_COLOURS = {
    "queued": "green",
    "succeeded": "green",
    "duplicate": "yellow",
    "handshake": "cyan",
    "unauthenticated": "red",
}
_ANSWER_CHARS = 130  # about two lines of a narrow terminal


def build_table(rows: Sequence[Row], collector: Collector) -> Table:
    """Draw the table as far as things have got."""
    table = Table(expand=True, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("event, delivery, answer", ratio=1)
    table.add_column("outcome", no_wrap=True)
    table.add_column("ms to\nack", justify="right", no_wrap=True)
    table.add_column("ms to\nClaude", justify="right", no_wrap=True)
    table.add_column("USD", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row, collector))
    return table


def total_cost(rows: Sequence[Row]) -> Decimal:
    """Add up what the answers cost, as far as it is known."""
    return sum((row.run.answer.cost_usd or Decimal(0) for row in rows if row.run and row.run.answer), Decimal(0))


def _cells(row: Row, collector: Collector) -> list[Text | Group | str]:
    run = row.run
    answer = run.answer if run else None
    to_claude = ms_to_claude(collector.spans(run.trace_id)) if run and run.trace_id else None
    lines = [Text.assemble(row.title, (f"  {row.delivery or ''}", "dim"))]
    if answer:
        text = Text(" ".join(answer.text.split()), style="italic")
        text.truncate(_ANSWER_CHARS, overflow="ellipsis")
        lines.append(text)
    outcomes = [word for word in (row.receipt, run.outcome if run else "") if word]
    return [
        Group(*lines),
        Text("\n").join(Text(word, _COLOURS.get(word, "red")) for word in outcomes),
        "" if row.ack_ms is None else f"{row.ack_ms:.1f}",
        "" if to_claude is None else f"{to_claude:.1f}",
        "" if answer is None or answer.cost_usd is None else f"{answer.cost_usd:.5f}",
    ]
