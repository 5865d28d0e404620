"""Every way in which a request, a delivery or a run can end, as closed sets: each is a metric label and a word in docs.

An arriving request ends in exactly one `Receipt`; an accepted delivery ends in exactly one `RunOutcome`.
"""

from enum import StrEnum


class Receipt(StrEnum):
    """How the receiver answered a request."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"
    REDELIVERED = "redelivered"
    FILTERED = "filtered"
    UNDECIDED = "undecided"
    SUSPENDED = "suspended"
    HANDSHAKE = "handshake"
    UNAUTHENTICATED = "unauthenticated"
    UNKNOWN_ROUTE = "unknown_route"
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    UNSUPPORTED = "unsupported"
    UNPARSABLE = "unparsable"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"


class Refusal(StrEnum):
    """Why a signature was not accepted; never carries what was expected."""

    MISSING_HEADER = "missing_header"
    MALFORMED_SIGNATURE = "malformed_signature"
    STALE = "stale"
    FUTURE = "future"
    MISMATCH = "mismatch"
    UNKNOWN_SCHEME = "unknown_scheme"
    BODY_UNPARSEABLE = "body_unparseable"


class Unavailable(StrEnum):
    """Why the receiver cannot take a delivery now; the sender should try again."""

    COLD_TABLE = "cold_table"
    REDIS = "redis"
    QUEUE_FULL = "queue_full"
    ROUTE_FULL = "route_full"
    MEMORY = "memory"
    BROKEN_ROUTE = "broken_route"
    INTERNAL = "internal"


class RunOutcome(StrEnum):
    """How a delivery ended."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    DISCARDED = "discarded"
    DEAD = "dead"


class DeadReason(StrEnum):
    """Why a delivery became a dead letter."""

    TIMEOUT = "timeout"
    INVALID_REQUEST = "invalid_request"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    CONTEXT_WINDOW = "context_window"
    BILLING = "billing"
    BUDGET = "budget"
    DEADLINE = "deadline"
    ATTEMPTS = "attempts"
    RENDER = "render"
    SINK = "sink"
    DECODE = "decode"
    UNPARSABLE = "unparsable"
    ROUTE_DELETED = "route_deleted"
    FILTER = "filter"
    INTERNAL = "internal"
