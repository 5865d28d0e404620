"""The data on models: found by dated names too, silent on what is not known; pools as the API draws them."""

import datetime as dt
from pathlib import Path

import pytest

from eventroute.errors import Refused
from eventroute.models import Models

_MODELS = Models.load()


@pytest.mark.parametrize(
    ("name", "off", "highest"),
    [
        ("claude-haiku-5-5", "disabled", "high"),
        ("claude-haiku-4-5-20251001", "disabled", None),
        ("claude-sonnet-5-5", "between_tools", "high"),
        ("claude-sonnet-5", "disabled", "high"),
        ("claude-sonnet-4-6", "disabled", "max"),
        ("claude-opus-5-5", None, None),
        ("claude-opus-5", "disabled", "high"),
        ("claude-opus-4-8", "disabled", "max"),
        ("claude-opus-4-5", "disabled", "high"),
        ("claude-fable-5-2", None, None),
    ],
)
def test_thinking_is_turned_off_in_each_models_own_way(name: str, off: str | None, highest: str | None) -> None:
    model = _MODELS.find(name)
    assert model
    assert model.off == off
    efforts = model.efforts if model.efforts_without_thinking is None else model.efforts_without_thinking
    assert (efforts[-1] if efforts else None) == highest


@pytest.mark.parametrize("name", ["claude-haiku-6", "claude-haiku", "", "claude-haiku-5-5-1", "x-20251001"])
def test_of_another_model_nothing_is_known(name: str) -> None:
    assert _MODELS.find(name) is None


@pytest.mark.parametrize(
    ("names", "are_one"),
    [
        (("claude-opus-4-5", "claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8"), True),
        (("claude-sonnet-4-5-20250929", "claude-sonnet-4-6"), True),
        (("claude-fable-5", "claude-fable-5-1", "claude-fable-5-2"), True),
        (("claude-haiku-5-5", "claude-haiku-4-5"), False),
        (("claude-sonnet-5-5", "claude-sonnet-5"), False),
        (("claude-opus-5-5", "claude-opus-5"), False),
        (("mine", "mine-20260101"), True),
        (("mine", "yours"), False),
    ],
)
def test_models_of_one_pool_share_their_rate_limits(names: tuple[str, ...], *, are_one: bool) -> None:
    assert (len({_MODELS.pool(name) for name in names}) == 1) is are_one


def test_a_retirement_that_is_announced_is_known() -> None:
    model = _MODELS.find("claude-sonnet-4-5-20250929")
    assert model
    assert model.retires == dt.date(2026, 11, 30)


def test_an_installations_own_file_changes_single_fields_and_adds_models(tmp_path: Path) -> None:
    own = tmp_path / "models.json"
    own.write_text('{"as_of": "2027-01-01", "models": {"claude-haiku-5-5": {"retires": "2027-10-07"}, "mine": {}}}')
    models, built_in = Models.load(own), _MODELS.find("claude-haiku-5-5")
    haiku, mine = models.find("claude-haiku-5-5"), models.find("mine")
    assert haiku
    assert built_in
    assert (haiku.retires, haiku.pool, haiku.prices) == (dt.date(2027, 10, 7), built_in.pool, built_in.prices)
    assert mine
    assert (mine.thinking, mine.efforts, models.pool("mine")) == ((), None, "mine")
    assert models.find("claude-opus-5-5") == _MODELS.find("claude-opus-5-5")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"as_of": "x", "models": {"m": {"prices": [{"input": "1", "outputs": "2"}]}}}',
        '{"as_of": "x", "models": {"m": {"retires": "soon"}}}',
        '{"as_of": "x", "models": {"claude-haiku-5-5": {"efforts": ["most"]}}}',
        "\xff",
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    own = tmp_path / "models.json"
    own.write_text(text, encoding="latin-1")
    with pytest.raises(Refused, match=r"models\.json"):
        Models.load(own)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"nowhere\.json"):
        Models.load(tmp_path / "nowhere.json")
