"""Standing troubles of keys, models and budgets, as this process knows them: what need not be asked, what is mended.

The queue keeps the troubles and what waits for them (`eventroute.queue`); `eventroute_worker.keeper` reads them every
second. In between, this process goes by what it has met itself.
"""

from collections.abc import Callable, Iterable, Sequence

from eventroute.queue import Trouble, budget_cause
from eventroute.route_table import BudgetRule


class Troubles:
    """What is known of the troubles that stand."""

    def __init__(self) -> None:
        """Start with none."""
        self.on_mended: Callable[[], None] = lambda: None
        """Called when something is mended that others wait for."""
        self._known: dict[str, Trouble] = {}
        self._mended: set[str] = set()

    def standing(self, key_id: str, model: str, budgets: Sequence[BudgetRule] = ()) -> Trouble | None:
        """Find a trouble for which asking this model with this key, at the cost of these budgets, is of no use."""
        holding = (budget_cause(rule.scope) for rule in budgets if rule.on_exceeded == "hold")
        causes = (f"{key_id}:*", f"{key_id}:{model}", *holding)
        return next((self._known[cause] for cause in causes if cause in self._known), None)

    def meet(self, trouble: Trouble) -> None:
        """Note a trouble that a call has met."""
        self._mended.discard(trouble.cause)
        self._known[trouble.cause] = trouble

    def answered(self, key_id: str, model: str) -> None:
        """Note that a call was answered: whatever stood in the way does so no longer."""
        for cause in (f"{key_id}:*", f"{key_id}:{model}"):
            if self._known.pop(cause, None):
                self._mended.add(cause)
                self.on_mended()

    def read(self, stored: Iterable[Trouble]) -> None:
        """Take over what the queue keeps."""
        self._known = {trouble.cause: trouble for trouble in stored if trouble.cause not in self._mended}

    def take_mended(self) -> set[str]:
        """Hand out the causes that are mended, once."""
        mended, self._mended = self._mended, set()
        return mended
