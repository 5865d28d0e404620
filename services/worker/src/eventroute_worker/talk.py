"""A conversation with tools: what of it stands in the delivery's hash, so that a worker that dies is stood in for.

    talk            how it began: the prompt as Claude has read it, and when; later turns are asked with the same words
    talk:turn:<n>   the n-th thing that Claude said, while it wanted tools
    talk:call:<id>  a call: `intent` before anything is sent that has a side effect, then its result

Each is written before the next step begins: a turn that was saved is not asked for again, and a result that was saved
is not fetched again. An intent without a result is a call that may have happened. A final answer removes all of it.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, Self

import msgspec

from eventroute.prompt import Prompt
from eventroute.route_table import TalkLimits
from eventroute.talk import MAX_BYTES, CallRecord, CallResult, Exchange, Offer, ToolUse, read_uses
from eventroute_worker.answer import Answer

BEGINNING: Final = "talk"
_TURN: Final = "talk:turn:"
_CALL: Final = "talk:call:"
_INTENT: Final = b"intent"
_MILLION: Final = 1_000_000

_encoder = msgspec.json.Encoder()


class TooLarge(Exception):
    """There is no room for more."""


class _Beginning(msgspec.Struct, frozen=True, kw_only=True):
    system: str
    user: str
    missing_fields: tuple[str, ...]
    offers: tuple[Offer, ...]
    started_ms: int


_beginnings = msgspec.json.Decoder(_Beginning)
_results = msgspec.json.Decoder(CallResult)


class Talk:
    """What an attempt knows of its delivery's conversation; empty for most."""

    def __init__(self, fields: Mapping[str, bytes], now_ms: Callable[[], int]) -> None:
        """Take what was saved, and Redis' time, as attempts in several places have one clock."""
        self._fields = dict(fields)
        self._now_ms = now_ms

    @classmethod
    def saved_in(cls, fields: Mapping[bytes, bytes], now_ms: Callable[[], int]) -> Self:
        """Find a conversation among all that is known of a delivery."""
        own = {name.decode(): value for name, value in fields.items() if name.startswith(BEGINNING.encode())}
        return cls(own, now_ms)

    @property
    def turns(self) -> int:
        """How often Claude has wanted tools."""
        return sum(name.startswith(_TURN) for name in self._fields)

    def begin(self, prompt: Prompt) -> dict[str, bytes]:
        """Say how it begins; returns what is to be saved with the first turn."""
        if BEGINNING in self._fields:
            return {}
        beginning = _Beginning(
            system=prompt.system,
            user=prompt.user,
            missing_fields=prompt.missing_fields,
            offers=prompt.offers,
            started_ms=self._now_ms(),
        )
        return self._add(BEGINNING, _encoder.encode(beginning))

    def take(self, said: bytes) -> dict[str, bytes]:
        """Take a turn of Claude's; returns what is to be saved. Raises `TooLarge`."""
        return self._add(f"{_TURN}{self.turns}", said)

    def intend(self, use: ToolUse) -> dict[str, bytes]:
        """Say that a call is about to be made; returns what is to be saved. Raises `TooLarge`."""
        return self._add(f"{_CALL}{use.id}", _INTENT)

    def end(self, use: ToolUse, result: CallResult) -> dict[str, bytes]:
        """Take a call's result; returns what is to be saved. Raises `TooLarge`."""
        return self._add(f"{_CALL}{use.id}", _encoder.encode(result))

    def is_intended(self, use: ToolUse) -> bool:
        """Tell whether a call may have happened, of which nothing is known."""
        return self._fields.get(f"{_CALL}{use.id}") == _INTENT

    def missing(self) -> tuple[ToolUse, ...]:
        """List the calls that have no result."""
        return tuple(use for use in self._uses() if self._result(use) is None)

    def calls(self) -> tuple[CallRecord, ...]:
        """Tell of the calls that are over, in their order."""
        return tuple(result.record for use in self._uses() if (result := self._result(use)) is not None)

    def go_on(self, prompt: Prompt, limits: TalkLimits, paid: Answer | None) -> Prompt:
        """Say in its own words what is asked next; at a limit that no more tools may be used."""
        if BEGINNING not in self._fields:
            return prompt
        begun = _beginnings.decode(self._fields[BEGINNING])
        exchanges = [self._exchange(number) for number in range(self.turns)]
        reached = self.reached(limits, paid)
        if reached and exchanges:
            exchanges[-1] = exchanges[-1]._replace(note=f"{reached}: no tool can be used any more. Answer now.")
        return prompt._replace(
            system=begun.system,
            user=begun.user,
            missing_fields=begun.missing_fields,
            offers=begun.offers,
            exchanges=tuple(exchanges),
            may_act=not reached,
        )

    def reached(self, limits: TalkLimits, paid: Answer | None) -> str:
        """Name a limit that is reached, before another turn; empty when none is."""
        if self.turns >= limits.turns - 1:
            return f"the limit of {limits.turns} turns is reached"
        return self._used_up(limits, paid)

    def room(self, limits: TalkLimits, paid: Answer | None) -> tuple[int, str]:
        """Tell how many more calls may be made, and what keeps those beyond from it."""
        if said := self._used_up(limits, paid):
            return 0, said
        return limits.tool_calls - len(self.calls()), _out_of_calls(limits)

    def _used_up(self, limits: TalkLimits, paid: Answer | None) -> str:
        if BEGINNING in self._fields:
            age_ms = self._now_ms() - _beginnings.decode(self._fields[BEGINNING]).started_ms
            if age_ms > limits.time_s * 1000:
                return f"the limit of {limits.time_s} s is reached"
        if paid is None:
            return ""
        if limits.tokens is not None and paid.usage.prompt + paid.usage.output >= limits.tokens:
            return f"the limit of {limits.tokens} tokens is reached"
        if limits.micro_usd is not None and (paid.cost_usd or Decimal(0)) * _MILLION >= limits.micro_usd:
            return f"the limit of USD {Decimal(limits.micro_usd) / _MILLION:f} is reached"
        return _out_of_calls(limits) if len(self.calls()) >= limits.tool_calls else ""

    def _add(self, name: str, value: bytes) -> dict[str, bytes]:
        size = sum(len(each) for other, each in self._fields.items() if other != name) + len(value)
        if size > MAX_BYTES:
            raise TooLarge(f"the conversation is larger than {MAX_BYTES} bytes")
        self._fields[name] = value
        return {name: value}

    def _exchange(self, number: int) -> Exchange:
        said = self._fields[f"{_TURN}{number}"]
        return Exchange(said, [(use.id, found) for use in read_uses(said) if (found := self._result(use))])

    def _uses(self) -> list[ToolUse]:
        return [use for number in range(self.turns) for use in read_uses(self._fields[f"{_TURN}{number}"])]

    def _result(self, use: ToolUse) -> CallResult | None:
        value = self._fields.get(f"{_CALL}{use.id}")
        return None if value is None or value == _INTENT else _results.decode(value)


def _out_of_calls(limits: TalkLimits) -> str:
    return f"the limit of {limits.tool_calls} calls is reached"
