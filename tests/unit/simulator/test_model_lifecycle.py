"""A model is there, then deprecated with a date, then gone: the list says so, and calls are refused."""

import datetime as dt
from typing import Any

import pytest

from eventroute.errors import Refused
from eventroute_cli.simulator.models import MODELS, Catalogue, Life, parse_life, parse_retirement

DAY = dt.datetime(2026, 12, 14, tzinfo=dt.UTC)
BEFORE, AFTER = DAY.timestamp() - 1, DAY.timestamp()
HAIKU = "claude-haiku-4-5"


def listed(catalogue: Catalogue, *stages: str, now: float = BEFORE, **page: Any) -> list[str]:
    return [model["id"] for model in catalogue.page(stages, now, limit=page.pop("limit", 100), **page)["data"]]


@pytest.mark.parametrize(
    ("name", "last_day"),
    [
        ("claude-sonnet-4-5", dt.datetime(2026, 11, 29, 23, 59, 59, tzinfo=dt.UTC)),
        ("claude-sonnet-4-5-20250929", dt.datetime(2026, 11, 29, 23, 59, 59, tzinfo=dt.UTC)),
        ("claude-mythos-preview", dt.datetime(2026, 6, 29, 23, 59, 59, tzinfo=dt.UTC)),
    ],
)
def test_announced_retirements_happen(name: str, last_day: dt.datetime) -> None:
    catalogue, last = Catalogue(), last_day.timestamp()
    assert [catalogue.answers(name, now) for now in (last, last + 1)] == [True, False]
    stages = [catalogue.info(name, now)["lifecycle"] for now in (last, last + 1)]
    assert stages == ["deprecated", "retired"]


def test_a_model_may_go_away_by_a_script() -> None:
    catalogue = Catalogue([Life(model=HAIKU, retires_at=DAY)])
    info = catalogue.info(HAIKU, BEFORE)
    assert (info["lifecycle"], info["retires_at"], info["deprecated_at"]) == (
        "deprecated",
        "2026-12-14T00:00:00Z",
        "2026-10-15T00:00:00Z",
    )
    assert catalogue.answers(HAIKU, BEFORE)
    assert not catalogue.answers(HAIKU, AFTER)
    catalogue.change(Life(model=HAIKU))
    assert catalogue.info(HAIKU, AFTER)["lifecycle"] == "active"
    assert catalogue.info(HAIKU, AFTER)["retires_at"] is None


def test_a_retirement_may_be_overdue_or_early() -> None:
    catalogue = Catalogue([Life(model=HAIKU, retires_at=DAY, lifecycle="deprecated")])
    assert catalogue.answers(HAIKU, AFTER + 1000)
    catalogue.change(Life(model=HAIKU, retires_at=DAY, lifecycle="retired"))
    assert not catalogue.answers(HAIKU, BEFORE)


def test_the_list_leaves_out_what_is_retired_unless_it_is_asked_for() -> None:
    catalogue = Catalogue([Life(model=HAIKU, retires_at=DAY)])
    assert HAIKU in listed(catalogue)
    assert HAIKU not in listed(catalogue, now=AFTER)
    assert listed(catalogue, "deprecated") == [HAIKU]
    assert set(listed(catalogue, "active", "deprecated", "retired", now=AFTER)) == MODELS.keys()


def test_pages_follow_each_other_in_both_directions() -> None:
    catalogue = Catalogue()
    names = listed(catalogue)
    first = catalogue.page((), BEFORE, limit=3)
    assert ([model["id"] for model in first["data"]], first["has_more"]) == (names[:3], True)
    assert (first["first_id"], first["last_id"]) == (names[0], names[2])
    assert listed(catalogue, limit=3, after=names[2]) == names[3:6]
    assert listed(catalogue, limit=3, before=names[5]) == names[2:5]
    last = catalogue.page((), BEFORE, limit=100, after=names[-2])
    assert ([model["id"] for model in last["data"]], last["has_more"]) == (names[-1:], False)
    assert catalogue.page((), BEFORE, limit=3, after="claude-nothing")["data"] == []


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (b"[]", "Expected"),
        (b'{"model": "claude-nothing"}', "unknown model"),
        (b'{"model": "claude-haiku-5-5", "retires_at": "soon"}', "retires_at"),
        (b'{"model": "claude-haiku-5-5", "retires_at": "2026-12-14T00:00:00"}', "zone"),
        (b'{"model": "claude-haiku-5-5", "date": "x"}', "date"),
    ],
)
def test_a_mistake_in_a_change_is_named(document: bytes, named: str) -> None:
    with pytest.raises(Refused, match=named):
        parse_life(document)


def test_the_short_form_reads_as_written() -> None:
    assert parse_retirement("claude-haiku-4-5=2026-12-14T00:00:00Z") == Life(model=HAIKU, retires_at=DAY)
    with pytest.raises(Refused, match="MODEL=TIME"):
        parse_retirement("claude-haiku-4-5")
