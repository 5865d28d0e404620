"""The models that the simulator plays: what the API lets each do, and how long each lives.

Written from the API's pages, independently of the table that the worker goes by: a test compares the two.
Source: platform.claude.com/docs/en: about-claude/models and /model-deprecations, build-with-claude/effort,
/prompt-caching and /thinking-troubleshooting, api/rate-limits, October 2026; names and dates of retirement as in the
`anthropic` SDK 2.12.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

import msgspec

from eventroute.errors import Refused

EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_NO_XHIGH: Final = ("low", "medium", "high", "max")
_NOT_TOLD: Final = 4096  # where the pages name no shortest prefix that is cached: the longest of the others


class Model(NamedTuple):
    """What a model takes; sizes are in tokens."""

    context: int
    max_output: int
    pool: str
    """Models of one pool share rate limits."""
    cacheable_from: int
    """The shortest prefix that is cached."""
    thinking: tuple[str, ...]
    """What `thinking.type` may be."""
    efforts: tuple[str, ...] = EFFORTS
    """From the weakest; empty = it takes none."""
    efforts_without_thinking: tuple[str, ...] = EFFORTS
    thinks: bool = False
    """Whether it thinks when the request does not say."""
    effort: str = "high"
    """What holds when the request does not say."""
    takes_forced_tools: bool = True
    takes_sampling: bool = False
    """`temperature`, `top_p`, `top_k`, in versions of the API that still have them."""
    takes_prefill: bool = False
    """A last message of the assistant, to be continued."""


_5: Final = Model(
    1_000_000,
    128_000,
    pool="",
    cacheable_from=512,
    thinking=("adaptive", "disabled"),
    efforts_without_thinking=("low", "medium", "high"),
    thinks=True,
)
_ALWAYS: Final = _5._replace(thinking=("adaptive",), efforts_without_thinking=(), takes_forced_tools=False)
_FABLE: Final = _ALWAYS._replace(pool="claude-fable-5")
_MYTHOS: Final = _ALWAYS._replace(pool="claude-mythos-5", cacheable_from=_NOT_TOLD)
_4_7: Final = Model(1_000_000, 128_000, pool="claude-opus-4", cacheable_from=2048, thinking=("adaptive", "disabled"))
_4_6: Final = _4_7._replace(
    cacheable_from=4096, thinking=("adaptive", "disabled", "enabled"), efforts=_NO_XHIGH, takes_sampling=True
)
_4_5: Final = Model(
    200_000,
    64_000,
    pool="",
    cacheable_from=4096,
    thinking=("disabled", "enabled"),
    efforts=(),
    takes_sampling=True,
    takes_prefill=True,
)
_OPUS_4_5: Final = _4_5._replace(pool="claude-opus-4", efforts=("low", "medium", "high"))
_SONNET_4_5: Final = _4_5._replace(pool="claude-sonnet-4", cacheable_from=1024)
_HAIKU_4_5: Final = _4_5._replace(pool="claude-haiku-4-5")

MODELS: Final = {
    "claude-fable-5": _FABLE,
    "claude-fable-5-1": _FABLE._replace(cacheable_from=_NOT_TOLD),
    "claude-fable-5-2": _FABLE._replace(cacheable_from=_NOT_TOLD),
    "claude-haiku-4-5": _HAIKU_4_5,
    "claude-haiku-4-5-20251001": _HAIKU_4_5,
    "claude-haiku-5-5": _5._replace(pool="claude-haiku-5-5", effort="medium"),
    "claude-mythos-5": _MYTHOS,
    "claude-mythos-5-1": _MYTHOS,
    "claude-mythos-5-2": _MYTHOS,
    "claude-mythos-preview": _4_6._replace(pool="claude-mythos-5"),
    "claude-opus-4-5": _OPUS_4_5,
    "claude-opus-4-5-20251101": _OPUS_4_5,
    "claude-opus-4-6": _4_6,
    "claude-opus-4-7": _4_7,
    "claude-opus-4-8": _4_7._replace(cacheable_from=1024),
    "claude-opus-5": _5._replace(pool="claude-opus-5"),
    "claude-opus-5-5": _ALWAYS._replace(pool="claude-opus-5-5", effort="medium"),
    "claude-sonnet-4-5": _SONNET_4_5,
    "claude-sonnet-4-5-20250929": _SONNET_4_5,
    "claude-sonnet-4-6": _4_6._replace(pool="claude-sonnet-4", cacheable_from=1024),
    "claude-sonnet-5": _5._replace(pool="claude-sonnet-5", cacheable_from=1024),
    "claude-sonnet-5-5": _5._replace(
        pool="claude-sonnet-5-5", thinking=("adaptive", "between_tools"), takes_forced_tools=False
    ),
}
"""The models that the SDK lists; every other name gets a 404, as a misspelt one would."""

POOLS: Final = tuple(sorted({model.pool for model in MODELS.values()}))

_NOTICE: Final = dt.timedelta(days=60)  # what the API promises; when a model was deprecated, its pages do not say
RETIREMENTS: Final = {
    "claude-mythos-preview": dt.datetime(2026, 6, 30, tzinfo=dt.UTC),
    "claude-sonnet-4-5": dt.datetime(2026, 11, 30, tzinfo=dt.UTC),
    "claude-sonnet-4-5-20250929": dt.datetime(2026, 11, 30, tzinfo=dt.UTC),
}

Stage = Literal["active", "deprecated", "retired"]


class Life(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a model goes away, as a script says; the same form is what the control side takes."""

    model: str
    retires_at: dt.datetime | None = None
    """None = it stays."""
    lifecycle: Stage | None = None
    """None = as the date says. A deprecated model may be overdue: it still answers after its date."""

    def __post_init__(self) -> None:
        """Refuse a model that does not exist, and a time without a zone."""
        if self.model not in MODELS:
            raise ValueError(f"unknown model {self.model!r}")
        if self.retires_at and self.retires_at.tzinfo is None:
            raise ValueError("retires_at: expected a time with a zone, such as 2026-12-14T00:00:00Z")

    def stage(self, now: float) -> Stage:
        """Say where the model stands.

        now  Unix time in seconds
        """
        if self.lifecycle or self.retires_at is None:
            return self.lifecycle or "active"
        return "retired" if self.retires_at.timestamp() <= now else "deprecated"


