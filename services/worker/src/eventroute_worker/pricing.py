"""What an answer cost, from dated price data (`prices.json`) that an installation may extend or correct.

An unknown model, or a kind of token without a known rate, has an unknown cost, which is None and never 0.
"""

from collections.abc import Mapping
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Self

import msgspec

from eventroute.errors import Refused
from eventroute.models import undated
from eventroute_worker.answer import Usage

_MILLION = 1_000_000


class Band(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates in USD per million tokens, for prompts of a certain length."""

    prompt_up_to: int | None = None
    """Tokens, cached ones included; None = of any length."""
    input: Decimal
    output: Decimal
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    cache_read: Decimal | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    as_of: str
    source: str = ""
    unit: str = ""
    models: dict[str, list[Band]]


class Prices:
    """Prices by model."""

    def __init__(self, models: Mapping[str, list[Band]]) -> None:
        """Take each model's bands, shortest prompts first."""
        self._models = models

    @classmethod
    def load(cls, own: Path | None = None) -> Self:
        """Read the built-in prices, and over them an installation's own file of the same form, model by model.

        raises  `Refused` naming the file and what is wrong with it
        """
        built_in = files(__package__).joinpath("prices.json").read_bytes()
        models = msgspec.json.decode(built_in, type=_File).models
        if own is not None:
            try:
                models |= msgspec.json.decode(own.read_bytes(), type=_File).models
            except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Refused(f"prices: {own}: {error}") from error
        return cls(models)

    def cost(self, model: str, usage: Usage) -> Decimal | None:
        """Compute the cost of a call in USD."""
        bands = self._models.get(model) or self._models.get(undated(model), [])
        for band in bands:
            if band.prompt_up_to is None or usage.prompt <= band.prompt_up_to:
                return _cost(band, usage)
        return None


def _cost(band: Band, usage: Usage) -> Decimal | None:
    total = Decimal(0)
    for tokens, rate in (
        (usage.input, band.input),
        (usage.output, band.output),
        (usage.cache_write, band.cache_write),
        (usage.cache_write_1h, band.cache_write_1h),
        (usage.cache_read, band.cache_read),
    ):
        if tokens and rate is None:
            return None
        total += tokens * (rate or 0)
    return total / _MILLION
