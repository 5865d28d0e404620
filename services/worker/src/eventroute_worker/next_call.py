"""What is asked next, by what was answered so far: pure, so that an attempt goes on where the last one was cut short.

A model that declined, or that exists no more, is stood in for by the prompt's fallback, once: what that one says is how
it ends.
"""

from collections.abc import Callable
from typing import NamedTuple

from eventroute.outcome import RunOutcome
from eventroute.route_table import ModelCall
from eventroute_worker.answer import Answer, Because


class NextCall(NamedTuple):
    """A call that is to be made."""

    call: ModelCall
    instead_of: str = ""
    """The model that the prompt names, where this is its fallback."""
    because: Because | None = None


def next_call(model: ModelCall, answer: Answer | None, *, is_gone: Callable[[str], bool]) -> NextCall | None:
    """Choose; None = the answer is final.

    answer   the last one that was saved
    is_gone  whether a model is known to exist no more
    """
    if answer is None and model.fallback and is_gone(model.name):
        return NextCall(model.fallback, model.name, Because.NOT_FOUND)
    if answer is None:
        return NextCall(model)
    if answer.outcome is RunOutcome.REFUSED and model.fallback and not answer.instead_of:
        return NextCall(model.fallback, model.name, Because.REFUSED)
    return None