class Catalogue:
    """All models, and which of them answer."""

    def __init__(self, lives: Iterable[Life] = ()) -> None:
        """Take the dates that are announced, then those of a script."""
        self._lives = {name: Life(model=name, retires_at=RETIREMENTS.get(name)) for name in MODELS}
        self._lives |= {life.model: life for life in lives}

    def change(self, life: Life) -> None:
        """Let a model go away at another time, or not at all."""
        self._lives[life.model] = life

    def answers(self, name: str, now: float) -> bool:
        """Whether calls of a model are answered."""
        return name in self._lives and self._lives[name].stage(now) != "retired"

    def page(
        self, stages: Iterable[str], now: float, *, limit: int, after: str | None = None, before: str | None = None
    ) -> dict[str, Any]:
        """Write a page of `GET /v1/models`; names after or before one that is not listed are none."""
        wanted = set(stages) or {"active", "deprecated"}
        names = [name for name, life in self._lives.items() if life.stage(now) in wanted]
        if after is not None:
            names = names[names.index(after) + 1 :] if after in names else []
        if before is not None:
            names = names[: names.index(before)][-limit:] if before in names else []
        page = names[:limit]
        return {
            "data": [self.info(name, now) for name in page],
            "has_more": len(names) > len(page),
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
        }

    def info(self, name: str, now: float) -> dict[str, Any]:
        """Write what `GET /v1/models/{id}` says of a model."""
        life, model = self._lives[name], MODELS[name]
        return {
            "id": name,
            "type": "model",
            "display_name": name.replace("-", " ").title(),
            "created_at": "1970-01-01T00:00:00Z",  # what the API says where a date is not known
            "line": name.split("-")[1],
            "lifecycle": life.stage(now),
            "deprecated_at": _written(life.retires_at and life.retires_at - _NOTICE),
            "retires_at": _written(life.retires_at),
            "max_input_tokens": model.context,
            "max_tokens": model.max_output,
            "capabilities": _capabilities(model),
        }


def parse_life(document: bytes) -> Life:
    """Read a change as a JSON object; raises `Refused` with the place of the mistake."""
    try:
        return msgspec.json.decode(document, type=Life)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"models: {error}") from error


def parse_retirement(text: str) -> Life:
    """Read the short form of the command line, `MODEL=TIME`."""
    model, _, time = text.partition("=")
    try:
        return msgspec.convert({"model": model, "retires_at": time}, Life)
    except msgspec.ValidationError as error:
        raise Refused(f"retirement {text!r}: {error}; it is MODEL=TIME, such as 2026-12-14T00:00:00Z") from error


def _written(at: dt.datetime | None) -> str | None:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def _capabilities(model: Model) -> dict[str, Any]:
    """Tell by rule what is known of a model; what is not, as every current model has it."""
    kinds = ("adaptive", "between_tools", "disabled", "enabled")
    return {
        **{name: _supported() for name in ("batch", "citations", "image_input", "pdf_input", "structured_outputs")},
        "code_execution": _supported(),
        "context_management": {
            "supported": True,
            **{
                name: _supported()
                for name in ("clear_thinking_20251015", "clear_tool_uses_20250919", "compact_20260112")
            },
        },
        "effort": {
            "supported": bool(model.efforts),
            **{effort: _supported(is_so=effort in model.efforts) for effort in EFFORTS},
        },
        "server_tools": {"supported": True, "code_execution": _supported(), "web_search": _supported()},
        "thinking": {
            "supported": True,
            "types": {kind: _supported(is_so=kind in model.thinking) for kind in kinds},
        },
    }


def _supported(*, is_so: bool = True) -> dict[str, bool]:
    return {"supported": is_so}
