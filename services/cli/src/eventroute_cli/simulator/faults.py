"""What is to go wrong, and for whom: scripted faults, in order, each for some requests.

The first fault of the list that matches a request, has turns left and wins its draw is what happens to it.
`ok` is one too, so that a script can say "two good answers, then a 529".
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from random import Random
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from eventroute.errors import Refused
from eventroute_cli.simulator.errors import ApiError


class FaultKind(StrEnum):
    """What can happen instead of an ordinary answer; figures are HTTP statuses."""

    OK = "ok"
    INVALID_REQUEST = "400"
    AUTHENTICATION = "401"
    BILLING = "402"
    PERMISSION = "403"
    NOT_FOUND = "404"
    REQUEST_TIMEOUT = "408"
    CONFLICT = "409"
    TOO_LARGE = "413"
    RATE_LIMIT = "429"
    CLIENT_CLOSED = "499"
    API_ERROR = "500"
    UNAVAILABLE = "503"
    TIMEOUT = "504"
    OVERLOADED = "529"
    RAMP_LIMIT = "ramp_limit"
    """429: usage grows too fast."""
    ENFORCED_SPEND_LIMIT = "enforced_spend_limit"
    """429 without `retry-after`: the month's cap of the usage tier."""
    CONTRACT_SPEND_LIMIT = "contract_spend_limit"
    """The same, of a contract."""
    OWN_SPEND_LIMIT = "own_spend_limit"
    """400, told by its wording only: the limit that the organization has set itself."""
    WORKSPACE_SPEND_LIMIT = "workspace_spend_limit"
    """The same, of a workspace."""
    CREDIT_BALANCE = "credit_balance"
    """400, told by its wording only: what was paid in advance is used up."""
    ON_HOLD = "organization_on_hold"
    """400: the organization has been disabled."""
    HANG = "hang"
    """No answer until the client gives up."""
    CUT = "cut"
    """The connection ends before the answer's first byte."""
    CUT_BODY = "cut_body"
    """The connection ends in the middle of the answer."""
    MALFORMED = "malformed"
    """Status 200 and JSON that does not parse."""
    NO_TEXT = "no_text"
    """Thinking uses up `max_tokens`: a paid answer without a word."""
    SCHEMA_VIOLATION = "schema_violation"
    """A structured answer that does not fit its schema."""
    ENUM_CASE = "enum_case"
    """A structured answer with its enumerated strings in the other case."""
    END_TURN = "end_turn"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"
    TOOL_USE = "tool_use"
    OBEY = "obey"
    """Uses whatever tools the message names, offered or not, `use NAME {…}`: a model that strangers command."""
    PAUSE_TURN = "pause_turn"
    REFUSAL = "refusal"
    CONTEXT_WINDOW = "model_context_window_exceeded"


STOP_REASONS: Final = frozenset({
    FaultKind.END_TURN, FaultKind.MAX_TOKENS, FaultKind.STOP_SEQUENCE, FaultKind.TOOL_USE, FaultKind.PAUSE_TURN,
    FaultKind.REFUSAL, FaultKind.CONTEXT_WINDOW,
})  # fmt: skip


class _Error(NamedTuple):
    status: int
    type: str
    message: str
    code: str = ""
    retry_after_s: float | None = None
    """Sent where the script names none: the API leaves it out only where waiting is of no use."""


_INVALID: Final = "invalid_request_error"
_LIMIT: Final = "rate_limit_error"
_REGAIN: Final = "You will regain access on 2027-01-01 at 00:00 UTC."
_ERRORS: Final = {
    FaultKind.INVALID_REQUEST: _Error(400, _INVALID, "messages: simulated refusal of this request"),
    FaultKind.OWN_SPEND_LIMIT: _Error(400, _INVALID, f"You have reached your specified API usage limits. {_REGAIN}"),
    FaultKind.WORKSPACE_SPEND_LIMIT: _Error(
        400, _INVALID, f"You have reached your specified workspace API usage limits. {_REGAIN}"
    ),
    FaultKind.CREDIT_BALANCE: _Error(
        400,
        _INVALID,
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or "
        "purchase credits.",
    ),
    FaultKind.ON_HOLD: _Error(400, _INVALID, "This organization has been disabled.", "organization_on_hold"),
    FaultKind.AUTHENTICATION: _Error(401, "authentication_error", "invalid x-api-key"),
    FaultKind.BILLING: _Error(402, "billing_error", "There is an issue with your billing or payment information."),
    FaultKind.PERMISSION: _Error(
        403, "permission_error", "Your API key does not have permission to use the specified resource"
    ),
    FaultKind.NOT_FOUND: _Error(404, "not_found_error", "Not found"),
    FaultKind.REQUEST_TIMEOUT: _Error(408, "timeout_error", "Request timed out"),
    FaultKind.CONFLICT: _Error(409, "conflict_error", "The request conflicts with another one"),
    FaultKind.TOO_LARGE: _Error(413, "request_too_large", "Request exceeds the maximum size"),
    FaultKind.RATE_LIMIT: _Error(429, _LIMIT, "This request would exceed your rate limit", retry_after_s=1),
    FaultKind.RAMP_LIMIT: _Error(
        429, _LIMIT, "This request would exceed the rate at which your usage may grow", "ramp_limit_exceeded", 1
    ),
    FaultKind.ENFORCED_SPEND_LIMIT: _Error(
        429,
        _LIMIT,
        "You have reached your API usage limits: your organization has crossed its monthly API usage threshold, set "
        f"based on your organization's API tier. {_REGAIN}",
        "enforced_spend_limit_reached",
    ),
    FaultKind.CONTRACT_SPEND_LIMIT: _Error(
        429, _LIMIT, "Your organization has reached the spend limit of its contract", "contract_spend_limit_reached"
    ),
    FaultKind.CLIENT_CLOSED: _Error(499, "api_error", "Client closed request"),
    FaultKind.API_ERROR: _Error(500, "api_error", "Internal server error"),
    FaultKind.UNAVAILABLE: _Error(503, "api_error", "Service unavailable"),
    FaultKind.TIMEOUT: _Error(504, "timeout_error", "Gateway timeout"),
    FaultKind.OVERLOADED: _Error(529, "overloaded_error", "Overloaded"),
}
"""Statuses, types, codes and the wording of spend limits: platform.claude.com/docs/en/api/errors and /api/rate-limits,
October 2026; that of a used-up balance as the API has answered. The other wordings are ours."""


