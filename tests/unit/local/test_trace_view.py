"""A trace is drawn as a tree, in order of time, within 80 columns."""

from typing import Any

from rich.console import Console

from eventroute_cli.local.collector import CollectedSpan
from eventroute_cli.local.trace_view import build_tree, ms_to_claude

TRACE = "0af7651916cd43dd8448eb211c80319c"


def span(name: str, *, at_ms: float, parent: str = "", **changes: Any) -> CollectedSpan:
    fields: dict[str, Any] = {
        "service": "eventroute-worker",
        "name": name,
        "kind": "CLIENT",
        "trace_id": TRACE,
        "span_id": name,
        "parent_id": parent,
        "start_ns": int(at_ms * 1e6),
        "end_ns": int(at_ms * 1e6) + 2_000_000,
        "attributes": {},
        "links": (),
        "failed": False,
    }
    return CollectedSpan(**{**fields, **changes})


SPANS = [
    span(
        "POST /hooks/{namespace}/{name}",
        at_ms=100,
        service="eventroute-receiver",
        kind="SERVER",
        attributes={"eventroute.outcome": "queued", "http.response.status_code": 200},
    ),
    span("send eventroute", at_ms=101, parent="POST /hooks/{namespace}/{name}", service="eventroute-receiver"),
    span(
        "process eventroute",
        at_ms=103,
        parent="send eventroute",
        attributes={"eventroute.attempt": 1, "eventroute.outcome": "succeeded"},
    ),
    span(
        "chat claude-sonnet-5-5",
        at_ms=105.5,
        parent="process eventroute",
        attributes={"gen_ai.usage.output_tokens": 123},
    ),
    span("sink stream", at_ms=110, parent="process eventroute", failed=True),
]


def drawn(spans: list[CollectedSpan], *, color: bool = False) -> str:
    console = Console(width=80, force_terminal=color, color_system="standard" if color else None)
    with console.capture() as capture:
        console.print(build_tree(spans))
    return capture.get()


def test_each_span_hangs_below_its_parent_with_its_times_and_facts() -> None:
    lines = [line.rstrip() for line in drawn(SPANS).splitlines()]
    assert lines == [
        f"trace {TRACE}",
        "└── POST /hooks/{namespace}/{name}  receiver  +0.0 ms, 2.0 ms  queued",
        "    └── send eventroute  receiver  +1.0 ms, 2.0 ms",
        "        └── process eventroute  worker  +3.0 ms, 2.0 ms  succeeded  attempt 1",
        "            ├── chat claude-sonnet-5-5  worker  +5.5 ms, 2.0 ms  tokens 123",
        "            └── sink stream  worker  +10.0 ms, 2.0 ms",
    ]


def test_a_failed_span_is_red_and_the_others_are_not() -> None:
    red = [line for line in drawn(SPANS, color=True).splitlines() if "\x1b[31m" in line]
    assert len(red) == 1
    assert "sink stream" in red[0]


def test_a_span_whose_parent_has_not_arrived_stands_at_the_top() -> None:
    lines = [line.rstrip() for line in drawn(SPANS[2:3]).splitlines()]
    assert lines[1].startswith("└── process eventroute")


def test_brackets_in_a_name_are_no_markup() -> None:
    assert "[red]sink" in drawn([span("[red]sink", at_ms=1)])


def test_no_spans_are_said_to_be_none() -> None:
    assert drawn([]) == "no spans\n"


def test_claude_is_reached_when_the_first_call_begins() -> None:
    assert ms_to_claude([*SPANS, span("chat again", at_ms=300)]) == 5.5


def test_without_a_receipt_or_a_call_there_is_no_figure() -> None:
    assert ms_to_claude(SPANS[1:]) is None
    assert ms_to_claude(SPANS[:3]) is None
    assert ms_to_claude([]) is None
