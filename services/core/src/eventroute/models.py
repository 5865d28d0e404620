"""What is known of each model, from dated data (`models.json`): how it is asked, what it refuses, costs, how it ends.

The 5.x models think unless told otherwise, and thinking counts against `max_tokens`: a call that says nothing may pay
for an answer without a word. How thinking is turned off, and which efforts a model takes, differs per model, and what
does not fit is answered with 400: `told` says what is sent, or why it cannot be. Of a model that is not in the data
nothing is known, and so nothing is sent but an effort that was asked for.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

import msgspec

from eventroute.errors import Refused

Thinking = Literal["adaptive", "disabled", "between_tools", "enabled"]
"""What the API calls ways of thinking."""
Effort = Literal["low", "medium", "high", "xhigh", "max"]
CacheRule = Literal["auto", "off", "5m", "1h"]
"""What a manifest says of caching its system text: as its traffic makes it pay, never, or always for so long."""
Wish = Literal["auto", "off"]
"""What a manifest says of thinking: as the model sees fit, or not at all."""

_DATE: Final = re.compile(r"-20\d{6}$")  # claude-haiku-4-5-20251001 is claude-haiku-4-5
_OFF: Final = frozenset({"disabled", "between_tools"})
_LOW: Final[Effort] = "low"
_CACHEABLE_FROM: Final = 4096


class Band(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates in USD per million tokens, for prompts of a certain length."""

    prompt_up_to: int | None = None
    """Tokens, cached ones included; None = of any length."""
    input: Decimal
    output: Decimal
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    cache_read: Decimal | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model, as far as it is known; sizes are in tokens."""

    thinking: tuple[Thinking, ...] = ()
    """Types that `thinking` may have; empty = not known, and none is sent."""
    thinks: bool = False
    """Whether it thinks when the call says nothing of it."""
    efforts: tuple[Effort, ...] | None = None
    """From the weakest; empty = it takes none, None = not known."""
    efforts_without_thinking: tuple[Effort, ...] | None = None
    """Those that it takes with thinking turned off; None = all of them."""
    context: int | None = None
    """Prompt and answer together."""
    max_output: int | None = None
    cacheable_from: int | None = None
    """The shortest prefix that is cached; None = taken for the largest that any model has."""
    pool: str = ""
    """Models of one pool share their rate limits; empty = of its own."""
    retires: dt.date | None = None
    """The first day on which it answers no more; None = not announced."""
    prices: tuple[Band, ...] = ()
    """Shortest prompts first; empty = not known."""

    @property
    def shortest_cached(self) -> int:
        """The shortest prefix of which it is certain that it is cached."""
        return _CACHEABLE_FROM if self.cacheable_from is None else self.cacheable_from

    @property
    def off(self) -> Thinking | None:
        """The type that turns thinking off; None = it cannot be."""
        return next((kind for kind in self.thinking if kind in _OFF), None)


class Told(NamedTuple):
    """What a call says of thinking and effort; None = nothing."""

    thinking: Thinking | None
    effort: Effort | None

    def thinks(self, model: Model) -> bool:
        """Whether this model then thinks before it answers."""
        return model.thinks if self.thinking is None else self.thinking not in _OFF


def tell(model: Model, *, thinking: Wish | None, effort: Effort | None) -> Told:
    """Translate what a manifest wants of a model into what the API takes of it.

    thinking  None = off where the model can be told so at this effort
    effort    None = low where it takes an effort
    raises    `Refused` with what it takes instead
    """
    if effort and model.efforts is not None and effort not in model.efforts:
        raise Refused(f"takes effort {_listed(model.efforts)}, not {effort}" if model.efforts else "takes no effort")
    said = effort or (_LOW if model.efforts else None)
    if thinking != "auto" and model.off and _goes_without_thinking(model, said):
        return Told(model.off, said)
    if thinking == "off" and model.thinking:
        if model.off is None:
            raise Refused('always thinks: say thinking "auto", and leave room for it in maxTokens')
        fitting = _listed(model.efforts_without_thinking or ())
        raise Refused(f"always thinks at effort {effort}; thinking is off at {fitting}")
    return Told("adaptive" if "adaptive" in model.thinking else None, said)


def tell_nearest(model: Model, *, thinking: Wish | None, effort: Effort | None) -> Told:
    """Translate for a model that stands in for another: what it refuses is left out."""
    taken = effort if model.efforts is None or effort in model.efforts else None
    return tell(model, thinking=None if thinking == "off" else thinking, effort=taken)


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    as_of: str
    source: str = ""
    unit: str = ""
    models: dict[str, dict[str, Any]]


class Models:
    """The known models by name."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        """Take each model's entry."""
        self._models = models

    @classmethod
    def load(cls, own: Path | None = None) -> Self:
        """Read the built-in data, and over them an installation's own file of the same form, field by field.

        raises  `Refused` naming the file and what is wrong with it
        """
        built_in = _built_in()
        if own is None:
            return cls(built_in)
        try:
            return cls(_extended(built_in, msgspec.json.decode(own.read_bytes(), type=_File)))
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(f"models: {own}: {error}") from error

    def find(self, name: str) -> Model | None:
        """Look a model up, with or without the date of its name; None = not known."""
        return self._models.get(name) or self._models.get(undated(name))

    def pool(self, name: str) -> str:
        """Name the pool whose rate limits a model shares."""
        model = self.find(name)
        return (model and model.pool) or undated(name)

    def names(self) -> Sequence[str]:
        """List the known models."""
        return list(self._models)


def undated(name: str) -> str:
    """Cut the date off a model's name."""
    return _DATE.sub("", name)


@cache
def _built_in() -> Mapping[str, Model]:
    file = msgspec.json.decode(files(__package__).joinpath("models.json").read_bytes(), type=_File)
    return {name: msgspec.convert(fields, Model) for name, fields in file.models.items()}


def _extended(models: Mapping[str, Model], own: _File) -> Mapping[str, Model]:
    """Put an installation's fields over the known ones; they are checked as a whole, the known ones again with them."""
    merged = dict(models)
    for name, fields in own.models.items():
        known = msgspec.to_builtins(models[name]) if name in models else {}
        merged[name] = msgspec.convert(known | fields, Model)
    return merged


def _goes_without_thinking(model: Model, effort: Effort | None) -> bool:
    taken = model.efforts_without_thinking
    return effort is None or taken is None or effort in taken


def _listed(efforts: Sequence[Effort]) -> str:
    *others, last = efforts
    return f"{', '.join(others)} or {last}" if others else last
