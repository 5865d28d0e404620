"""Prometheus: one registry per process, and what `/metrics` answers.

Each program defines its own metrics beside its own code, on this registry. Labels are closed sets and route paths;
nothing that a sender controls.

`Counts` and `Durations` are counters and histograms as plain dicts, for what happens at every request: that belongs to
the event loop's thread, and prometheus_client's locks took 2.5 us of a receipt. They are written on the loop too, in
pieces: their series are as many as routes, and a thread would wrest the interpreter from the loop all the time.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Protocol

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from eventroute.runtime.pace import Pace


class _Lines(Protocol):
    """A metric that writes itself, line by line."""

    def lines(self) -> Iterator[str]:
        """Write what has been counted; others may count between two lines."""
        ...


class Registry(CollectorRegistry):
    """Every metric of a process; those with many series write themselves."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__(auto_describe=True)
        self.large: list[_Lines] = []
        self._small: list[Collector] = []

    def register(self, collector: Collector) -> None:
        """Take a metric; raises `ValueError` when its name is taken."""
        super().register(collector)
        if isinstance(collector, Counts | Durations):
            self.large.append(collector)
        else:
            self._small.append(collector)

    def small(self) -> bytes:
        """Write the metrics that have few series."""
        return generate_latest(_Collectors(self._small))


class _Collectors(CollectorRegistry):
    def __init__(self, collectors: Sequence[Collector]) -> None:
        super().__init__()
        self._those = collectors

    def collect(self) -> Iterator[Metric]:
        for collector in self._those:
            yield from collector.collect()


class Counts(Collector):
    """A counter with labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        """Register it under a name, which Prometheus reads with `_total` at its end."""
        self._name, self._documentation, self._labels = name, documentation, labels
        self.counts: Counter[tuple[str, ...]] = Counter()
        """Labels' values, in the labels' order → how often; whoever counts adds to it."""
        REGISTRY.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Tell Prometheus."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, count in self.counts.items():
            family.add_metric(labels, count)
        yield family

    def lines(self) -> Iterator[str]:
        """Write it as Prometheus reads it."""
        yield from _heading(f"{self._name}_total", "counter", self._documentation)
        for labels, count in list(self.counts.items()):
            yield _sample(f"{self._name}_total", dict(zip(self._labels, labels, strict=True)), count)


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
        for label in self._counts:
            family.add_metric([label], self._buckets(label), self._sums[label])
        yield family

    def lines(self) -> Iterator[str]:
        """Write it as Prometheus reads it."""
        yield from _heading(self._name, "histogram", self._documentation)
        for label in list(self._counts):
            buckets, total = self._buckets(label), self._sums[label]  # of one moment
            for end, count in buckets:
                yield _sample(f"{self._name}_bucket", {self._label: label, "le": end}, count)
            yield _sample(f"{self._name}_count", {self._label: label}, buckets[-1][1])
            yield _sample(f"{self._name}_sum", {self._label: label}, total)

    def _buckets(self, label: str) -> list[tuple[str, int]]:
        return list(zip([*map(str, self._buckets_s), "+Inf"], accumulate(self._counts[label]), strict=True))


REGISTRY = Registry()
for _collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
    REGISTRY.register(_collector)

CONTENT_TYPE = CONTENT_TYPE_LATEST


async def exposition() -> bytes:
    """Write every metric in Prometheus' text format, and let others work meanwhile."""
    pace = Pace()
    written = []
    for metric in REGISTRY.large:
        for line in metric.lines():
            written.append(line)
            await pace.give_way()
    return REGISTRY.small() + "".join(written).encode()


def _heading(name: str, kind: str, documentation: str) -> tuple[str, str]:
    said = documentation.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {said}\n", f"# TYPE {name} {kind}\n"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    pairs = ",".join(f'{label}="{_escaped(labels[label])}"' for label in sorted(labels))
    return f"{name}{{{pairs}}} {float(value)!r}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
