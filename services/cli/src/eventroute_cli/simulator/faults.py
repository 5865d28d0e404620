"""What is to go wrong, and for whom: scripted faults, in order, each for some requests.

The first fault of the list that matches a request, has turns left and wins its draw is what happens to it.
`ok` is one too, so that a script can say "two good answers, then a 529".
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from random import Random
from typing import Annotated, Any, Final

import msgspec

from eventroute.errors import Refused
from eventroute_cli.simulator.request import ApiError


class FaultKind(StrEnum):
    """What can happen instead of an ordinary answer; the figures are HTTP statuses."""

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
    API_ERROR = "500"
    UNAVAILABLE = "503"
    TIMEOUT = "504"
    OVERLOADED = "529"
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
    END_TURN = "end_turn"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"
    TOOL_USE = "tool_use"
    PAUSE_TURN = "pause_turn"
    REFUSAL = "refusal"
    CONTEXT_WINDOW = "model_context_window_exceeded"


STOP_REASONS: Final = frozenset({
    FaultKind.END_TURN, FaultKind.MAX_TOKENS, FaultKind.STOP_SEQUENCE, FaultKind.TOOL_USE, FaultKind.PAUSE_TURN,
    FaultKind.REFUSAL, FaultKind.CONTEXT_WINDOW,
})  # fmt: skip

_ERRORS: Final = {
    FaultKind.INVALID_REQUEST: ("invalid_request_error", "messages: simulated refusal of this request"),
    FaultKind.AUTHENTICATION: ("authentication_error", "invalid x-api-key"),
    FaultKind.BILLING: ("billing_error", "Your credit balance is too low to access the API"),
    FaultKind.PERMISSION: ("permission_error", "Your API key does not have permission to use the specified resource"),
    FaultKind.NOT_FOUND: ("not_found_error", "Not found"),
    FaultKind.REQUEST_TIMEOUT: ("timeout_error", "Request timed out"),
    FaultKind.CONFLICT: ("conflict_error", "The request conflicts with another one"),
    FaultKind.TOO_LARGE: ("request_too_large", "Request exceeds the maximum size"),
    FaultKind.RATE_LIMIT: ("rate_limit_error", "This request would exceed your rate limit"),
    FaultKind.API_ERROR: ("api_error", "Internal server error"),
    FaultKind.UNAVAILABLE: ("api_error", "Service unavailable"),
    FaultKind.TIMEOUT: ("timeout_error", "Gateway timeout"),
    FaultKind.OVERLOADED: ("overloaded_error", "Overloaded"),
}


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
    """Sent as `retry-after`."""
    delay_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Waits this long on top of the usual latency."""
    message: str = ""
    """Replaces the error's text."""

    def error(self) -> ApiError | None:
        """Build the error that this fault answers with, None where it is no error status."""
        if self.kind not in _ERRORS:
            return None
        kind, message = _ERRORS[self.kind]
        headers = {} if self.retry_after_s is None else {"retry-after": f"{self.retry_after_s:g}"}
        return ApiError(int(self.kind), kind, self.message or message, headers=headers)


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
