"""What came of it: a table by file, and each change that nobody noticed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from mutants.change import show
from mutants.trial import Tried, Verdict

_NOTICED = (Verdict.ASSERTION, Verdict.ERROR, Verdict.TIME_OUT)


def share_noticed(tried: Sequence[Tried]) -> float:
    """Tell which part of the changes was noticed; all of none."""
    return sum(each.verdict is not Verdict.SURVIVED for each in tried) / len(tried) if tried else 1.0


def build_table(tried: Sequence[Tried]) -> Table:
    """Build the table: a line for each file, and one for all."""
    table = Table("file", *(("tried", "assertion", "error", "time-out", "survived", "noticed")), box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    by_file: dict[str, list[Tried]] = {}
    for each in tried:
        by_file.setdefault(each.change.path, []).append(each)
    for name, own in (*by_file.items(), ("all", list(tried))):
        counts = Counter(each.verdict for each in own)
        figures = [len(own), *(counts[verdict] for verdict in _NOTICED), counts[Verdict.SURVIVED]]
        table.add_row(name, *map(str, figures), f"{share_noticed(own):.0%}")
    return table


def describe(each: Tried) -> str:
    """Say in one line how a change was noticed."""
    word = each.verdict.name.lower().replace("_", "-")
    return f"{word:9} {each.seconds:5.1f} s  {each.change.path}:{each.change.line} {each.change.kind}  {each.test}"


def build_survivor(each: Tried, root: Path) -> list[str]:
    """Show a change that nobody noticed."""
    change = each.change
    before = (root / change.path).read_text(encoding="utf-8")
    return [f"{change.path}:{change.line} {change.kind}", *(f"  {line}" for line in show(before, change.apply()))]
