"""What an answer costs: by model and kind of token, and never 0 for what is not known."""

from decimal import Decimal
from pathlib import Path

import pytest

from eventroute.models import Band, Model, Models
from eventroute_worker.answer import Usage
from eventroute_worker.pricing import Prices

PRICES = Prices(Models.load())


@pytest.mark.parametrize(
    ("model", "usage", "cost"),
    [
        ("claude-haiku-4-5", Usage(input=1_000_000, output=0), "1"),
        ("claude-haiku-4-5", Usage(input=0, output=1_000_000), "5"),
        ("claude-haiku-4-5", Usage(input=0, output=0, cache_write=1_000_000), "1.25"),
        ("claude-haiku-4-5", Usage(input=0, output=0, cache_write_1h=1_000_000), "2"),
        ("claude-haiku-4-5", Usage(input=0, output=0, cache_read=1_000_000), "0.10"),
        ("claude-haiku-4-5-20251001", Usage(input=120, output=40), "0.00032"),
        ("claude-sonnet-4-5-20250929", Usage(input=1000, output=1000), "0.018"),
        ("claude-opus-5-5", Usage(input=1000, output=1000), "0.024"),
        ("claude-haiku-5-5", Usage(input=100_000, output=0), "0.01"),
        ("claude-haiku-5-5", Usage(input=100_001, output=0), "0.0500005"),
        ("claude-haiku-5-5", Usage(input=1, output=0, cache_read=100_000), "0.0050005"),
    ],
)
def test_cost_is_the_sum_over_kinds_of_tokens(model: str, usage: Usage, cost: str) -> None:
    assert PRICES.cost(model, usage) == Decimal(cost)


@pytest.mark.parametrize("model", ["claude-next", "", "claude-haiku", "claude-haiku-4-5-2025", "gpt-claude-haiku-4-5"])
def test_an_unknown_model_has_an_unknown_cost(model: str) -> None:
    assert PRICES.cost(model, Usage(input=1, output=1)) is None


def test_tokens_without_a_known_rate_make_the_cost_unknown() -> None:
    prices = Prices(Models({"mine": Model(prices=(Band(input=Decimal(1), output=Decimal(2)),))}))
    assert prices.cost("mine", Usage(input=1, output=1)) is not None
    assert prices.cost("mine", Usage(input=1, output=1, cache_write_1h=1)) is None


def test_an_installations_own_prices_replace_and_extend_the_built_in_ones(tmp_path: Path) -> None:
    own = tmp_path / "models.json"
    prices = '"prices": [{"input": "0.5", "output": 2}]'
    own.write_text(f'{{"as_of": "2026-11-01", "models": {{"claude-haiku-4-5": {{{prices}}}, "mine": {{}}}}}}')
    known = Prices(Models.load(own))
    assert known.cost("claude-haiku-4-5", Usage(input=1_000_000, output=1_000_000)) == Decimal("2.5")
    assert known.cost("claude-opus-5-5", Usage(input=1_000_000, output=0)) == Decimal(4)
    assert known.cost("mine", Usage(input=1, output=1)) is None


@pytest.mark.parametrize(
    ("model", "prompt", "output", "most"),
    [
        ("claude-haiku-4-5", 1_000_000, 0, "2"),  # all of it written to the cache, for an hour
        ("claude-haiku-4-5", 0, 1_000_000, "5"),
        ("claude-opus-5-5", 1000, 1000, "0.028"),
        ("claude-haiku-5-5", 100_000, 1000, "0.0205"),
        ("claude-haiku-5-5", 100_001, 0, "0.100001"),
    ],
)
def test_at_most_a_call_costs_what_the_dearest_kinds_of_tokens_do(
    model: str, prompt: int, output: int, most: str
) -> None:
    assert PRICES.most(model, prompt=prompt, output=output) == Decimal(most)


def test_at_most_a_call_costs_what_it_would_as_a_shorter_one_too() -> None:
    bands = (Band(prompt_up_to=10, input=Decimal(9), output=Decimal(0)), Band(input=Decimal(1), output=Decimal(0)))
    prices = Prices(Models({"falls": Model(prices=bands), "ends": Model(prices=bands[:1])}))
    assert prices.most("falls", prompt=20, output=0) == Decimal("0.00018")
    assert prices.most("falls", prompt=500, output=0) == Decimal("0.0045")
    assert prices.most("ends", prompt=10, output=0) == Decimal("0.00009")
    assert prices.most("ends", prompt=11, output=0) is None
    assert prices.most("unknown", prompt=1, output=1) is None
