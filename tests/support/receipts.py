"""How requests were counted: the receiver's outcome metric, as numbers that tests subtract."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from eventroute.runtime.metrics import REGISTRY

_SAMPLE = "eventroute_receipts_total"


def receipts() -> Counter[tuple[str, str, str]]:
    """Count this process' receipts by (route, outcome, reason); `after - before` holds what happened between."""
    return _receipts(REGISTRY.collect())


def exposed_receipts(exposition: str) -> Counter[tuple[str, str, str]]:
    """Count the same of a receiver process, from what its `/metrics` answers."""
    return _receipts(text_string_to_metric_families(exposition))


def _receipts(families: Iterable[Metric]) -> Counter[tuple[str, str, str]]:
    return Counter(
        {
            (sample.labels["route"], sample.labels["outcome"], sample.labels["reason"]): int(sample.value)
            for family in families
            for sample in family.samples
            if sample.name == _SAMPLE
        }
    )