Category = Literal["cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One entry of a script."""

    kind: FaultKind
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """How many requests it takes. Absent: one, or without end where a `rate` is given."""
    rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    """Share of the matching requests that it takes."""
    match: str = ""
    """Only requests whose text (system and messages) holds this, such as a delivery id or an event name."""
    retry_after_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Sent as `retry-after`; absent: as the API does."""
    delay_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Waits this long on top of the usual latency."""
    message: str = ""
    """Replaces the error's text."""
    text: str = ""
    """Said instead of the usual words, behind the mark of the simulator; a structured answer is this as it stands."""
    category: Category | None = "general_harms"
    """Of a refusal; None = it fits none."""
    tool: str = ""
    """Which tool is used; empty = the one that is to be, or the first."""
    input: dict[str, Any] | None = None
    """What the tool is given; None = something that fits."""
    calls: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    """How many uses of the tool stand in one answer, where the request lets them."""

    def error(self) -> ApiError | None:
        """Build the error that this fault answers with, None where it is no error status."""
        if (error := _ERRORS.get(self.kind)) is None:
            return None
        after_s = error.retry_after_s if self.retry_after_s is None else self.retry_after_s
        headers = {} if after_s is None else {"retry-after": f"{after_s:g}"}
        return ApiError(error.status, error.type, self.message or error.message, code=error.code, headers=headers)


class Pending(msgspec.Struct, kw_only=True):
    """A fault and its turns, as the control endpoint shows it."""

    fault: Fault
    left: int | None
    """None = without end."""
    taken: int = 0


class FaultScript:
    """The faults that still wait for their requests."""

    def __init__(self, faults: Sequence[Fault] = (), *, seed: int = 0) -> None:
        """Take the faults in the order in which they are to be tried; `seed` makes rates repeatable."""
        self._pending: list[Pending] = []
        self._random = Random(seed)
        self.add(faults)

    def add(self, faults: Iterable[Fault]) -> None:
        """Append faults."""
        self._pending += [Pending(fault=fault, left=_turns(fault)) for fault in faults]

    def clear(self) -> None:
        """Forget all faults: every answer is ordinary again."""
        self._pending.clear()

    def pending(self) -> list[Pending]:
        """List the faults with turns left."""
        return list(self._pending)

    def take(self, text: str) -> Fault | None:
        """Choose what happens to a request with this text, and count the turn."""
        for entry in self._pending:
            if entry.fault.match not in text:
                continue
            if entry.fault.rate < 1 and self._random.random() >= entry.fault.rate:
                continue
            entry.taken += 1
            if entry.left is not None:
                entry.left -= 1
                if entry.left == 0:
                    self._pending.remove(entry)
            return entry.fault
        return None


def _turns(fault: Fault) -> int | None:
    if fault.times is None:
        return 1 if fault.rate == 1 else None
    return fault.times


def parse_faults(document: bytes) -> list[Fault]:
    """Read a script: one fault as a JSON object, or a list of them; raises `Refused` with the place of the mistake."""
    try:
        value: Any = msgspec.json.decode(document)
        return msgspec.convert(value if isinstance(value, list) else [value], list[Fault])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"fault script: {error}") from error


def parse_fault(text: str) -> Fault:
    """Read the short form of the command line, `KIND[,FIELD=VALUE]…`, such as `429,times=3,retry_after_s=2`."""
    kind, *options = text.split(",")
    fields = dict(option.partition("=")[::2] for option in options)
    try:
        return msgspec.convert({"kind": kind.strip(), **fields}, Fault, strict=False)
    except msgspec.ValidationError as error:
        kinds = ", ".join(FaultKind)
        raise Refused(f"fault {text!r}: {error}; a fault is KIND[,FIELD=VALUE]… with a kind of {kinds}") from error
