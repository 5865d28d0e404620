"""What a call must say so that a short answer stays short, from dated data (`models.json`).

The 5.x models think unless told otherwise, and thinking counts against `max_tokens`: a call that says nothing may pay
for an answer without a word. How thinking is turned off, and whether a model takes `effort`, differs per model, and
what does not fit is answered with 400. Of a model that is not in the data nothing is known, so nothing is sent.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final, Literal, Self

import msgspec

_DATE: Final = re.compile(r"-20\d{6}$")  # claude-haiku-4-5-20251001 is claude-haiku-4-5


class Accepts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the API accepts of a model, as far as a call needs to know."""

    thinking_off: Literal["disabled", "between_tools"] | None
    """The type that turns thinking off; None = it cannot be."""
    effort: bool


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    as_of: str
    source: str
    models: dict[str, Accepts]


class Models:
    """What is accepted, by model."""

    def __init__(self, models: Mapping[str, Accepts]) -> None:
        """Take each model's entry."""
        self._models = models

    @classmethod
    def load(cls) -> Self:
        """Read the built-in data."""
        return cls(msgspec.json.decode(files(__package__).joinpath("models.json").read_bytes(), type=_File).models)

    def accepts(self, model: str) -> Accepts | None:
        """Look a model up, with or without the date of its name; None = not known."""
        return self._models.get(model) or self._models.get(undated(model))


def undated(model: str) -> str:
    """Cut the date off a model's name."""
    return _DATE.sub("", model)
