"""A trace as a tree in the terminal, and the figures that people want from it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from rich.text import Text
from rich.tree import Tree

from eventroute.runtime import tracing
from eventroute_cli.local.collector import CollectedSpan

_SHOWN: Final = {tracing.OUTCOME: "", tracing.ATTEMPT: "attempt ", tracing.GENAI_OUTPUT_TOKENS: "tokens "}
"""Attributes worth a place on a line of 80 characters, and what stands before each."""


def build_tree(spans: Sequence[CollectedSpan]) -> Tree:
    """Draw one trace: name, program, begin after the first span, duration, and a few facts.

    spans  of one trace, by time; a span whose parent is missing stands at the top
    """
    children: dict[str, list[CollectedSpan]] = defaultdict(list)
    known = {span.span_id for span in spans}
    for span in spans:
        children[span.parent_id if span.parent_id in known else ""].append(span)
    begin = spans[0].start_ns if spans else 0
    tree = Tree(f"trace {spans[0].trace_id}" if spans else "no spans", guide_style="dim")
    _grow(tree, children, parent="", begin=begin)
    return tree


def ms_to_claude(spans: Sequence[CollectedSpan]) -> float | None:
    """Measure from the receipt's begin to the call of Claude, in milliseconds; None when either is missing."""
    receipts = [span.start_ns for span in spans if span.kind == "SERVER"]
    calls = [span.start_ns for span in spans if span.name.startswith("chat ")]
    return (min(calls) - min(receipts)) / 1e6 if receipts and calls else None


def _grow(branch: Tree, children: dict[str, list[CollectedSpan]], *, parent: str, begin: int) -> None:
    for span in children[parent]:
        facts = "  ".join(f"{word}{span.attributes[name]}" for name, word in _SHOWN.items() if name in span.attributes)
        times = f"  +{(span.start_ns - begin) / 1e6:.1f} ms, {span.duration_ms:.1f} ms  "
        service = span.service.removeprefix("eventroute-")
        line = Text.assemble(
            (span.name, "red" if span.failed else "green"), (f"  {service}", "dim"), times, (facts, "dim")
        )
        _grow(branch.add(line), children, parent=span.span_id, begin=begin)
