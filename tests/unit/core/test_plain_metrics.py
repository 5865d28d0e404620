"""Counters and histograms as plain dicts are exposed as Prometheus reads its own."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from eventroute.runtime import metrics
from eventroute.runtime.metrics import Counts, Durations, Registry, exposition

BUCKETS_S = (0.001, 0.5, 2.5)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    registry = Registry()
    monkeypatch.setattr(metrics, "REGISTRY", registry)
    return registry


def _lines(text: bytes) -> list[str]:
    """What is exposed, without the times of creation, which only prometheus_client's own tell."""
    return [line for line in text.decode().splitlines() if "_created" not in line]


async def _exposed() -> list[str]:
    return _lines(await exposition())


async def test_a_count_reads_like_prometheus_own(registry: Registry) -> None:
    peers = CollectorRegistry()
    count, peer = Counts("seen", "Seen.", ["what", "how"]), Counter("seen", "Seen.", ["what", "how"], registry=peers)
    for what, number in [("a", 1), ('quoted "b"', 2), ("back\\slash\nline", 5), ("a", 3)]:
        count.counts[what, "x"] += number
        peer.labels(what, "x").inc(number)
    assert await _exposed() == _lines(generate_latest(peers)) == _lines(generate_latest(registry))
    assert 'seen_total{how="x",what="a"} 4.0' in await _exposed()


async def test_durations_read_like_prometheus_own(registry: Registry) -> None:
    peers = CollectorRegistry()
    ours = Durations("took_seconds", "Took.", "end", buckets_s=BUCKETS_S)
    peer = Histogram("took_seconds", "Took.", ["end"], buckets=BUCKETS_S, registry=peers)
    for end, seconds in [("ok", 0.0005), ("ok", 0.001), ("ok", 0.25), ("late", 2.5), ("late", 60)]:
        ours.observe(end, seconds)
        peer.labels(end).observe(seconds)
    assert await _exposed() == _lines(generate_latest(peers)) == _lines(generate_latest(registry))


async def test_what_has_not_happened_yet_is_still_described(registry: Registry) -> None:
    Counts("seen", "Seen.", ["what"])
    assert "# TYPE seen_total counter" in await _exposed()


@pytest.mark.usefixtures("registry")
def test_a_name_is_taken_once() -> None:
    Counts("seen", "Seen.", ["what"])
    with pytest.raises(ValueError, match="seen"):
        Counts("seen", "Seen.", ["what"])


@pytest.mark.usefixtures("registry")
async def test_a_scrape_of_many_series_lets_others_work_and_count_meanwhile() -> None:
    count = Counts("seen", "Seen.", ["route", "how"])
    took = Durations("took_seconds", "Took.", "route", buckets_s=BUCKETS_S)
    for number in range(10_000):
        for how in "abc":
            count.counts[f"team/{number}", how] += 1
        took.observe(f"team/{number}", 0.25)
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            count.counts[f"new/{turns}", "a"] += 1
            took.observe(f"new/{turns}", 0.25)
            took.observe("team/9999", 0.25)
            await asyncio.sleep(0)

    working = asyncio.create_task(work())
    text = await exposition()
    working.cancel()
    assert turns >= 5
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    assert len(families["seen"].samples) >= 30_000
    counted = {sample.name: sample.value for sample in families["took_seconds"].samples if "9999" in str(sample.labels)}
    assert counted["took_seconds_sum"] == counted["took_seconds_count"] * 0.25 == counted["took_seconds_bucket"] * 0.25
