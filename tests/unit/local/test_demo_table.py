"""The demo's table holds an event's outcome, figures and answer, and fits the terminal that it is drawn in."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console, RenderableType

from eventroute.ids import DeliveryId, route_path
from eventroute.outcome import Receipt
from eventroute_cli.demo.scenario import Row
from eventroute_cli.demo.show import build_live, build_table, total_cost
from eventroute_cli.local.collector import Collector
from eventroute_cli.local.runs import RunView
from support.runs import answer

DELIVERY = DeliveryId("d-zcleduyisllvi73nz2luwo4ogi000000")
LONG = "A sentence that says something about the event. " * 20


def row(title: str = "Stripe invoice.payment_failed, 1st", **changes: Any) -> Row:
    fields: dict[str, Any] = {"title": title, "route": route_path("team-a", "triage"), "expected": Receipt.QUEUED}
    return Row(**{**fields, **changes})


def answered(text: str = "All is well.", **changes: Any) -> Row:
    run = RunView("succeeded", "", answer(text, cost_usd=Decimal("0.00167")), "")
    return row(receipt=Receipt.QUEUED, delivery=DELIVERY, ack_ms=9.64, run=run, **changes)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def drawn(renderable: RenderableType, console: Console) -> list[str]:
    with console.capture() as capture:
        console.print(renderable)
    return [line.rstrip() for line in capture.get().splitlines()]


def terminal(width: int = 80, height: int = 24) -> Console:
    return Console(width=width, height=height, color_system=None)


def table(rows: Sequence[Row], collector: Collector, width: int = 80) -> list[str]:
    console = terminal(width)
    return drawn(build_table(rows, collector, console, with_answers=True), console)[2:]


def test_an_answered_event_shows_everything(collector: Collector) -> None:
    title, delivery, text = table([answered()], collector)
    assert title.split("  ")[0] == "Stripe invoice.payment_failed, 1st"
    assert title.split()[-3:] == ["succeeded", "9.6", "0.00167"]
    assert delivery == f"  {DELIVERY}"
    assert text == "  All is well."


def test_columns_stand_below_each_other_whatever_is_between(collector: Collector) -> None:
    lines = table([answered(), answered("Short.", title="Other"), answered(LONG, title="Third")], collector)
    titles = [line for line in lines if "succeeded" in line]
    assert len({(line.index("succeeded"), line.index("0.00167")) for line in titles}) == 1


def test_an_event_on_its_way_shows_what_is_known(collector: Collector) -> None:
    assert table([row()], collector) == ["Stripe invoice.payment_failed, 1st"]
    queued = row(receipt=Receipt.QUEUED, ack_ms=3.0, run=RunView("", "", None, ""))
    assert table([queued], collector)[0].split()[-2:] == ["queued", "3.0"]


def test_a_duplicate_names_the_delivery_that_it_repeats(collector: Collector) -> None:
    again = row(expected=Receipt.DUPLICATE, receipt=Receipt.DUPLICATE, delivery=DELIVERY)
    assert table([again], collector)[1] == f"  {DELIVERY}  as before"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_long_answer_takes_two_lines_and_says_that_it_goes_on(collector: Collector, width: int) -> None:
    lines = table([answered(LONG)], collector, width)
    assert len(lines) == 4
    assert lines[-1].endswith(" …")
    assert max(map(len, lines)) <= width


def test_an_answer_that_just_fits_is_not_cut(collector: Collector) -> None:
    text = "a" * 78 + " " + "b" * 78
    assert table([answered(text)], collector)[2:] == ["  " + "a" * 78, "  " + "b" * 78]


def test_markup_in_an_answer_is_text(collector: Collector) -> None:
    assert table([answered("[red]no colour[/]\n\nat all")], collector)[2] == "  [red]no colour[/] at all"


@pytest.mark.parametrize(("height", "has_answers"), [(24, False), (40, False), (60, True)])
def test_while_it_is_live_it_never_overflows_the_screen(
    collector: Collector, height: int, *, has_answers: bool
) -> None:
    console = terminal(height=height)
    lines = drawn(build_live([answered(LONG)] * 12, collector, console), console)
    assert len(lines) < height
    assert any(str(DELIVERY) in line for line in lines) is has_answers


def test_the_cost_is_the_sum_of_what_is_known() -> None:
    unknown = row(run=RunView("succeeded", "", answer(cost_usd=None), ""))
    assert total_cost([answered(), answered(), unknown, row()]) == Decimal("0.00334")
