"""The demo's table: a line per event, filled in while it is on its way, with its answer below where there is room."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from eventroute.outcome import Receipt
from eventroute_cli.demo.scenario import REPLAYED, Row
from eventroute_cli.local.collector import Collector
from eventroute_cli.local.trace_view import ms_to_claude
from eventroute_cli.terminal import in_a_line

_COLOURS: Final = {
    "queued": "yellow",
    "replayed": "yellow",
    "succeeded": "green",
    "duplicate": "cyan",
    "handshake": "cyan",
    "unauthenticated": "magenta",
}
_INDENT: Final = 2
_MORE: Final = " …"
_ANSWER_LINES: Final = 2
_HEADER_LINES: Final = 2
_LINES_OF_ANSWERED: Final = 1 + 1 + _ANSWER_LINES


def build_live(rows: Sequence[Row], collector: Collector, console: Console) -> RenderableType:
    """Draw the table as far as things have got, without answers where all of them do not fit on the screen."""
    fits = len(rows) * _LINES_OF_ANSWERED + _HEADER_LINES < console.height
    return build_table(rows, collector, console, with_answers=fits)


def build_table(rows: Sequence[Row], collector: Collector, console: Console, *, with_answers: bool) -> RenderableType:
    """Draw the table: event, outcome, figures; below it delivery id and answer, over the whole width."""
    lines: list[RenderableType] = [_line("event", "outcome", "ms to\nack", "ms to\nClaude", "USD", style="bold")]
    for row in rows:
        lines.append(_line(*_cells(row, collector)))
        if with_answers and row.delivery:
            lines.append(Padding(_answer(row, console), (0, 0, 0, _INDENT)))
    return Group(*lines)


def total_cost(rows: Sequence[Row]) -> Decimal:
    """Add up what the answers cost, as far as it is known."""
    return sum((row.run.answer.cost_usd or Decimal(0) for row in rows if row.run and row.run.answer), Decimal(0))


def _line(event: str, outcome: Text | str, *figures: str, style: str = "") -> Table:
    """Draw one line. Each is a table of its own, with fixed columns: between two of them stands an answer."""
    table = Table.grid(expand=True, padding=(0, 2, 0, 0))
    table.add_column(ratio=1, no_wrap=True, vertical="bottom")
    table.add_column(width=15, no_wrap=True, vertical="bottom")
    for width in (6, 6, 8):
        table.add_column(width=width, no_wrap=True, justify="right", vertical="bottom")
    table.add_row(event, outcome, *figures, style=style)
    return table


def _cells(row: Row, collector: Collector) -> tuple[str, Text, str, str, str]:
    run = row.run
    answer = run.answer if run else None
    # A replay goes on in the same trace, long after its receipt.
    is_measured = run and run.trace_id and answer and row.receipt == Receipt.QUEUED
    to_claude = ms_to_claude(collector.spans(run.trace_id)) if run and is_measured else None
    outcome = (run.outcome if run else "") or row.receipt
    return (
        row.title,
        Text(" ".join(filter(None, (outcome, run.reason if run else ""))), _COLOURS.get(outcome, "red")),
        "" if row.ack_ms is None else f"{row.ack_ms:.1f}",
        "" if to_claude is None else f"{to_claude:.1f}",
        "" if answer is None or answer.cost_usd is None else f"{answer.cost_usd:.5f}",
    )


def _answer(row: Row, console: Console) -> Text:
    known = "  as before" if row.receipt in {Receipt.DUPLICATE, REPLAYED} else ""
    text = Text(f"{row.delivery}{known}", "dim")
    said = row.run.answer.text if row.run and row.run.answer else row.run.detail if row.run else ""
    if said:
        answer = Text(in_a_line(said), "italic")
        width = console.width - _INDENT
        wrapped = list(answer.wrap(console, width))
        if len(wrapped) > _ANSWER_LINES:
            last = wrapped[_ANSWER_LINES - 1]
            last.truncate(width - len(_MORE))
            last.append(_MORE)
        text = Text("\n").join([text, *wrapped[:_ANSWER_LINES]])
    return text
