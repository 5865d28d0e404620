"""The receiver's metrics."""

from typing import Final

from eventroute.runtime.metrics import Counts, Durations

RECEIPTS: Final = Counts(
    "eventroute_receipts",
    "Requests by how they were answered; each request counts exactly once.",
    ["route", "outcome", "reason"],
)
"""`route` is empty where none was found: a sender's path is never a label."""

DELIVERIES: Final = Counts(
    "eventroute_deliveries",
    "Events of settled requests by what became of them; a batch counts each of its items.",
    ["route", "outcome"],
)

SECRET_MATCHES: Final = Counts(
    "eventroute_secret_matches",
    "Verified requests by the index of the secret that matched; 0 is the current one.",
    ["route", "index"],
)

FETCHES: Final = Counts(
    "eventroute_fetches",
    "Public keys of providers, and addresses that confirm subscriptions, by what came of fetching them.",
    ["provider", "outcome"],
)

ACK_SECONDS: Final = Durations(
    "eventroute_ack_seconds",
    "Time from the request's head to the answer, by outcome.",
    "outcome",
    buckets_s=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
