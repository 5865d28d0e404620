"""Prometheus: one registry per process, and what `/metrics` answers.

Each program defines its own metrics beside its own code, on this registry. Labels are closed sets and route paths;
nothing that a sender controls.
"""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
)
from prometheus_client.exposition import generate_latest

REGISTRY = CollectorRegistry(auto_describe=True)
for _collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
    REGISTRY.register(_collector)

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition() -> bytes:
    """Write every metric in Prometheus' text format."""
    return generate_latest(REGISTRY)
