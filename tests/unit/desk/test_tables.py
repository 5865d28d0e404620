"""Lists as people and programs read them."""

import io

from rich.console import Console

from eventroute.ids import DeliveryId, RoutePath
from eventroute.queue import Line, Listing, State
from eventroute_cli.desk.show import as_json, print_listing, summary

LINE = Line(
    id=DeliveryId("d-1"),
    route=RoutePath("team-a/triage"),
    state=State.DEAD,
    outcome="dead",
    reason="render",
    event="issues.opened",
    detail="two\nlines " + "x" * 300,
    ended_ms=1_800_000_000_000,
)


def printed(listing: Listing) -> str:
    file = io.StringIO()
    console = Console(file=file, width=40, highlight=False, soft_wrap=True, markup=False)
    print_listing(listing, console, what="dead letters")
    return file.getvalue()


def test_a_line_per_delivery_however_narrow_the_terminal() -> None:
    header, line = printed(Listing([LINE], 1, is_complete=True)).splitlines()
    assert header.index("delivery") == line.index("d-1")
    assert "dead render  team-a/triage  issues.opened  d-1       two lines xxx" in line
    assert line.endswith("x…")


def test_what_is_missing_is_said() -> None:
    assert printed(Listing([], 3, is_complete=True)) == "no dead letters like that; 3 were looked at\n"
    assert "more than were looked at: 20000" in printed(Listing([LINE], 20_000, is_complete=False))


def test_text_that_looks_like_markup_stays_text() -> None:
    odd = Line(id=DeliveryId("d"), route=RoutePath("a/b"), state=State.READY, event="[red]x[/]")
    assert "[red]x[/]" in printed(Listing([odd], 1, is_complete=True))


def test_what_would_command_the_terminal_is_left_out() -> None:
    odd = Line(id=DeliveryId("d"), route=RoutePath("a/b"), state=State.READY, event="\x1b[2J\x9b31mx\r\u202ey")
    assert "[2J31mx y" in printed(Listing([odd], 1, is_complete=True)).replace("mxy", "mx y")
    assert not {"\x1b", "\x9b", "\r", "\u202e"} & set(printed(Listing([odd], 1, is_complete=True)))


def test_programs_get_every_field() -> None:
    assert as_json(LINE).keys() == set(Line.__struct_fields__)
    assert (as_json(LINE)["state"], as_json(LINE)["missing_fields"]) == ("dead", ())


def test_dead_letters_are_counted_by_reason() -> None:
    assert summary([LINE, LINE]) == "2 dead letters: 2 render"
    assert summary([LINE]) == "1 dead letter: 1 render"
