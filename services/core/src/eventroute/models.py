"""What is known of each model, from dated data (`models.json`): how it is asked, what it refuses, how long it lives.

The 5.x models think unless told otherwise, and thinking counts against `max_tokens`: a call that says nothing may pay
for an answer without a word. How thinking is turned off, and which efforts a model takes, differs per model, and what
does not fit is answered with 400. Of a model that is not in the data nothing is known, so nothing of it is assumed.
"""

import datetime as dt
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final, Literal, Self

import msgspec

Thinking = Literal["adaptive", "disabled", "between_tools", "enabled"]
"""What the API calls ways of thinking."""

Effort = Literal["low", "medium", "high", "xhigh", "max"]

_DATE: Final = re.compile(r"-20\d{6}$")  # claude-haiku-4-5-20251001 is claude-haiku-4-5


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model; sizes are in tokens."""

    thinking: tuple[Thinking, ...]
    """Types that `thinking` may have."""
    thinks: bool
    """Whether it thinks when the call says nothing of it."""
    efforts: tuple[Effort, ...]
    """From the weakest; empty = it takes none."""
    efforts_without_thinking: tuple[Effort, ...] | None = None
    """Those that it takes with thinking turned off; None = all of them."""
    context: int
    """Prompt and answer together."""
    max_output: int
    cacheable_from: int | None
    """The shortest prefix that is cached; None = not known."""
    pool: str
    """Models of one pool share their rate limits."""
    retires: dt.date | None = None
    """The first day on which it answers no more; None = not announced."""

    @property
    def off(self) -> Thinking | None:
        """The type that turns thinking off; None = it cannot be."""
        return next((kind for kind in self.thinking if kind in ("disabled", "between_tools")), None)


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    as_of: str
    source: str
    models: dict[str, Model]


class Models:
    """The known models by name."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        """Take each model's entry."""
        self._models = models

    @classmethod
    def load(cls) -> Self:
        """Read the built-in data."""
        return cls(msgspec.json.decode(files(__package__).joinpath("models.json").read_bytes(), type=_File).models)

    def find(self, name: str) -> Model | None:
        """Look a model up, with or without the date of its name; None = not known."""
        return self._models.get(name) or self._models.get(undated(name))

    def pool(self, name: str) -> str:
        """Name the pool whose rate limits a model shares; one that is not known has a pool of its own."""
        model = self.find(name)
        return model.pool if model else undated(name)


def undated(name: str) -> str:
    """Cut the date off a model's name."""
    return _DATE.sub("", name)
