"""What the worker counts and times, on the process's one registry; each name begins with `eventroute_worker_`."""

from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from eventroute.runtime.metrics import REGISTRY

_PREFIX: Final = "eventroute_worker_"


def _counter(name: str, told: str, *labels: str) -> Counter:
    return Counter(f"{_PREFIX}{name}", told, labels, registry=REGISTRY)


def _gauge(name: str, told: str, *labels: str) -> Gauge:
    return Gauge(f"{_PREFIX}{name}", told, labels, registry=REGISTRY)


def _histogram(name: str, told: str, *labels: str, buckets_s: Sequence[float]) -> Histogram:
    return Histogram(f"{_PREFIX}{name}", told, labels, buckets=buckets_s, registry=REGISTRY)


_PICKUP_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

PICKUP: Final = _histogram(
    "pickup_seconds",
    "From the moment a delivery was ready to the moment a worker leased it",
    buckets_s=_PICKUP_BUCKETS_S,
)
IN_FLIGHT: Final = _gauge("in_flight", "Deliveries that this worker works on now")
ATTEMPTS: Final = _counter("attempts", "Attempts that ended, by how", "end")
RUNS: Final = _counter(
    "runs",
    "Deliveries that ended, by outcome; the reason of a dead one, category of a refusal, or what there was but text",
    "outcome",
    "reason",
)
SENDINGS: Final = _counter("sendings", "Attempts to send an answer to a sink, by how they ended", "end")
LEASES_LOST: Final = _counter("leases_lost", "Deliveries that another worker took while this one ran them")
ENDS_REFUSED: Final = _counter("ends_refused", "Tries to record how a delivery ended that Redis refused")
OUTBOUND_BLOCKED: Final = _counter(
    "outbound_blocked", "Connections of sinks and tools that were refused, by the rule against them", "rule"
)
PARKED: Final = _gauge(
    "parked",
    "Deliveries that wait until a key or model is mended, or a budget has room; told by the worker that keeps it",
    "reason",
)
THROTTLED: Final = _gauge(
    "throttled",
    "Deliveries that wait for their turn at Claude, by key and pool of models; told by the worker that keeps the queue",
    "bucket",
)
CALLS: Final = _gauge(
    "throttle_calls",
    "Calls under way by all workers, for buckets that others wait for; told by the worker that keeps the queue",
    "bucket",
)
CALL_LIMIT: Final = _gauge("throttle_call_limit", "How many of them there may be, as learned", "bucket")
REQUESTS_LEFT: Final = _gauge("throttle_requests_left", "What is left of a minute's requests", "bucket")
GRANTED: Final = _counter("throttle_granted", "Deliveries that waited for the throttle and got their turn")
CONGESTIONS: Final = _counter(
    "throttle_congestions", "Calls that the API refused for now: limited (429), overloaded (529)", "kind"
)
HELD_ROUTES: Final = _gauge(
    "held_routes", "Routes whose deliveries wait, by why; told by the worker that keeps the queue", "reason"
)
BUDGET_USED: Final = _gauge(
    "budget_used_ratio",
    "Part of a budget that is spent in its period, by whose it is; told by the worker that keeps the queue",
    "scope",
)
BUDGET_WARNINGS: Final = _counter("budget_warnings", "Periods in which a budget was warned of", "scope")
CLAUDE_SECONDS: Final = _histogram(
    "claude_seconds",
    "Duration of calls to Claude, by how they ended",
    "model",
    "end",
    buckets_s=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 120, 300),
)
TOKENS: Final = _counter("tokens", "Tokens, by kind", "model", "kind")
COST_USD: Final = _counter("cost_usd", "Cost of answers, in US dollars", "model")
UNPRICED: Final = _counter("unpriced_answers", "Answers whose cost is unknown", "model")
TOOL_CALLS: Final = _counter("tool_calls", "Calls of tools that ended, by the tool's kind and how", "kind", "outcome")
FALLBACKS: Final = _counter("fallbacks", "Answers that a prompt's other model gave, by why", "model", "because")


def tell(gauge: Gauge, counts: Mapping[str, float]) -> None:
    """Set a gauge of one label to these counts, and to nothing else."""
    gauge.clear()
    for label, count in counts.items():
        gauge.labels(label).set(count)
