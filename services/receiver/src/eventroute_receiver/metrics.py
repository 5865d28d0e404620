"""The receiver's metrics."""

from functools import cache

from prometheus_client import Counter, Histogram

from eventroute.runtime.metrics import REGISTRY

RECEIPTS = Counter(
    "eventroute_receipts_total",
    "Requests by how they were answered; each request counts exactly once.",
    ["route", "outcome", "reason"],
    registry=REGISTRY,
)
"""`route` is empty where none was found: a sender's path is never a label."""

DELIVERIES = Counter(
    "eventroute_deliveries_total",
    "Events of settled requests by what became of them; a batch counts each of its items.",
    ["route", "outcome"],
    registry=REGISTRY,
)

SECRET_MATCHES = Counter(
    "eventroute_secret_matches_total",
    "Verified requests by the index of the secret that matched; 0 is the current one.",
    ["route", "index"],
    registry=REGISTRY,
)

ACK_SECONDS = Histogram(
    "eventroute_ack_seconds",
    "Time from the request's head to the answer, by outcome.",
    ["outcome"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
    registry=REGISTRY,
)

# A child is looked up by name at each request; without a cache that costs as much as reading the body.
receipts = cache(RECEIPTS.labels)
deliveries = cache(DELIVERIES.labels)
secret_matches = cache(SECRET_MATCHES.labels)
ack_seconds = cache(ACK_SECONDS.labels)
