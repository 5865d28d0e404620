"""Whose fault a failed call to Claude is: the API's passing trouble, a standing one of key or account, the delivery's.

By status, type and code wherever these tell; what only the wording tells stands in `_TOLD_BY_WORDING`. Pure: knows
neither the SDK nor routes.
Source: platform.claude.com/docs/en/api/errors and /api/rate-limits, as of October 2026; codes as in the `anthropic`
SDK 2.12.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from eventroute.outcome import DeadReason
from eventroute_worker.answer import GivenUp, Passing, Standing
from eventroute_worker.backoff import read_retry_after

_PASSING: Final = frozenset({408, 409, 429, 499})
_SERVER_ERROR: Final = 500

_OF_THE_KEY: Final = {401: DeadReason.AUTHENTICATION, 402: DeadReason.BILLING}
_OF_ONE_MODEL: Final = {403: DeadReason.PERMISSION, 404: DeadReason.NOT_FOUND}
_OF_THE_DELIVERY: Final = {413: DeadReason.TOO_LARGE, 431: DeadReason.TOO_LARGE}
_CODES: Final = {
    (429, "contract_spend_limit_reached"): DeadReason.BILLING,
    (429, "enforced_spend_limit_reached"): DeadReason.BILLING,
    (400, "organization_on_hold"): DeadReason.PERMISSION,
}
"""Codes that last until somebody acts or the month ends, whatever their status says of other cases."""

_TOLD_BY_WORDING: Final = {
    "You have reached your specified ": DeadReason.BILLING,
    "Your credit balance is too low": DeadReason.BILLING,
}
"""How messages begin that come as a 400 `invalid_request_error` without a code, and are of the account all the same.

The first is a spend limit of the organization or workspace that its owner has set: documented in /api/rate-limits,
"Setting your own spend limit", October 2026. The second is a prepaid account that is used up: seen in the API's answers
from 2025 to September 2026, not documented. Only the beginning counts, as further on a message may quote the request.
"""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What the API answered instead of a message."""

    status: int
    type: str | None = None
    """`error.type`; None where the body is not the API's, as with a proxy's answer."""
    code: str | None = None
    """`error.details.error_code`."""
    message: str = ""
    headers: Mapping[str, str]
    """Looked up by names in lower case."""
    request_id: str | None = None


def judge(refusal: Refusal) -> Passing | Standing | GivenUp:
    """Tell whose fault a refused call is; the details hold nothing of the API's wording, which may quote the prompt."""
    status = refusal.status
    detail = f"{status} {_cause(refusal)} (request {refusal.request_id or 'unknown'})"
    if (reason := _of_the_key(refusal)) is not None:
        return Standing(reason=reason, detail=detail, whole_key=True)
    if status in _PASSING or status >= _SERVER_ERROR:
        return Passing(detail=detail, after_s=_retry_after_s(refusal.headers), status=status)
    if (reason := _OF_ONE_MODEL.get(status)) is not None:
        return Standing(reason=reason, detail=detail, whole_key=False)
    return GivenUp(reason=_OF_THE_DELIVERY.get(status, DeadReason.INVALID_REQUEST), detail=detail)


def _cause(refusal: Refusal) -> str:
    return "/".join(filter(None, (refusal.type, refusal.code))) or "no type"


def _of_the_key(refusal: Refusal) -> DeadReason | None:
    if (reason := _CODES.get((refusal.status, refusal.code or ""))) is not None:
        return reason
    if refusal.type == "billing_error":
        return DeadReason.BILLING
    if (refusal.status, refusal.type, refusal.code) == (400, "invalid_request_error", None):
        found = (reason for begin, reason in _TOLD_BY_WORDING.items() if refusal.message.startswith(begin))
        return next(found, None)
    return _OF_THE_KEY.get(refusal.status)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    with contextlib.suppress(ValueError):
        if (after_s := float(headers.get("retry-after-ms") or "") * 0.001) >= 0:  # false for what is not a number
            return after_s
    return read_retry_after(headers.get("retry-after") or "")
