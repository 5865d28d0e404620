"""Counters and histograms as plain dicts are exposed as Prometheus reads its own."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from eventroute.runtime import metrics
from eventroute.runtime.metrics import Counts, Durations

BUCKETS_S = (0.001, 0.5, 2.5)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    monkeypatch.setattr(metrics, "REGISTRY", registry)
    return registry


def _lines(registry: CollectorRegistry) -> list[str]:
    """What is exposed, without the times of creation, which only prometheus_client's own tell."""
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


def test_a_count_reads_like_prometheus_own(registry: CollectorRegistry) -> None:
    peers = CollectorRegistry()
    count, peer = Counts("seen", "Seen.", ["what", "how"]), Counter("seen", "Seen.", ["what", "how"], registry=peers)
    for what, number in [("a", 1), ('quoted "b"', 2), ("a", 3)]:
        count.add(what, "x", count=number)
        peer.labels(what, "x").inc(number)
    assert sorted(_lines(registry)) == sorted(_lines(peers))
    assert 'seen_total{how="x",what="a"} 4.0' in _lines(registry)


def test_durations_read_like_prometheus_own(registry: CollectorRegistry) -> None:
    peers = CollectorRegistry()
    ours = Durations("took_seconds", "Took.", "end", buckets_s=BUCKETS_S)
    peer = Histogram("took_seconds", "Took.", ["end"], buckets=BUCKETS_S, registry=peers)
    for end, seconds in [("ok", 0.0005), ("ok", 0.001), ("ok", 0.25), ("late", 2.5), ("late", 60)]:
        ours.observe(end, seconds)
        peer.labels(end).observe(seconds)
    assert _lines(registry) == _lines(peers)


def test_what_has_not_happened_yet_is_still_described(registry: CollectorRegistry) -> None:
    Counts("seen", "Seen.", ["what"])
    assert "# TYPE seen_total counter" in _lines(registry)


@pytest.mark.usefixtures("registry")
def test_a_name_is_taken_once() -> None:
    Counts("seen", "Seen.", ["what"])
    with pytest.raises(ValueError, match="seen"):
        Counts("seen", "Seen.", ["what"])
