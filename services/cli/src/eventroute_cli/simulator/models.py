"""The models that the simulator plays, by what the API lets each do."""

from typing import Final, NamedTuple


class Model(NamedTuple):
    """A model's limits in tokens, and what it takes in `thinking.type` and `output_config.effort`."""

    context: int
    max_output: int
    thinking: tuple[str, ...] = ("disabled", "enabled")
    efforts: tuple[str, ...] = ()
    """From the weakest; empty = it takes none."""
    thinks: bool = False
    """Whether it thinks when the request does not say."""
    effort: str = "high"
    """What holds when the request does not say."""


EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_NO_XHIGH: Final = ("low", "medium", "high", "max")

_LARGE: Final = Model(1_000_000, 128_000, ("adaptive",), EFFORTS, thinks=True)
_CAN_STOP: Final = _LARGE._replace(thinking=("adaptive", "disabled"))
_SMALL: Final = Model(200_000, 64_000)  # also where no limits are known to us: the smallest of the list
_4_8: Final = _SMALL._replace(thinking=("adaptive", "disabled"), efforts=EFFORTS)
_4_6: Final = _SMALL._replace(thinking=("adaptive", "disabled", "enabled"), efforts=_NO_XHIGH)

MODELS: Final = {
    "claude-fable-5": _LARGE,
    "claude-fable-5-1": _LARGE,
    "claude-fable-5-2": _LARGE,
    "claude-haiku-4-5": _SMALL,
    "claude-haiku-4-5-20251001": _SMALL,
    "claude-haiku-5-5": _CAN_STOP._replace(effort="medium"),
    "claude-mythos-5": _LARGE,
    "claude-mythos-5-1": _LARGE,
    "claude-mythos-5-2": _LARGE,
    "claude-mythos-preview": _4_6,
    "claude-opus-4-5": _SMALL._replace(efforts=("low", "medium", "high")),
    "claude-opus-4-5-20251101": _SMALL._replace(efforts=("low", "medium", "high")),
    "claude-opus-4-6": _4_6,
    "claude-opus-4-7": _4_8,
    "claude-opus-4-8": _4_8,
    "claude-opus-5": _CAN_STOP,
    "claude-opus-5-5": _LARGE._replace(effort="medium"),
    "claude-sonnet-4-6": _4_6,
    "claude-sonnet-5": _CAN_STOP,
    "claude-sonnet-5-5": _LARGE._replace(thinking=("adaptive", "between_tools")),
}
"""The models that the SDK lists and that still answer; every other name gets a 404, as a misspelt one would."""

RETIRED: Final = frozenset({"claude-sonnet-4-5", "claude-sonnet-4-5-20250929"})
"""What the SDK still lists, and the API answers no more."""

POOLS: Final = (
    "claude-fable-5",
    "claude-mythos",
    "claude-opus-5-5",
    "claude-opus-5",
    "claude-opus-4",
    "claude-sonnet-5-5",
    "claude-sonnet-5",
    "claude-sonnet-4",
    "claude-haiku-5-5",
    "claude-haiku-4-5",
)
"""Models whose names begin alike share rate limits: the first that fits. platform.claude.com/docs/en/api/rate-limits,
October 2026; Mythos is our guess."""


def pool_of(model: str) -> str:
    """Name the pool of a model of `MODELS`."""
    return next(pool for pool in POOLS if model.startswith(pool))
