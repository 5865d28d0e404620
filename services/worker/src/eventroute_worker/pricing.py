"""What an answer cost, from the prices in `eventroute.models` and `eventroute.served`.

An unknown model, a kind of token without a known rate, or a tool that is billed by what no answer tells, has an unknown
cost, which is None and never 0.
"""

from collections.abc import Sequence
from decimal import Decimal

from eventroute.models import Band, Models
from eventroute.served import Served, cost, costs_at_most
from eventroute_worker.answer import Usage

_MILLION = 1_000_000


class Prices:
    """Prices by model."""

    def __init__(self, models: Models) -> None:
        """Take the known models."""
        self._models = models

    def cost(self, model: str, usage: Usage, served: Sequence[Served] = ()) -> Decimal | None:
        """Compute the cost of a call in USD.

        served  the tools on the API's side that it had
        """
        known = self._models.find(model)
        for band in known.prices if known else ():
            if band.prompt_up_to is None or usage.prompt <= band.prompt_up_to:
                parts = (_cost(band, usage), cost(usage.uses, served))
                return None if None in parts else sum(filter(None, parts), Decimal(0))
        return None

    def most(
        self, model: str, *, prompt: int, output: int, served: Sequence[Served] = (), within_s: float = 0
    ) -> Decimal | None:
        """Compute what a call costs in USD at the very most; None where the model's price is unknown.

        prompt    tokens of the whole prompt, at most; output likewise
        served    the tools on the API's side that it has
        within_s  how long it may take
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
        return max(costs) + costs_at_most(served, within_s=within_s) if is_open else None


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
