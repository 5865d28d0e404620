"""What asking Claude ends in; and an answer as it is kept, the checkpoint of a run, and given to sinks."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec

from eventroute.answer_schema import AnswerSchema, DoesNotFit
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.talk import CallRecord
from eventroute.throttle import Told

_encoder = msgspec.json.Encoder()

CATEGORIES: Final = frozenset({"cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"})
"""What the API names of refusals; what it may name later is `other`, as these are labels of a metric."""


class Silence(StrEnum):
    """What an answer without text held."""

    THINKING_ONLY = "thinking_only"
    EMPTY = "empty"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one call. The four kinds do not overlap."""

    input: int
    """Neither written to nor read from the cache."""
    output: int
    cache_write: int = 0
    """To be kept for five minutes."""
    cache_write_1h: int = 0
    cache_read: int = 0
    thinking: int = 0
    """Of the output: what nobody sees."""

    @property
    def prompt(self) -> int:
        """The whole prompt, cached or not."""
        return self.input + self.cache_write + self.cache_write_1h + self.cache_read

    def __add__(self, other: "Usage") -> "Usage":
        """Add up two calls."""
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Because(StrEnum):
    """Why another model was asked than the prompt names."""

    REFUSED = "refused"
    NOT_FOUND = "not_found"


NOT_TOLD: Final = Told()


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer that was paid for."""

    outcome: RunOutcome
    """succeeded, truncated, refused or no_text."""
    reason: str = ""
    """Of a refusal its category, of an answer without text a `Silence`."""
    text: str
    """Empty exactly with no_text, or a refusal without a word."""
    model: str
    """The one that answered, often a dated name of the one asked for."""
    instead_of: str = ""
    """The one that the prompt names, where its fallback answered."""
    because: Because | None = None
    """Why it did."""
    stop_reason: str
    message_id: str
    request_id: str
    usage: Usage
    """Of all calls that it took."""
    cost_usd: Decimal | None
    """The same; None where a model's price is unknown."""
    answered_ms: int
    """Unix milliseconds."""
    missing_fields: tuple[str, ...] = ()
    """What the prompt's template wanted and the event lacks."""
    value: Any = None
    """Of a prompt with a schema the answer as data, of which `text` is the JSON; None = there is none, or it does not
    fit."""
    violation: str = ""
    """Why it does not."""
    is_second: bool = False
    """It was asked for once more, as the one before did not fit."""
    goes_on: bool = False
    """It is a turn of a conversation: Claude wants results of tools first."""
    calls: tuple[CallRecord, ...] = ()
    """What was done before it."""
    said: bytes = b""
    """Of such a turn the content blocks, JSON as it came; kept elsewhere."""
    told: Told = NOT_TOLD
    """What came with it of rate limits; not kept."""


@dataclass(frozen=True, kw_only=True)
class Passing:
    """No answer now, by nobody's fault here: it costs the delivery nothing but time."""

    detail: str
    """For people; no prompt, no answer."""
    after_s: float | None = None
    """The least wait that the API asked for."""
    may_be_paid: bool = False
    """Claude may have answered, and nobody heard what it cost."""
    status: int = 0
    """HTTP; 0 = there was no answer."""
    told: Told = NOT_TOLD


@dataclass(frozen=True, kw_only=True)
class Failed:
    """No answer, by this attempt's own doing: it costs one, and a later one may get an answer."""

    detail: str
    timed_out: bool = False
    may_be_paid: bool = False
    """As above."""
    told: Told = NOT_TOLD


@dataclass(frozen=True, kw_only=True)
class Standing:
    """No answer until somebody mends the key, the account or the choice of model; the delivery is not to blame."""

    reason: DeadReason
    detail: str
    whole_key: bool
    """False where only the model asked for is concerned: other models may answer with the same key."""
    told: Told = NOT_TOLD


@dataclass(frozen=True, kw_only=True)
class GivenUp:
    """The delivery's own fault: no further attempt will change that."""

    reason: DeadReason
    detail: str
    paid: Answer | None = None
    """What was paid for all the same."""
    told: Told = NOT_TOLD


def as_variable(answer: Answer) -> dict[str, Any]:
    """Write an answer as expressions and templates see it, as `answer`."""
    return {
        "text": answer.text,
        "outcome": answer.outcome.value,
        "reason": answer.reason,
        "model": answer.model,
        "value": answer.value,
    }


Reply = Answer | Passing | Failed | Standing | GivenUp


def read_by(schema: AnswerSchema | None, answer: Answer) -> Answer:
    """Read an answer by its prompt's schema of now; one that was declined or broken off is what it is.

    schema  None = any text will do
    """
    if answer.outcome is not RunOutcome.SUCCEEDED or answer.goes_on:
        return answer
    if schema is None:
        return msgspec.structs.replace(answer, value=None, violation="")
    try:
        value = schema.read(answer.text)
    except DoesNotFit as error:
        return msgspec.structs.replace(answer, value=None, violation=str(error))
    return msgspec.structs.replace(answer, text=_encoder.encode(value).decode(), value=value, violation="")


def added(earlier: Answer | None, later: Answer) -> Answer:
    """Count what an earlier call cost in with a later one."""
    if earlier is None:
        return later
    costs = (earlier.cost_usd, later.cost_usd)
    return msgspec.structs.replace(
        later,
        usage=earlier.usage + later.usage,
        cost_usd=None if None in costs else sum(filter(None, costs), Decimal(0)),
    )


_decoder = msgspec.json.Decoder(Answer)


def encode_answer(answer: Answer) -> bytes:
    """Write an answer as JSON."""
    return _encoder.encode(msgspec.structs.replace(answer, told=NOT_TOLD, said=b""))


def decode_answer(data: bytes) -> Answer:
    """Read an answer; raises `msgspec.DecodeError` when it is not one."""
    return _decoder.decode(data)
