"""Every way in which a request, a delivery or a run can end, as closed sets: each is a metric label and a word in docs.

An arriving request ends in exactly one `Receipt`; an accepted delivery ends in exactly one `RunOutcome`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Receipt(StrEnum):
    """How the receiver answered a request."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"
    REDELIVERED = "redelivered"
    DEBOUNCED = "debounced"
    FILTERED = "filtered"
    UNDECIDED = "undecided"
    SUSPENDED = "suspended"
    OWN_ACTION = "own_action"
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


class OwnAction(StrEnum):
    """How we know that we have caused an event ourselves, or too much of what led to it."""

    ACTOR = "actor"
    HOP_LIMIT = "hop_limit"


class LeftOut(StrEnum):
    """Why Claude was not asked about an event that its sender believes to be dealt with."""

    FILTERED = "filtered"
    OWN_ACTION = "own_action"
    UNDECIDED = "undecided"
    """Kept as a dead letter: the filter could not judge it."""
    NO_PROMPT = "no_prompt"
    """No prompt's `events` name its type."""
    WHEN = "when"
    """Of the prompts that do, no `when` is true."""


class Refusal(StrEnum):
    """Why a signature was not accepted; never carries what was expected."""

    MISSING_HEADER = "missing_header"
    MALFORMED_SIGNATURE = "malformed_signature"
    STALE = "stale"
    FUTURE = "future"
    MISMATCH = "mismatch"
    UNSIGNED = "unsigned"
    """Nothing in it is signed: of SNS, what its raw message delivery sends."""
    WEAK_DIGEST = "weak_digest"
    """Signed with SHA-1, which the route does not take."""
    FOREIGN = "foreign"
    """It names another sender or audience than the route's: a topic, a service account, an issuer."""
    UNTRUSTED_KEY = "untrusted_key"
    """It names a key that its provider does not have, or no longer."""
    UNKNOWN_SCHEME = "unknown_scheme"
    BODY_UNPARSEABLE = "body_unparseable"


class Unavailable(StrEnum):
    """Why the receiver cannot take a delivery now; the sender should try again."""

    COLD_TABLE = "cold_table"
    REDIS = "redis"
    QUEUE_FULL = "queue_full"
    ROUTE_FULL = "route_full"
    CONNECTIONS = "connections"
    BODIES = "bodies"
    MEMORY = "memory"
    BROKEN_ROUTE = "broken_route"
    KEY = "key"
    """The provider's public key has not been fetched yet."""
    CONFIRMATION = "confirmation"
    """The address that confirms a subscription has not been visited yet."""
    INTERNAL = "internal"


class RunOutcome(StrEnum):
    """How a delivery ended."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    """By the model; with a category as its reason."""
    TRUNCATED = "truncated"
    NO_TEXT = "no_text"
    """Answered and paid for, without a word; the reason says whether it thought."""
    DISCARDED = "discarded"
    SUPERSEDED = "superseded"
    """By a newer event about the same entity, before it was answered."""
    DEAD = "dead"


SENT: Final = "sent"
"""How an answer that was to be sent to a sink ends, unless it becomes a dead letter: the sink has it."""


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
    INVALID_OUTPUT = "invalid_output"
    TOOL_UNKNOWN = "tool_unknown"
    TOOL_LIMIT = "tool_limit"
    UNPARSABLE = "unparsable"
    ROUTE_DELETED = "route_deleted"
    FILTER = "filter"
    INTERNAL = "internal"


WHAT_TO_DO: Final[Mapping[DeadReason, str]] = {
    DeadReason.TIMEOUT: "Raise the prompt's `model.timeout` or ask for less, then replay.",
    DeadReason.INVALID_REQUEST: "Mend what the API's message says of the prompt or the model's settings, then replay.",
    DeadReason.AUTHENTICATION: "Give the route, or the workers, a valid API key, then replay.",
    DeadReason.PERMISSION: "Let the key's workspace use this model, or name another model, then replay.",
    DeadReason.NOT_FOUND: "Name a model in the prompt that exists and that the key may use, then replay.",
    DeadReason.TOO_LARGE: "Name fewer fields of the payload in the prompt's `user` template, then replay.",
    DeadReason.CONTEXT_WINDOW: "Shorten the prompt or its history, or name a model with more room, then replay.",
    DeadReason.BILLING: "Mend the account's billing or its credit, then replay.",
    DeadReason.BUDGET: "Raise the budget that the detail names, ask for less (`maxTokens`, a shorter prompt), or wait "
    "for its next period, then replay.",
    DeadReason.DEADLINE: "See that what it waited for is over, or raise the route's `retry.deadline`, then replay.",
    DeadReason.ATTEMPTS: "Read what the last attempt said, and replay once that is mended; raise `retry.attempts` only "
    "where trying more often would help.",
    DeadReason.RENDER: "Mend the prompt's `user` template (`eventroute lint` judges it), apply the route, then replay.",
    DeadReason.SINK: "Mend the sink that the detail names, then replay: the saved answer is not paid for again.",
    DeadReason.INVALID_OUTPUT: "Claude's answer did not fit the prompt's `output.schema`, twice: mend the schema or "
    "the prompt, then replay; an answer that fits by then is not paid for again, else replay with `--whole`.",
    DeadReason.TOOL_UNKNOWN: "The tool that the detail names may have done its work: see at its service, then replay "
    "with `--whole`, which may call it again, or set the tool's `onUnknown: tell` and replay, which lets Claude go on.",
    DeadReason.TOOL_LIMIT: "The conversation grew larger than can be kept: lower `maxBytes` of the tools, or the "
    "prompt's `limits`, then replay with `--whole`.",
    DeadReason.DECODE: "Nobody can read what was stored, so a replay ends alike: let the provider send it again, and "
    "discard this one.",
    DeadReason.UNPARSABLE: "The sender sent what is no JSON object or form of its provider: look at its body, mend the "
    "sender, let it send again, and discard this one.",
    DeadReason.ROUTE_DELETED: "Create the route again and replay, or discard it.",
    DeadReason.FILTER: "Mend the route's `filter` so that it can judge such events, apply it, then replay: a replay "
    "takes the event as passed.",
    DeadReason.INTERNAL: "This is a fault of EventRoute: replay once, and report it with what the worker logged of the "
    "delivery if it comes back.",
}
"""What people do about each dead letter: for the command, and for the pages."""
