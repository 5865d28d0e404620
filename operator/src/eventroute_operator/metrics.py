"""What the operator counts and times, on the process's one registry."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from eventroute.runtime.metrics import REGISTRY

ROUTES: Final = Gauge(
    "eventroute_operator_routes", "EventRoutes, by the reason of Ready", ["reason"], registry=REGISTRY
)
RECONCILE: Final = Histogram(
    "eventroute_operator_reconcile_seconds",
    "From a turn's begin until what changed is compiled and published",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
PUBLISH_ERRORS: Final = Counter("eventroute_operator_publish_errors", "Publications that failed", registry=REGISTRY)
STATUS_WRITES: Final = Counter(
    "eventroute_operator_status_writes", "Status writes, by how they ended", ["result"], registry=REGISTRY
)
EVENTS: Final = Counter(
    "eventroute_operator_events", "Kubernetes Events, by what became of them", ["result"], registry=REGISTRY
)
WATCH_EVENTS: Final = Counter(
    "eventroute_operator_watch_events", "Changes that watches told of", ["kind"], registry=REGISTRY
)
RESYNCS: Final = Counter(
    "eventroute_operator_resyncs", "Complete lists of everything, by how they ended", ["result"], registry=REGISTRY
)
WATCH_AGE: Final = Gauge(
    "eventroute_operator_watch_age_seconds",
    "Since a watch was last accepted by the API server or told of a change",
    ["kind"],
    registry=REGISTRY,
)
STOPPED: Final = Gauge(
    "eventroute_operator_stopped", "1 while somebody has stopped the installation", registry=REGISTRY
)
