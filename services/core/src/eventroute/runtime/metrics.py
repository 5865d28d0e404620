"""Prometheus: one registry per process, and what `/metrics` answers.

Each program defines its own metrics beside its own code, on this registry. Labels are closed sets and route paths;
nothing that a sender controls.

`Counts` and `Durations` are counters and histograms as plain dicts, for what happens at every request: that belongs to
the event loop's thread, and prometheus_client's locks took 2.5 us of a receipt.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry(auto_describe=True)
for _collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
    REGISTRY.register(_collector)

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition() -> bytes:
    """Write every metric in Prometheus' text format."""
    return generate_latest(REGISTRY)


class Counts(Collector):
    """A counter with labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        """Register it under a name, which Prometheus reads with `_total` at its end."""
        self._name, self._documentation, self._labels = name, documentation, labels
        self._counts: Counter[tuple[str, ...]] = Counter()
        REGISTRY.register(self)

    def add(self, *labels: str, count: int = 1) -> None:
        """Count something under its labels' values, in the labels' order."""
        self._counts[labels] += count

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Tell Prometheus."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, count in self._counts.items():
            family.add_metric(labels, count)
        yield family


class Durations(Collector):
    """A histogram of seconds with one label."""

    def __init__(self, name: str, documentation: str, label: str, *, buckets_s: Sequence[float]) -> None:
        """Register it; `buckets_s` are the upper ends of the buckets, rising, the last one without end excepted."""
        self._name, self._documentation, self._label = name, documentation, label
        self._buckets_s = buckets_s
        self._counts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(buckets_s) + 1))
        self._sums: defaultdict[str, float] = defaultdict(float)
        REGISTRY.register(self)

    def observe(self, label: str, seconds: float) -> None:
        """Note one duration."""
        self._counts[label][bisect_left(self._buckets_s, seconds)] += 1
        self._sums[label] += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Tell Prometheus, whose buckets hold all that is below their end."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=[self._label])
        ends = [*map(str, self._buckets_s), "+Inf"]
        for label, counts in self._counts.items():
            family.add_metric([label], list(zip(ends, accumulate(counts), strict=True)), self._sums[label])
        yield family
