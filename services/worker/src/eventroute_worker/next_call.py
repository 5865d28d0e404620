"""What is asked next, by what was answered so far: so that an attempt goes on where the last one was cut short.

A model that declined, or that exists no more, is stood in for by the prompt's fallback, once: what that one says is how
it ends. An answer that does not fit its schema is asked for once more, from whoever gave it, or from the fallback where
that one exists no more by then.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from eventroute.outcome import RunOutcome
from eventroute.route_table import ModelCall
from eventroute_worker import metrics
from eventroute_worker.answer import Answer, Because


class NextCall(NamedTuple):
    """A call that is to be made."""

    call: ModelCall
    instead_of: str = ""
    """The model that the prompt names, where this is its fallback."""
    because: Because | None = None
    again: Answer | None = None
    """The answer that did not fit; then this one is told so."""
    goes_on: bool = False
    """It is a further turn of a conversation, whose model was chosen before."""

    def note(self, answer: Answer, *, missing_fields: tuple[str, ...]) -> Answer:
        """Write down on its answer why this call was made, and count it."""
        if self.because and not self.goes_on and not (self.again and self.again.because):
            metrics.FALLBACKS.labels(self.call.name, self.because).inc()
        return msgspec.structs.replace(
            answer,
            missing_fields=missing_fields,
            instead_of=self.instead_of,
            because=self.because,
            is_second=self.again is not None,
        )


def next_call(model: ModelCall, answer: Answer | None, *, is_gone: Callable[[str], bool]) -> NextCall | None:
    """Choose; None = the answer is final.

    answer   the last one that was saved
    is_gone  whether a model is known to exist no more
    """
    if answer and answer.goes_on:
        return _go_on(model, answer, is_gone=is_gone)
    again = answer if answer and answer.violation and not answer.is_second else None
    if answer is None or again:
        return _ask_for(model, again, is_gone=is_gone)
    if answer.outcome is RunOutcome.REFUSED and model.fallback and not answer.instead_of:
        return NextCall(model.fallback, model.name, Because.REFUSED)
    return None


def _go_on(model: ModelCall, turn: Answer, *, is_gone: Callable[[str], bool]) -> NextCall:
    """Go on with whoever has spoken last; a fallback reads what the model before it has said."""
    if turn.instead_of:
        return NextCall(model.fallback or model, turn.instead_of, turn.because, goes_on=True)
    return _ask_for(model, None, is_gone=is_gone)


def _ask_for(model: ModelCall, again: Answer | None, *, is_gone: Callable[[str], bool]) -> NextCall:
    """Ask for an answer, or for one that fits; a fallback that was asked already is asked again."""
    if again and again.instead_of:
        return NextCall(model.fallback or model, again.instead_of, again.because, again=again)
    if model.fallback and is_gone(model.name):
        return NextCall(model.fallback, model.name, Because.NOT_FOUND, again=again)
    return NextCall(model, again=again)
