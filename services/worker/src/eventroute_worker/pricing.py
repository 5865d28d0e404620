"""What an answer cost, from the prices in `eventroute.models`.

An unknown model, or a kind of token without a known rate, has an unknown cost, which is None and never 0.
"""

from decimal import Decimal

from eventroute.models import Band, Models
from eventroute_worker.answer import Usage

_MILLION = 1_000_000


class Prices:
    """Prices by model."""

    def __init__(self, models: Models) -> None:
        """Take the known models."""
        self._models = models

    def cost(self, model: str, usage: Usage) -> Decimal | None:
        """Compute the cost of a call in USD."""
        known = self._models.find(model)
        for band in known.prices if known else ():
            if band.prompt_up_to is None or usage.prompt <= band.prompt_up_to:
                return _cost(band, usage)
        return None

    def most(self, model: str, *, prompt: int, output: int) -> Decimal | None:
        """Compute what a call costs in USD at the very most; None where the model's price is unknown.

        prompt  tokens of the whole prompt, at most; output likewise
        """
        known = self._models.find(model)
        bands = known.prices if known else ()
        costs, begin = list[Decimal](), 0
        for band in bands:
            if begin <= prompt:
                rate = max(band.input, band.cache_write or 0, band.cache_write_1h or 0)
                costs.append((prompt * rate + output * band.output) / _MILLION)
            begin = (band.prompt_up_to or prompt) + 1
        is_open = bool(bands) and (bands[-1].prompt_up_to is None or prompt <= bands[-1].prompt_up_to)
        return max(costs) if is_open else None


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
