"""What the worker counts and times, on the process's one registry."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from eventroute.runtime.metrics import REGISTRY

_PICKUP_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

PICKUP: Final = Histogram(
    "eventroute_worker_pickup_seconds",
    "From the moment a delivery was ready to the moment a worker leased it",
    buckets=_PICKUP_BUCKETS_S,
    registry=REGISTRY,
)
IN_FLIGHT: Final = Gauge("eventroute_worker_in_flight", "Deliveries that this worker works on now", registry=REGISTRY)
ATTEMPTS: Final = Counter("eventroute_worker_attempts", "Attempts that ended, by how", ["end"], registry=REGISTRY)
RUNS: Final = Counter(
    "eventroute_worker_runs",
    "Deliveries that ended, by outcome; the reason of a dead one, category of a refusal, or what there was but text",
    ["outcome", "reason"],
    registry=REGISTRY,
)
LEASES_LOST: Final = Counter(
    "eventroute_worker_leases_lost", "Deliveries that another worker took while this one ran them", registry=REGISTRY
)
ENDS_REFUSED: Final = Counter(
    "eventroute_worker_ends_refused", "Tries to record how a delivery ended that Redis refused", registry=REGISTRY
)
PARKED: Final = Gauge(
    "eventroute_worker_parked",
    "Deliveries that wait until a key or model is mended, or a budget has room; told by the worker that keeps it",
    ["reason"],
    registry=REGISTRY,
)
THROTTLED: Final = Gauge(
    "eventroute_worker_throttled",
    "Deliveries that wait for their turn at Claude, by key and pool of models; told by the worker that keeps the queue",
    ["bucket"],
    registry=REGISTRY,
)
CALLS: Final = Gauge(
    "eventroute_worker_throttle_calls",
    "Calls under way by all workers, for buckets that others wait for; told by the worker that keeps the queue",
    ["bucket"],
    registry=REGISTRY,
)
CALL_LIMIT: Final = Gauge(
    "eventroute_worker_throttle_call_limit", "How many of them there may be, as learned", ["bucket"], registry=REGISTRY
)
REQUESTS_LEFT: Final = Gauge(
    "eventroute_worker_throttle_requests_left", "What is left of a minute's requests", ["bucket"], registry=REGISTRY
)
GRANTED: Final = Counter(
    "eventroute_worker_throttle_granted",
    "Deliveries that waited for the throttle and got their turn",
    registry=REGISTRY,
)
CONGESTIONS: Final = Counter(
    "eventroute_worker_throttle_congestions",
    "Calls that the API refused for now: limited (429), overloaded (529)",
    ["kind"],
    registry=REGISTRY,
)
HELD_ROUTES: Final = Gauge(
    "eventroute_worker_held_routes",
    "Routes whose deliveries wait, by why; told by the worker that keeps the queue",
    ["reason"],
    registry=REGISTRY,
)
BUDGET_USED: Final = Gauge(
    "eventroute_worker_budget_used_ratio",
    "Part of a budget that is spent in its period, by whose it is; told by the worker that keeps the queue",
    ["scope"],
    registry=REGISTRY,
)
BUDGET_WARNINGS: Final = Counter(
    "eventroute_worker_budget_warnings", "Periods in which a budget was warned of", ["scope"], registry=REGISTRY
)
CLAUDE_SECONDS: Final = Histogram(
    "eventroute_worker_claude_seconds",
    "Duration of calls to Claude, by how they ended",
    ["model", "end"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 120, 300),
    registry=REGISTRY,
)
TOKENS: Final = Counter("eventroute_worker_tokens", "Tokens, by kind", ["model", "kind"], registry=REGISTRY)
COST_USD: Final = Counter("eventroute_worker_cost_usd", "Cost of answers, in US dollars", ["model"], registry=REGISTRY)
UNPRICED: Final = Counter(
    "eventroute_worker_unpriced_answers", "Answers whose cost is unknown", ["model"], registry=REGISTRY
)
FALLBACKS: Final = Counter(
    "eventroute_worker_fallbacks",
    "Answers that a prompt's other model gave, by why",
    ["model", "because"],
    registry=REGISTRY,
)


def tell(gauge: Gauge, counts: Mapping[str, float]) -> None:
    """Set a gauge of one label to these counts, and to nothing else."""
    gauge.clear()
    for label, count in counts.items():
        gauge.labels(label).set(count)
