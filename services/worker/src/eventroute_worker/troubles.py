"""Standing troubles of keys, models and budgets, as this process knows them: what need not be asked, what is mended.

The queue keeps the troubles and what waits for them (`eventroute.queue`); `eventroute_worker.keeper` reads them every
second. In between, this process goes by what it has met itself.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from eventroute.outcome import DeadReason
from eventroute.prompt import Plan
from eventroute.queue import Trouble, budget_cause
from eventroute.route_table import BudgetRule
from eventroute.runtime.notices import Notices
from eventroute.secret import Secret

_GONE_S: Final = 60.0  # as often as a standing trouble is probed
_NOT_FOUND: Final = DeadReason.NOT_FOUND


class Troubles:
    """What is known of the troubles that stand."""

    def __init__(self) -> None:
        """Start with none."""
        self.on_mended: Callable[[], None] = lambda: None
        """Called when something is mended that others wait for."""
        self._known: dict[str, Trouble] = {}
        self._mended: set[str] = set()
        """Of these the queue may still keep something."""
        self._going: frozenset[str] = frozenset()
        """Those of them that the look under way lets go of."""
        self._fresh: set[str] = set()
        """What was met or mended since that look began."""
        self._gone: dict[str, float] = {}
        self._notices: Notices = {}

    def standing(self, key_id: str, model: str, budgets: Sequence[BudgetRule] = ()) -> Trouble | None:
        """Find a trouble for which asking this model with this key, at the cost of these budgets, is of no use."""
        if trouble := self._known.get(f"{key_id}:*") or self._retirement(key_id, model):
            return trouble
        holding = (budget_cause(rule.scope) for rule in budgets if rule.on_exceeded == "hold")
        causes = (f"{key_id}:{model}", *holding)
        return next((self._known[cause] for cause in causes if cause in self._known), None)

    def read_notices(self, notices: Notices) -> None:
        """Take over what the API says of models: one that is retired need not be asked to know that it is gone."""
        self._notices = notices

    def is_retired(self, model: str) -> bool:
        """Tell whether a model answers no more, by the word of the API."""
        return model in self._notices and self._notices[model].is_retired

    def _retirement(self, key_id: str, model: str) -> Trouble | None:
        if not self.is_retired(model):
            return None
        day = self._notices[model].retires
        detail = f"retired since {day}" if day else "retired"
        return Trouble(reason=_NOT_FOUND, detail=detail, key_id=key_id, model=model)

    def meet(self, trouble: Trouble) -> None:
        """Note a trouble that a call has met."""
        self._mended.discard(trouble.cause)
        self._fresh.add(trouble.cause)
        self._known[trouble.cause] = trouble

    def miss(self, key_id: str, model: str) -> None:
        """Note that a model does not exist for a key: whoever has a fallback need not ask for it for a while."""
        self._gone[f"{key_id}:{model}"] = time.monotonic() + _GONE_S

    def is_gone(self, key_id: str, model: str) -> bool:
        """Tell whether a model does not exist, as far as is known."""
        if self.is_retired(model):
            return True
        cause = f"{key_id}:{model}"
        trouble = self._known.get(cause)
        return self._gone.get(cause, 0) > time.monotonic() or (trouble is not None and trouble.reason == _NOT_FOUND)

    def answered(self, key_id: str, model: str) -> None:
        """Note that a call was answered: whatever stood in the way does so no longer."""
        self._gone.pop(f"{key_id}:{model}", None)
        for cause in (f"{key_id}:*", f"{key_id}:{model}"):
            if self._known.pop(cause, None):
                self._mended.add(cause)
                self._fresh.add(cause)
                self.on_mended()

    def begin_look(self) -> frozenset[str]:
        """Tell which causes are mended: a look at the queue begins, and lets go of them."""
        self._going = frozenset(self._mended)
        self._fresh.clear()
        return self._going

    def end_look(self, stored: Iterable[Trouble]) -> None:
        """Take over what the queue keeps: a whole look has succeeded, and its mended causes need no other one.

        What was met or mended during the look stays so, as the queue may have been read before.
        """
        self._mended -= self._going - self._fresh
        met = {cause: trouble for cause, trouble in self._known.items() if cause in self._fresh}
        self._known = {trouble.cause: trouble for trouble in stored if trouble.cause not in self._mended} | met


def may_meet(trouble: Trouble, plans: Iterable[Plan], key_id: Callable[[Secret | None], str]) -> bool:
    """Tell whether somebody who asks as these routes say would meet a trouble; else it is mended."""
    if trouble.budget:
        return any(rule.scope == trouble.budget for plan in plans for rule in plan.route.budgets)
    if not trouble.model and trouble.key_id == key_id(None):
        return True
    return any(_asks_for(plan, trouble) for plan in plans if key_id(plan.route.api_key) == trouble.key_id)


def _asks_for(plan: Plan, trouble: Trouble) -> bool:
    calls = [call for prompt in plan.route.prompts for call in (prompt.model, prompt.model.fallback) if call]
    return not trouble.model or any(
        call.name == trouble.model and not (call.fallback and trouble.reason == _NOT_FOUND) for call in calls
    )
